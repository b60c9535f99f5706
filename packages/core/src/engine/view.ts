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
  /** Tasks that have not ended yet. */
  readonly unfinished: number;
  /** Tasks that failed without `allowFailure`. */
  readonly failed: number;
  /** `onFailure: end` has struck. */
  readonly ending: boolean;
  readonly hasArtifacts: boolean;
  readonly failure: InstanceFailure | null;
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
  readonly end?: { readonly state: TaskEndState; readonly outputs: JsonObject };
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
  | { readonly type: 'stop'; readonly by: string }
  /** Tasks that were taken back from the line because `onFailure: end` struck. */
  | { readonly type: 'withdrawn'; readonly tasks: readonly WithdrawnTask[] }
  /** The delay of a broadcast is over: look which workers there are. */
  | { readonly type: 'fan-out'; readonly task: string }
  /** Look whether a stopping instance has come to rest. */
  | { readonly type: 'settle' }
  | AttemptEnded;

export interface WithdrawnTask {
  readonly task: string;
  /** The attempt that was about to start; above 1 the task has run before. */
  readonly attempt: number;
  readonly from: 'delayed' | 'ready';
}
