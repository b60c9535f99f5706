import type { WorkflowDefinition } from '../definition/model.ts';
import type { HistoryEvent } from './history.ts';
import type { Reason } from './reason.ts';
import type { AttemptEnd, AttemptState, InstanceState, SubtaskEndState, TaskEndState, TaskState } from './states.ts';

/** One entry of an instance's history: what one transaction wrote. */
export interface HistoryEntry {
  readonly id: string;
  readonly events: readonly HistoryEvent[];
}

export interface FoldedAttempt {
  readonly attempt: number;
  readonly attemptId: string;
  readonly incarnation: string;
  state: AttemptState;
  reason?: Reason;
}

export interface FoldedEnd {
  readonly state: TaskEndState;
  /** 0 when the task did not end with an attempt. */
  readonly attempt: number;
  readonly attemptId?: string;
  readonly reason?: Reason;
}

export interface FoldedTask {
  state: TaskState;
  /** The attempt that is in line, delayed or active, or the last one; 0 while the task waits. */
  attempt: number;
  /** The attempt that is bound to a worker and has not ended. */
  active?: FoldedAttempt;
  /** Every attempt that was bound, in order; the active one is the last. */
  readonly attempts: FoldedAttempt[];
  end?: FoldedEnd;
  /** Of a broadcast, once its workers are known. */
  subtasks?: FoldedSubtask[];
}

/** One worker's part of a broadcast. */
export interface FoldedSubtask {
  readonly index: number;
  readonly incarnation: string;
  readonly worker: string;
  active?: FoldedAttempt;
  readonly attempts: FoldedAttempt[];
  end?: {
    readonly state: SubtaskEndState;
    readonly attempt: number;
    /** Not told of those that were withdrawn together. */
    readonly attemptId?: string;
    readonly reason?: Reason;
  };
}

/** Something in a history that its own rules forbid. */
export interface HistoryViolation {
  readonly code:
    | 'no-creation'
    | 'created-twice'
    | 'unknown-task'
    | 'unknown-event'
    | 'illegal-transition'
    | 'event-after-end'
    | 'attempt-ended-twice'
    | 'second-active-attempt'
    | 'wrong-attempt'
    | 'token-not-new'
    | 'need-not-ended'
    | 'ended-too-early'
    | 'attempt-without-successor'
    | 'wrong-count'
    | 'wrong-worker';
  readonly task?: string;
  /** The history entry. */
  readonly entry: string;
  readonly message: string;
}

/** What an instance and its tasks are, by their history alone. */
export interface FoldedInstance {
  readonly generation: number;
  created?: { readonly by: string; readonly version: string };
  started: boolean;
  state: InstanceState;
  /** `onFailure: end` has struck. */
  ending: boolean;
  /** Tasks that failed without `allowFailure`, in order. */
  readonly failures: string[];
  /** Why the engine gave the instance up. */
  parked?: Reason;
  end?: { readonly state: InstanceState; readonly reason: Reason | null };
  readonly tasks: ReadonlyMap<string, FoldedTask>;
  /** Tasks without an end. */
  unfinished: number;
  readonly violations: HistoryViolation[];
}

/** What `remaining-ended` gives as the reason when it names none. */
export const REMAINING_REASON: Reason = { code: 'instance-stopped', message: 'the instance was stopped' };

/** A fold under way, in one entry. */
export interface Fold {
  readonly folded: FoldedInstance;
  readonly tasks: Map<string, FoldedTask>;
  readonly definition: WorkflowDefinition;
  readonly entry: string;
  /** What a repair writes is right by definition: it mends what the rules of the engine forbid. */
  readonly repair: boolean;
  /** Tasks whose attempt has ended and for which this entry has to say what comes next. */
  readonly between: Set<string>;
}

export function violate(fold: Fold, code: HistoryViolation['code'], message: string, task?: string): void {
  if (fold.repair) return;
  fold.folded.violations.push({ code, ...(task === undefined ? {} : { task }), entry: fold.entry, message });
}

/** How an attempt is told by a row: the state of an attempt that has ended. */
export function endOfAttempt(state: TaskEndState): AttemptEnd {
  return state === 'skipped' ? 'stopped' : state;
}
