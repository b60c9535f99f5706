import type { Reason } from './reason.ts';
import type { AttemptEnd, InstanceEndState, SubtaskEndState, TaskEndState } from './states.ts';
import type { GenerationMode, SnapshotWorker } from './view.ts';

/** What the history says. Folding an instance's events in order gives its rows again; `docs/history.md` lists them. */
export type HistoryEvent =
  | {
      readonly type: 'instance-created';
      readonly by: string;
      readonly version: string;
      /** A limit of its workflow may hold it back. */
      readonly queued?: true;
    }
  | { readonly type: 'instance-started'; readonly tasks: number }
  | { readonly type: 'stop-requested'; readonly by: string }
  | { readonly type: 'pause-requested'; readonly by: string }
  /** Nothing of it runs any more. */
  | { readonly type: 'instance-paused' }
  | { readonly type: 'resumed'; readonly by: string }
  /** Of this task; its end follows, or `operation-refused` when a worker was faster. */
  | { readonly type: 'skip-requested'; readonly task: string; readonly by: string }
  | { readonly type: 'priority-set'; readonly priority: number; readonly by: string }
  /** An operation that had been accepted no longer made sense when its turn came. */
  | {
      readonly type: 'operation-refused';
      readonly operation: string;
      readonly task?: string;
      readonly by: string;
      readonly reason: Reason;
    }
  /** Written with the request, like `instance-created`: the instance lives again, and its tasks wait. */
  | {
      readonly type: 'generation-created';
      readonly generation: number;
      readonly mode: GenerationMode;
      readonly task?: string;
      readonly by: string;
      readonly version: string;
      readonly queued?: true;
    }
  /** The generation ends before a master took it up: these keep the ends that they had in the one before. */
  | { readonly type: 'tasks-carried'; readonly tasks: string[] }
  /** A master took the generation up: `carried` keep the ends that they had in the one before. */
  | {
      readonly type: 'generation-started';
      readonly generation: number;
      readonly mode: GenerationMode;
      readonly task?: string;
      readonly by: string;
      readonly version: string;
      readonly carried: string[];
    }
  | { readonly type: 'failure-ends-instance'; readonly task: string }
  | { readonly type: 'instance-ended'; readonly state: InstanceEndState; readonly reason?: Reason }
  | {
      readonly type: 'task-delayed';
      readonly task: string;
      readonly attempt: number;
      readonly cause: 'delay' | 'retry';
      readonly delayMs: number;
      /** Its time does not run before the instance is resumed. */
      readonly held?: true;
    }
  | {
      readonly type: 'task-ready';
      readonly task: string;
      readonly attempt: number;
      /** No worker may have it before the instance is resumed. */
      readonly held?: true;
    }
  | {
      readonly type: 'task-dispatched';
      readonly task: string;
      readonly attempt: number;
      readonly attemptId: string;
      readonly incarnation: string;
      /** Of a subtask of a broadcast: its index. */
      readonly subtask?: number;
    }
  | { readonly type: 'task-running'; readonly task: string; readonly attempt: number; readonly attemptId: string }
  | {
      readonly type: 'timeout-passed';
      readonly task: string;
      readonly attempt: number;
      readonly attemptId: string;
      readonly action: 'fail' | 'warn';
    }
  | {
      readonly type: 'attempt-ended';
      readonly task: string;
      readonly attempt: number;
      readonly attemptId: string;
      readonly end: AttemptEnd;
      readonly reason?: Reason;
      /** Of a subtask that gets another attempt: its index. */
      readonly subtask?: number;
    }
  /** These workers have a subtask each from now on, and no others ever will; its index is its place in the list. */
  | { readonly type: 'broadcast-started'; readonly task: string; readonly workers: SnapshotWorker[] }
  | {
      readonly type: 'subtask-ended';
      readonly task: string;
      readonly subtask: number;
      readonly incarnation: string;
      readonly state: SubtaskEndState;
      readonly attempt: number;
      readonly attemptId: string;
      readonly reason?: Reason;
    }
  /** All subtasks that had not been handed over have ended like this. */
  | {
      readonly type: 'subtasks-withdrawn';
      readonly task: string;
      readonly count: number;
      readonly state: 'skipped' | 'stopped';
      readonly reason: Reason;
    }
  | {
      readonly type: 'task-ended';
      readonly task: string;
      readonly state: TaskEndState;
      readonly attempt: number;
      readonly attemptId?: string;
      readonly reason?: Reason;
    }
  /** Every task that had not ended was ended with the instance. */
  | { readonly type: 'remaining-ended'; readonly state: 'stopped'; readonly reason?: Reason }
  | { readonly type: 'command-parked'; readonly command: string; readonly reason: Reason }
  /** First in its entry: the doctor or the sweeper mended what `rule` found. What else changed by that follows in the same entry. */
  | { readonly type: 'repaired'; readonly rule: string; readonly by: string; readonly message: string };
