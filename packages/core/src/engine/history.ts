import type { Reason } from './reason.ts';
import type { AttemptEnd, InstanceEndState, SubtaskEndState, TaskEndState } from './states.ts';
import type { SnapshotWorker } from './view.ts';

/** What the history says. Folding an instance's events in order gives its rows again; `docs/history.md` lists them. */
export type HistoryEvent =
  | { readonly type: 'instance-created'; readonly by: string; readonly version: string }
  | { readonly type: 'instance-started'; readonly tasks: number }
  | { readonly type: 'stop-requested'; readonly by: string }
  | { readonly type: 'failure-ends-instance'; readonly task: string }
  | { readonly type: 'instance-ended'; readonly state: InstanceEndState; readonly reason?: Reason }
  | {
      readonly type: 'task-delayed';
      readonly task: string;
      readonly attempt: number;
      readonly cause: 'delay' | 'retry';
      readonly delayMs: number;
    }
  | { readonly type: 'task-ready'; readonly task: string; readonly attempt: number }
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
