import type { JsonObject } from '../json.ts';
import type { HistoryEvent } from './history.ts';
import type { Reason } from './reason.ts';
import type { InstanceEndState, SubtaskEndState, TaskEndState } from './states.ts';
import type { Artifact, BroadcastRecord, LiveInstance, Subtask } from './view.ts';

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
  readonly delayed: readonly DelayedTask[];
  /** Tasks that would be in line or delayed if the instance were not pausing or paused. */
  readonly held: readonly HeldTask[];
  /** Task → needs met, for tasks that still wait. */
  readonly counters: ReadonlyMap<string, number>;
  /** Tasks that have left `waiting` and whose counter row, if any, goes. */
  readonly droppedCounters: readonly string[];
  /**
   * Empties the line (delayed, then ready), waiting for claims in flight, before anything of this decision is put in it.
   * `settle` (a stop): these and held tasks are gone, every active attempt is asked to end. `skip` (a failure ends the instance): these
   * and held tasks come as a `withdrawn` command, every active attempt is asked to end. `hold` (a pause): these are held, with what is left
   * of their delays; nothing is asked to end. Where the instance is stopping or pausing, a `settle` command follows.
   */
  readonly withdraw?: 'settle' | 'skip' | 'hold';
  /** All held tasks go back in line, or to what is left of their delays; after `withdraw`, before anything new is put in line. */
  readonly release: boolean;
  /**
   * These tasks leave the line (delayed, ready or held), waiting for claims in flight; after `release`. Each that did comes as a `withdrawn`
   * command with `by`; behind it a `skip-task` command follows for every one of the list, which finds the task skipped, or claimed.
   */
  readonly takeBack: readonly TakenBack[];
  /** Added to the priority of every task of the instance that is delayed, ready or held already. 0: nothing to do. */
  readonly shiftPriority: number;
  /** Tasks whose ends are copied from the generation before, as they are, before anything else of this decision is written. */
  readonly carried: readonly string[];
  /** End every task that has not ended, whatever it waited for; `broadcasts`: rows of such may be left. */
  readonly endRemaining?: RemainingEnd;
  readonly broadcasts: readonly BroadcastChange[];
  /** Subtasks to be bound to their incarnations. */
  readonly subtasks: readonly SubtaskBinding[];
  readonly finishedSubtasks: readonly FinishedSubtask[];
  readonly alerts: readonly AlertDraft[];
  readonly events: readonly HistoryEvent[];
}

/** What a decision does to the row of a broadcast, and to those of its subtasks that have not been handed over. */
export interface BroadcastChange {
  readonly task: string;
  /** Absent: the row goes. */
  readonly record?: BroadcastRecord;
  /** Of `before`, to be kept for the others. */
  readonly outputs?: JsonObject;
  /** So many more of those that wait are handed over. */
  readonly promote: number;
  /** All that wait end like this. */
  readonly withdraw?: { readonly state: 'skipped' | 'stopped'; readonly reason: Reason };
}

export interface SubtaskBinding extends Subtask {
  readonly task: string;
  readonly attempt: number;
  readonly state: 'bound' | 'dispatched';
  /** The worker starts it only after this. */
  readonly delayMs: number;
}

export interface RemainingEnd {
  readonly state: 'stopped';
  readonly reason: Reason;
  readonly broadcasts: boolean;
}

export interface QueuedTask {
  readonly task: string;
  readonly attempt: number;
  readonly losses: number;
  /** Of a broadcast: which step of it this is. */
  readonly step?: 'before' | 'after';
}

export interface DelayedTask extends QueuedTask {
  readonly cause: 'delay' | 'retry';
  readonly delayMs: number;
  /** When the delay is over a `fan-out` command is due, instead of a place in line. */
  readonly fanOut?: true;
}

/** Without a `cause` it goes in line at once when it is released; with one when its delay is over. */
export interface HeldTask extends QueuedTask {
  readonly cause?: 'delay' | 'retry';
  /** 0 without a cause. */
  readonly delayMs: number;
  /** Released, a `fan-out` command is due when the delay is over, instead of a place in line. */
  readonly fanOut?: true;
}

export interface TakenBack {
  readonly task: string;
  readonly by: string;
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
  /** `succeeded` is only the end of a broadcast's `before`. */
  readonly state: 'succeeded' | 'failed' | 'stopped' | 'lost';
}

export interface FinishedSubtask extends EndedRun {
  readonly attemptId: string;
  readonly incarnation: string;
  readonly state: SubtaskEndState;
  readonly outputs?: JsonObject;
}

export interface AlertDraft {
  readonly kind: 'instance-failed' | 'task-timeout' | 'command-parked';
  readonly payload: JsonObject;
}
