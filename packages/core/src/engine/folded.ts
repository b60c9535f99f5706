import type { WorkflowDefinition } from '../definition/model.ts';
import type { HistoryEvent } from './history.ts';
import type { Reason } from './reason.ts';
import type { GenerationMode } from './view.ts';
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
  /** The generation in which it ended, when it was carried into this one. Of its attempts only that which ended it is known here. */
  carriedFrom?: number;
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

/** What an instance and its tasks are in one generation, by their history alone. */
export interface FoldedGeneration {
  generation: number;
  /** Absent in the first generation. */
  mode?: GenerationMode;
  /** The task that the mode names. */
  modeTask?: string;
  /** Its version's id; empty while it was not told. */
  version: string;
  started: boolean;
  state: InstanceState;
  /** `onFailure: end` has struck. */
  ending: boolean;
  /** Tasks that failed without `allowFailure`, in order. */
  failures: string[];
  /** Carried tasks that had been stopped: if nothing fails, the generation ends `stopped`. */
  stopped: string[];
  /** Why the engine gave the instance up. */
  parked?: Reason;
  end?: { readonly state: InstanceState; readonly reason: Reason | null };
  tasks: ReadonlyMap<string, FoldedTask>;
  /** Tasks without an end. */
  unfinished: number;
}

/** The generation that the instance is in, or ended in. */
export interface FoldedInstance extends FoldedGeneration {
  created?: { readonly by: string; readonly version: string };
  /** The generations before it, which have ended. */
  readonly previous: FoldedGeneration[];
  readonly violations: HistoryViolation[];
}

/** What `remaining-ended` gives as the reason when it names none. */
export const REMAINING_REASON: Reason = { code: 'instance-stopped', message: 'the instance was stopped' };

/** The definition of a version, by the id that the history gives it. */
export type Versions = (id: string) => WorkflowDefinition | undefined;

/** A fold under way. */
export interface Fold {
  readonly folded: FoldedInstance;
  readonly versions: Versions;
  /** Of the generation at hand. */
  tasks: Map<string, FoldedTask>;
  definition: WorkflowDefinition;
  entry: string;
  /** What a repair writes is right by definition: it mends what the rules of the engine forbid. */
  repair: boolean;
  /** Tasks whose attempt has ended and for which this entry has to say what comes next. */
  between: Set<string>;
}

/** Every task waits. */
export function freshTasks(definition: WorkflowDefinition): Map<string, FoldedTask> {
  return new Map(Object.keys(definition.tasks).map((id) => [id, { state: 'waiting', attempt: 0, attempts: [] }]));
}

export function violate(fold: Fold, code: HistoryViolation['code'], message: string, task?: string): void {
  if (fold.repair) return;
  fold.folded.violations.push({ code, ...(task === undefined ? {} : { task }), entry: fold.entry, message });
}

/** How an attempt is told by a row: the state of an attempt that has ended. */
export function endOfAttempt(state: TaskEndState): AttemptEnd {
  return state === 'skipped' ? 'stopped' : state;
}
