import type { JsonObject } from '../json.ts';
import type { HistoryEvent } from './history.ts';
import type { Reason } from './reason.ts';
import type { InstanceEndState, TaskEndState } from './states.ts';
import type { Artifact, LiveInstance } from './view.ts';

/** What a decision writes, all of it in one transaction. Durations, not times: the database's clock dates everything. */
export interface InstanceChanges {
  /** The new values of the live row; it is deleted instead when `end` is set. */
  readonly live: LiveInstance;
  readonly end?: { readonly state: InstanceEndState; readonly reason: Reason | null };
  readonly finished: readonly FinishedTask[];
  readonly earlier: readonly EarlierAttempt[];
  /** Ids of attempts that are no longer active. */
  readonly released: readonly string[];
  readonly ready: readonly QueuedTask[];
  readonly delayed: readonly (QueuedTask & { readonly cause: 'delay' | 'retry'; readonly delayMs: number })[];
  /** Task → needs met, for tasks that still wait. */
  readonly counters: ReadonlyMap<string, number>;
  /** Tasks that have left `waiting` and whose counter row, if any, goes. */
  readonly droppedCounters: readonly string[];
  /**
   * Take back every task in line and ask for the end of every active attempt. `settle`: look once more afterwards;
   * `skip`: the tasks taken back come as a `withdrawn` command.
   */
  readonly withdraw?: 'settle' | 'skip';
  /** End every task that has not ended, whatever it waited for. */
  readonly endRemaining?: { readonly state: 'stopped'; readonly reason: Reason };
  readonly alerts: readonly AlertDraft[];
  readonly events: readonly HistoryEvent[];
}

export interface QueuedTask {
  readonly task: string;
  readonly attempt: number;
  readonly losses: number;
}

interface EndedRun {
  readonly task: string;
  /** 0 when the task never ran. */
  readonly attempt: number;
  /** Its times come from the `active` row with this id. */
  readonly attemptId?: string;
  readonly reason?: Reason;
  readonly startedAgoMs?: number;
  readonly endedAgoMs?: number;
}

export interface FinishedTask extends EndedRun {
  readonly state: TaskEndState;
  readonly outputs?: JsonObject;
  readonly artifacts?: readonly Artifact[];
}

export interface EarlierAttempt extends EndedRun {
  readonly attemptId: string;
  readonly state: 'failed' | 'stopped' | 'lost';
}

export interface AlertDraft {
  readonly kind: 'instance-failed' | 'task-timeout' | 'command-parked';
  readonly payload: JsonObject;
}
