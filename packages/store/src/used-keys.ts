import type { WorkflowName } from './definitions.ts';

/**
 * What an idempotency key has begun of a workflow, also when the workflow has changed since or is deleted: the call that used the key counts,
 * and not what the same call would mean today.
 */
export interface UsedKeys {
  start(workflow: WorkflowName, key: string): Promise<UsedKey | undefined>;
  backfill(workflow: WorkflowName, key: string): Promise<UsedKey | undefined>;
}

export interface UsedKey {
  /** Of the instance or the backfill. */
  readonly id: string;
  readonly bodyHash: string;
}
