import type { InstanceState, TaskState } from './states.ts';
import type { GenerationMode } from './view.ts';

/** What an operator may ask of an instance, by its stable name. Those that are a `GenerationMode` begin a new generation of it. */
export type Operation = 'pause' | 'resume' | 'stop' | GenerationMode | 'skip-task' | 'set-priority';

/** What an operation is answered in some state. */
export type OperationAnswer =
  | { readonly kind: 'apply' }
  /** It is as asked: nothing is to be done, and that is no error. */
  | { readonly kind: 'already' }
  | { readonly kind: 'refuse'; readonly code: OperationRefusal; readonly message: string };

export type OperationRefusal =
  | 'instance-queued'
  | 'instance-stopping'
  | 'instance-ended'
  | 'instance-live'
  | 'nothing-to-recover'
  | 'unknown-task'
  | 'task-running'
  | 'task-ended'
  | 'task-not-failed';

const apply = { kind: 'apply' } as const;
const already = { kind: 'already' } as const;
const refuse = (code: OperationRefusal, message: string): OperationAnswer => ({ kind: 'refuse', code, message });

const queued = refuse(
  'instance-queued',
  'the instance waits for a place under the limit of its workflow and has not begun: stop it, or wait',
);
const stopping = refuse('instance-stopping', 'the instance is being stopped');
const ended = refuse('instance-ended', 'the instance has ended: rerun or recover it');
const live = refuse('instance-live', 'the instance has not ended: stop it, or wait for its end');
const nothingToRecover = refuse('nothing-to-recover', 'the instance succeeded: there is nothing to recover; rerun it');

type Row = Readonly<Record<InstanceState, OperationAnswer>>;

const ENDED = { succeeded: ended, failed: ended, stopped: ended };
const AGAIN: Row = {
  queued: live,
  running: live,
  pausing: live,
  paused: live,
  stopping: live,
  succeeded: apply,
  failed: apply,
  stopped: apply,
};
const WHILE_ALIVE: Row = { queued: apply, running: apply, pausing: apply, paused: apply, stopping, ...ENDED };

/** Each operation in each state of an instance. The engine, the API and the docs read the same table. */
export const OPERATION_TABLE: Readonly<Record<Operation, Row>> = {
  pause: { queued, running: apply, pausing: already, paused: already, stopping, ...ENDED },
  resume: { queued, running: already, pausing: apply, paused: apply, stopping, ...ENDED },
  stop: { queued: apply, running: apply, pausing: apply, paused: apply, stopping: already, ...ENDED },
  rerun: AGAIN,
  recover: { ...AGAIN, succeeded: nothingToRecover },
  from: AGAIN,
  only: AGAIN,
  'force-success': AGAIN,
  'skip-task': WHILE_ALIVE,
  'set-priority': WHILE_ALIVE,
};

const taskRunning = refuse('task-running', 'a worker has the task: wait for its end, or stop the instance');
const taskEnded = refuse('task-ended', 'the task has ended');
const taskNotFailed = refuse('task-not-failed', 'only a task that failed or was stopped can be forced to success');

type TaskRow = Readonly<Record<TaskState, OperationAnswer>>;

/** Where the instance's state lets it, the task's state decides. A task that an operator has skipped is skipped `already`. */
export const TASK_OPERATION_TABLE: Readonly<Record<'skip-task' | 'force-success', TaskRow>> = {
  'skip-task': {
    waiting: apply,
    delayed: apply,
    ready: apply,
    dispatched: taskRunning,
    running: taskRunning,
    succeeded: taskEnded,
    failed: taskEnded,
    skipped: taskEnded,
    stopped: taskEnded,
    lost: taskEnded,
  },
  'force-success': {
    // None of an ended instance is in one of these.
    waiting: taskNotFailed,
    delayed: taskNotFailed,
    ready: taskNotFailed,
    dispatched: taskNotFailed,
    running: taskNotFailed,
    succeeded: taskNotFailed,
    skipped: taskNotFailed,
    failed: apply,
    stopped: apply,
    lost: apply,
  },
};

/** The reason code of a task that an operator skipped. For what needs the task that counts like `succeeded`. */
export const SKIPPED_BY_OPERATOR = 'skipped-by-operator';

/** The reason code of a task that an operator forced to success. */
export const FORCED_SUCCESS = 'forced-success';

/** What skipping a task in this state is answered. */
export function answerSkip(state: TaskState, reasonCode: string | undefined): OperationAnswer {
  return state === 'skipped' && reasonCode === SKIPPED_BY_OPERATOR ? already : TASK_OPERATION_TABLE['skip-task'][state];
}

/** The tasks of an instance have a name that its version does not know. */
export function unknownTask(task: string): OperationAnswer & { readonly kind: 'refuse' } {
  return {
    kind: 'refuse',
    code: 'unknown-task',
    message: `the instance's version of the workflow has no task ${task}`,
  };
}
