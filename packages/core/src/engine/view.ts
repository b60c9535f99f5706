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
}

/** The `active` row of an attempt, as the database has it. */
export interface ActiveAttempt {
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  /** Earlier attempts of the task that were lost with their worker. */
  readonly losses: number;
  readonly state: 'dispatched' | 'running';
  readonly killReason: 'stop' | 'timeout' | null;
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
  /** Look whether a stopping instance has come to rest. */
  | { readonly type: 'settle' }
  | AttemptEnded;

export interface WithdrawnTask {
  readonly task: string;
  /** The attempt that was about to start; above 1 the task has run before. */
  readonly attempt: number;
  readonly from: 'delayed' | 'ready';
}
