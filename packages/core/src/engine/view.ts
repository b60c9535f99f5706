import type { WorkflowPlan } from '../definition/plan.ts';
import type { Scope } from '../expression/scope.ts';
import type { JsonObject } from '../json.ts';
import type { Reason } from './reason.ts';
import type { AttemptEnd, InstanceLiveState, TaskEndState } from './states.ts';

/** The row that every decision about an instance locks. Ids are decimal strings of 64-bit integers. */
export interface LiveInstance {
  readonly id: string;
  readonly versionId: string;
  readonly generation: number;
  readonly revision: number;
  readonly state: InstanceLiveState;
  /** Its `start`, or its generation's `begin`, has been applied. */
  readonly begun: boolean;
  /** Some task may have ended before what it needs: carried from the generation before, or skipped by an operator while it waited. */
  readonly endedAhead: boolean;
  /** Tasks that have not ended yet. */
  readonly unfinished: number;
  /** Tasks that failed without `allowFailure`. */
  readonly failed: number;
  /** `onFailure: end` has struck. */
  readonly ending: boolean;
  readonly hasArtifacts: boolean;
  /** The first task that failed. While `failed` is 0: a carried task that had been stopped. */
  readonly failure: InstanceFailure | null;
  /** Added to that of each task. */
  readonly priority: number;
}

export interface InstanceFailure {
  readonly task: string;
  readonly reason: Reason;
}

/** What is stored about one task, as far as a decision needs it. */
export interface TaskRecord {
  /** Needs met so far. */
  readonly met: number;
  readonly end?: {
    readonly state: TaskEndState;
    readonly outputs: JsonObject;
    /** The code of its reason. */
    readonly code?: string;
  };
}

/** Where a task that has not ended has a row; `active` also while only subtasks of it do. All of one moment. */
export type TaskPlace = 'none' | 'delayed' | 'ready' | 'held' | 'active';

/** How a task ended in the generation before. */
export interface PriorEnd {
  readonly state: TaskEndState;
  readonly reason: Reason | null;
  /** An attempt or a subtask of it was started then. */
  readonly ran: boolean;
  /** It left artifacts. */
  readonly artifacts: boolean;
  /** Empty for tasks whose outputs were not asked for. */
  readonly outputs: JsonObject;
}

/** An instance with those rows of its tasks that the events at hand touch, and no others. */
export interface InstanceView {
  readonly live: LiveInstance;
  readonly plan: WorkflowPlan;
  readonly scope: Pick<Scope, 'params' | 'run'>;
  readonly tasks: ReadonlyMap<string, TaskRecord>;
  /** How many attempts are active; loaded only when asked for. */
  readonly activeAttempts?: number;
  /** Task → which of its earlier attempts draining workers handed back; loaded only when asked for. */
  readonly handedBack?: ReadonlyMap<string, readonly number[]>;
  /** The instance's broadcasts that are under way, by task; loaded only when asked for. */
  readonly broadcasts?: ReadonlyMap<string, BroadcastRecord>;
  /** Task → the workers that it would be broadcast to, locked against expiry; loaded only when asked for. */
  readonly workers?: ReadonlyMap<string, readonly SnapshotWorker[]>;
  /** Ends of the tasks in the generation before, by task; loaded only when asked for. */
  readonly prior?: ReadonlyMap<string, PriorEnd>;
  /** Where these tasks are; loaded only when asked for. */
  readonly places?: ReadonlyMap<string, TaskPlace>;
}

/** A worker incarnation that a broadcast found alive. */
export interface SnapshotWorker {
  readonly incarnation: string;
  readonly worker: string;
}

/** The `broadcast` row of a task: how far it is. The counts add up to `total`. */
export interface BroadcastRecord {
  readonly phase: 'before' | 'fan' | 'after';
  /** Attempts of `before`; those of `after` are numbered on from here. */
  readonly priorAttempts: number;
  readonly total: number;
  /** Subtasks that are bound and not handed over yet. */
  readonly waiting: number;
  /** Subtasks that are handed over and have not ended. */
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly lost: number;
  readonly stopped: number;
  readonly skipped: number;
  /** Milliseconds since it began. */
  readonly sinceAgoMs: number;
}

/** The `active` row of an attempt, as the database has it. */
export interface ActiveAttempt {
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  /** Earlier attempts of the task that were lost with their worker, or handed back by it. */
  readonly losses: number;
  /** `bound` is a subtask's that has not been handed over. */
  readonly state: 'bound' | 'dispatched' | 'running';
  readonly killReason: 'stop' | 'timeout' | null;
  /** Present on a subtask of a broadcast. */
  readonly subtask?: Subtask;
}

/** Which of a broadcast's subtasks: it belongs to its incarnation for life. */
export interface Subtask {
  readonly incarnation: string;
  /** From 0. */
  readonly index: number;
}

export interface AttemptEnded {
  readonly type: 'attempt-ended';
  readonly attempt: ActiveAttempt;
  readonly end: AttemptEnd;
  readonly reason?: Reason;
  readonly outputs?: JsonObject;
  readonly artifacts?: readonly Artifact[];
  /** Milliseconds before the decision, by the worker's monotonic clock. */
  readonly startedAgoMs?: number;
  readonly endedAgoMs?: number;
}

export interface Artifact {
  readonly path: string;
  readonly sha256: string;
  readonly size: number;
  readonly mode: number;
}

export type EngineEvent =
  | { readonly type: 'start' }
  /** Of a generation after the first, in place of `start`. */
  | { readonly type: 'begin'; readonly mode: GenerationMode; readonly task?: string; readonly by: string }
  | { readonly type: 'stop'; readonly by: string }
  | { readonly type: 'pause'; readonly by: string }
  | { readonly type: 'resume'; readonly by: string }
  | { readonly type: 'skip-task'; readonly task: string; readonly by: string }
  | { readonly type: 'set-priority'; readonly priority: number; readonly by: string }
  /** The workflow's concurrency policy has no place for a queued instance. */
  | { readonly type: 'discard'; readonly reason: Reason }
  /** Tasks that were taken back from the line: because `onFailure: end` struck, or for an operator who skips them (`by`). */
  | { readonly type: 'withdrawn'; readonly tasks: readonly WithdrawnTask[]; readonly by?: string }
  /** The delay of a broadcast is over: look which workers there are. */
  | { readonly type: 'fan-out'; readonly task: string }
  /** Look whether a stopping or pausing instance has come to rest. */
  | { readonly type: 'settle' }
  | AttemptEnded;

export interface WithdrawnTask {
  readonly task: string;
  /** The attempt that was about to start; above 1 the task has run before. */
  readonly attempt: number;
  readonly from: 'delayed' | 'ready' | 'held';
}

/**
 * Which tasks a generation after the first does again: all; those that did not succeed; one and everything after it; one alone; none but
 * what waited for a failed one, which counts as succeeded from now on.
 */
export type GenerationMode = 'rerun' | 'recover' | 'from' | 'only' | 'force-success';
