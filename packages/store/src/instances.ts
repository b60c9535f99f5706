import type {
  Artifact,
  GenerationMode,
  HistoryEvent,
  InstanceEndState,
  InstanceState,
  JsonObject,
  Reason,
  SubtaskEndState,
  TaskState,
} from '@keelson/core';
import type { WorkflowName } from './definitions.ts';
import type { TaskInstanceKey } from './ids.ts';
import type { Page, PageRequest } from './page.ts';

export type InstanceTrigger = 'manual' | 'schedule' | 'backfill';

/** Times are RFC 3339 in UTC. */
export interface InstanceSummary {
  readonly id: string;
  readonly project: string;
  readonly workflow: string;
  readonly version: number;
  readonly state: InstanceState;
  readonly generation: number;
  readonly trigger: InstanceTrigger;
  readonly priority: number;
  readonly runTime: string;
  readonly createdBy: string;
  readonly createdAt: string;
  /** When its generation was asked for; of the first one, when it was created. */
  readonly begunAt: string;
  readonly endedAt: string | null;
  /** Why it failed or stopped; of a live instance, the first failure so far. */
  readonly reason: Reason | null;
  readonly taskCount: number;
  /** Tasks that have not ended; 0 once the instance has. */
  readonly unfinished: number;
}

export interface InstanceDetail extends InstanceSummary {
  readonly versionId: string;
  /** IANA zone that the run time is shown in. */
  readonly timezone: string;
  readonly params: JsonObject;
  /** Tasks in each state; states without a task are left out. */
  readonly counts: Readonly<Partial<Record<TaskState, number>>>;
}

export interface InstanceFilter {
  readonly project?: string | undefined;
  readonly workflow?: string | undefined;
  readonly state?: InstanceState | undefined;
  readonly trigger?: InstanceTrigger | undefined;
  /** RFC 3339; ranges take their first moment and not their last one. */
  readonly createdFrom?: string | undefined;
  readonly createdTo?: string | undefined;
  readonly runFrom?: string | undefined;
  readonly runTo?: string | undefined;
  /** Only these; what is no id is none of them. */
  readonly ids?: readonly string[] | undefined;
}

/** A generation of an instance and how it came to be: the first one by its start, the others by what an operator asked for. */
export interface InstanceGeneration {
  readonly generation: number;
  readonly mode: 'first' | GenerationMode;
  readonly task: string | null;
  readonly version: number;
  readonly params: JsonObject;
  readonly createdBy: string;
  readonly createdAt: string;
  /** Null: it is under way. */
  readonly state: InstanceEndState | null;
  readonly endedAt: string | null;
}

/** One run of a task, as far as it has come. `attempt` 0: it has not run (yet). */
export interface TaskInstance {
  /** `<instance>.<generation>.<task>` */
  readonly id: string;
  readonly instanceId: string;
  readonly generation: number;
  readonly task: string;
  readonly uses: string;
  readonly needs: readonly string[];
  readonly state: TaskState;
  readonly attempt: number;
  /** With all its retries, and none lost. */
  readonly maxAttempts: number;
  /** Names the log of the current or last attempt. */
  readonly attemptId: string | null;
  readonly worker: string | null;
  readonly workerGroup: string;
  /** When a delay or a retry's delay ends. */
  readonly dueAt: string | null;
  readonly readyAt: string | null;
  readonly dispatchedAt: string | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly killReason: 'stop' | 'timeout' | null;
  readonly progress: JsonObject | null;
  /** Why it ended so; between two attempts, why the attempt before did. */
  readonly reason: Reason | null;
  readonly artifacts: readonly Artifact[];
  /** It would be in line, or its delay would run, if the instance were not pausing or paused. */
  readonly held?: true;
  /** The generation in which it ended, when it was carried into this one. */
  readonly carriedFrom?: number;
  /** Present on a broadcast that has begun. */
  readonly broadcast?: BroadcastSummary;
  /** Present only where they were asked for. */
  readonly outputs?: JsonObject;
}

/** How far a broadcast is. The counts add up to `total`, which is 0 until its workers were looked at. */
export interface BroadcastSummary {
  readonly phase: 'before' | 'fan' | 'after' | 'ended';
  readonly total: number;
  /** Bound to their workers, and not handed over yet. */
  readonly waiting: number;
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly lost: number;
  readonly stopped: number;
  readonly skipped: number;
}

/** A broadcast's subtask on one worker, which is its own for life. */
export interface SubtaskView {
  readonly worker: string;
  readonly incarnation: string;
  readonly state: 'bound' | 'dispatched' | 'running' | SubtaskEndState;
  readonly attempt: number;
  /** Names its log. */
  readonly attemptId: string;
  readonly dispatchedAt: string | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly reason: Reason | null;
  readonly outputs: JsonObject;
}

export interface TaskAttempt {
  readonly attemptId: string;
  readonly attempt: number;
  readonly state: 'dispatched' | 'running' | 'succeeded' | 'failed' | 'stopped' | 'lost';
  readonly worker: string | null;
  readonly readyAt: string | null;
  readonly dispatchedAt: string | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly reason: Reason | null;
}

/** Everything that one step changed. */
export interface HistoryEntry {
  readonly id: string;
  readonly at: string;
  readonly events: readonly HistoryEvent[];
}

export interface CommandError {
  readonly commandId: string;
  readonly kind: string;
  readonly payload: JsonObject;
  readonly tries: number;
  readonly error: string;
  readonly parkedAt: string;
}

/** Reading instances. An id that is no id answers like one that does not exist. */
export interface Instances {
  /** Newest first. */
  list(filter: InstanceFilter, page: PageRequest): Promise<Page<InstanceSummary>>;
  get(id: string): Promise<InstanceDetail | undefined>;
  /**
   * In the order of the definition, all from one snapshot; without outputs unless asked for, of the current generation unless another is.
   * Empty for an unknown instance or generation.
   */
  tasks(id: string, options?: { readonly outputs?: boolean; readonly generation?: number }): Promise<TaskInstance[]>;
  /** With its outputs. */
  task(key: TaskInstanceKey): Promise<TaskInstance | undefined>;
  /** Oldest first, the current one last. */
  attempts(key: TaskInstanceKey): Promise<TaskAttempt[]>;
  /** Of a broadcast, in the order of their indexes. */
  subtasks(key: TaskInstanceKey): Promise<SubtaskView[]>;
  /** Attempts of the subtask of this worker, oldest first. */
  subtaskAttempts(key: TaskInstanceKey, worker: string): Promise<TaskAttempt[]>;
  /** Oldest first. With `asked` only the steps in which an event says by whom it was asked for. */
  history(
    id: string,
    page: PageRequest,
    options?: { readonly asked?: boolean | undefined },
  ): Promise<Page<HistoryEntry>>;
  commandErrors(id: string): Promise<CommandError[]>;
  /** Oldest first; empty for an unknown instance. */
  generations(id: string): Promise<InstanceGeneration[]>;
  /** The task instance of the current generation; undefined when the definition has no such task. */
  findTask(instanceId: string, task: string): Promise<TaskInstanceKey | undefined>;
  /** To name the instance's workflow without reading more. */
  workflowOf(id: string): Promise<WorkflowName | undefined>;
}
