import type { JsonObject } from '@keelson/core';

/** Beginning instances on request: what a client's call commits before it is answered. */
export interface Starts {
  /**
   * One transaction: the instance, its `start` command and, with a key, the claim on that key. Safe to run again under the
   * same id after an unknown outcome.
   */
  start(request: StartRequest): Promise<StartOutcome>;
  /** Forgets idempotency keys older than 7 days, some at a time. */
  forgetOldKeys(): Promise<number>;
}

export interface StartRequest {
  readonly workflowId: string;
  readonly versionId: string;
  readonly taskCount: number;
  readonly params: JsonObject;
  /** RFC 3339. */
  readonly runTime: string;
  readonly priority: number;
  readonly createdBy: string;
  readonly idempotency?: { readonly key: string; readonly bodyHash: string };
}

export type StartOutcome =
  | {
      readonly kind: 'created';
      readonly instanceId: string;
      /** It waits for a slot of its workflow's limit. Absent: made by a try whose answer was lost. */
      readonly queued?: boolean;
    }
  /** The key was used before, with the same body. */
  | { readonly kind: 'existing'; readonly instanceId: string }
  /** The key was used before, with another body. */
  | { readonly kind: 'key-conflict'; readonly instanceId: string };
