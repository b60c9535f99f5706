import type {
  BackfillCounts,
  BackfillEnd,
  BackfillRun,
  BackfillRunState,
  BackfillState,
  BackfillTurn,
  BackfillView,
  JsonObject,
  Reason,
} from '@keelson/core';
import type { Page, PageRequest } from './page.ts';

/** Backfills as masters and operators move them. */
export interface Backfills {
  /** Safe to run again under the same id after an unknown outcome. */
  create(draft: BackfillDraft): Promise<BackfillCreated>;
  /** Pause, resume, cancel; see docs/backfill.md for what each does in every state. */
  operate(id: string, operation: BackfillOperation, by: string): Promise<BackfillOperated>;
  /** Backfills in which an instance has ended or that have room for another; oldest first. */
  due(limit: number): Promise<DueBackfill[]>;
  /**
   * One transaction: locks the backfill, reads what this turn is about, lets `mind` decide, writes. Undefined: somebody else holds it, or it
   * is gone. Safe to run again after an unknown outcome: the lock is not free before the old transaction is over.
   *
   * @param room how many instances it may start at the most
   */
  turn(id: string, room: number, mind: BackfillMind): Promise<BackfillTurned | undefined>;
  /** Writes down why the last turn failed. */
  noteError(id: string, error: string): Promise<void>;
}

/** The workflow of a backfill, or one that depends on it. */
export interface BackfillMember {
  readonly workflowId: string;
  readonly versionId: string;
  readonly version: number;
  readonly taskCount: number;
  readonly project: string;
  readonly workflow: string;
  /** The project's parameters when the backfill was made. */
  readonly projectParams: JsonObject;
  /** Of `run.time` in its parameters, when it is not the workflow's own. */
  readonly zone?: string;
  /** Places of the members that it follows. */
  readonly needs: readonly number[];
}

export interface BackfillDraft {
  readonly workflowId: string;
  readonly members: readonly BackfillMember[];
  readonly parallel: number;
  readonly priority: number;
  readonly onFailure: 'stop' | 'continue';
  readonly again: boolean;
  readonly params: JsonObject;
  readonly request: JsonObject;
  readonly createdBy: string;
  /** In their order; those of one time together, in the order of the members. */
  readonly runs: readonly DraftRun[];
  readonly idempotency?: { readonly key: string; readonly bodyHash: string };
}

export interface DraftRun {
  readonly workflowId: string;
  /** RFC 3339. */
  readonly runTime: string;
  readonly state: 'waiting' | 'pending' | 'skipped';
  readonly reason?: Reason;
}

export type BackfillCreated =
  | { readonly kind: 'created' | 'existing'; readonly id: string }
  | { readonly kind: 'key-conflict'; readonly id: string };

export interface InstanceThere {
  readonly workflowId: string;
  /** RFC 3339. */
  readonly runTime: string;
  readonly instanceId: string;
  readonly live: boolean;
}

export type BackfillOperation =
  | { readonly kind: 'pause' | 'resume' }
  | {
      readonly kind: 'cancel';
      /** Also stops the instances that are under way. */
      readonly stop: boolean;
    };

export interface BackfillOperated {
  readonly outcome: 'applied' | 'already' | 'ended' | 'unknown';
  readonly state?: BackfillState;
  /** Instances that were asked to stop. */
  readonly stopping: number;
}

export interface DueBackfill {
  readonly id: string;
  readonly versionIds: readonly string[];
  /** How many instances it may start now, as far as can be said before it is locked. */
  readonly room: number;
}

/** The pure part of a turn. */
export type BackfillMind = (
  backfill: LockedBackfill,
  runs: readonly LockedRun[],
  ends: readonly BackfillEnd[],
) => BackfillTurn;

export interface LockedBackfill extends BackfillView {
  readonly id: string;
  readonly memberships: readonly BackfillMember[];
  readonly params: JsonObject;
}

export interface LockedRun extends BackfillRun {
  /** RFC 3339. */
  readonly runTime: string;
}

export interface BackfillTurned {
  /** Something changed: there may be more to do. */
  readonly worked: boolean;
  readonly started: readonly string[];
  /** Some instance that was made waits for a slot of its workflow's limit. */
  readonly queued: boolean;
  readonly ended: boolean;
}

/** Backfills as people read them. */
export interface BackfillViews {
  list(filter: BackfillFilter, page: PageRequest): Promise<Page<BackfillSummary>>;
  get(id: string): Promise<BackfillDetail | undefined>;
  /** In their order. */
  runs(
    id: string,
    filter: { readonly state?: BackfillRunState | undefined },
    page: PageRequest,
  ): Promise<Page<RunView>>;
  /** What there is already from one run time to another, both included (RFC 3339): of each time a live instance, else one that has succeeded. */
  there(workflowIds: readonly string[], from: string, to: string): Promise<InstanceThere[]>;
  /** Which workflows depend on which, as `project/name`, of all latest versions that name any. */
  dependencies(): Promise<Map<string, string[]>>;
}

export interface BackfillFilter {
  readonly project?: string | undefined;
  readonly workflow?: string | undefined;
  readonly state?: BackfillState | undefined;
}

export interface BackfillSummary {
  readonly id: string;
  readonly project: string;
  readonly workflow: string;
  readonly version: number;
  readonly state: BackfillState;
  readonly counts: BackfillCounts;
  /** Runs that were left out because their time had succeeded before. */
  readonly before: number;
  readonly request: JsonObject;
  readonly parallel: number;
  readonly priority: number;
  readonly onFailure: 'stop' | 'continue';
  readonly again: boolean;
  readonly params: JsonObject;
  readonly lastError: string | null;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly endedAt: string | null;
}

export interface BackfillDetail extends BackfillSummary {
  readonly members: readonly BackfillMember[];
  /** Runs that were left out, by the code of the reason. */
  readonly leftOut: Readonly<Record<string, number>>;
  readonly events: readonly BackfillEventView[];
}

export interface BackfillEventView {
  readonly at: string;
  readonly kind: string;
  readonly by: string;
  readonly detail: JsonObject | null;
}

export interface RunView {
  readonly seq: number;
  readonly project: string;
  readonly workflow: string;
  readonly runTime: string;
  readonly state: BackfillRunState;
  readonly instanceId: string | null;
  /** When its instance was made, and when that ended last. */
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly reason: Reason | null;
}
