import { TASK_END_STATES } from '@keelson/core';
import type { TaskState } from '@keelson/core';
import { ApiError } from '@keelson/protocol';
import { taskInstanceId } from '@keelson/store';
import type { Store, TaskAttempt, TaskInstanceKey } from '@keelson/store';
import { requireTask } from './task-instances.ts';

/** Something that writes logs, attempt after attempt: a task instance, or a broadcast's subtask on one worker. */
export interface LoggedRun {
  readonly name: string;
  look(): Promise<RunState>;
  attempts(): Promise<readonly TaskAttempt[]>;
}

export interface RunState {
  /** 0 while there is none. */
  readonly attempt: number;
  /** Null: it has not run. */
  readonly attemptId: string | null;
  readonly state: TaskState;
  readonly ended: boolean;
}

/** Throws `unknown-task-instance`; reading throws `unknown-attempt` for a worker that has no part in the broadcast. */
export async function loggedRun(store: Store, key: TaskInstanceKey, worker: string | undefined): Promise<LoggedRun> {
  const name = taskInstanceId(key);
  const hasEnded = (state: string): boolean => (TASK_END_STATES as readonly string[]).includes(state);
  if (worker === undefined) {
    return {
      name,
      attempts: () => store.instances.attempts(key),
      look: async () => {
        const { attempt, attemptId, state } = await requireTask(store, key);
        return { attempt, attemptId, state, ended: hasEnded(state) };
      },
    };
  }
  await requireTask(store, key);
  return {
    name: `${name} on ${worker}`,
    attempts: () => store.instances.subtaskAttempts(key, worker),
    look: async () => {
      const found = (await store.instances.subtasks(key)).findLast((one) => one.worker === worker);
      if (found === undefined)
        throw new ApiError('unknown-attempt', `${name} has no subtask on a worker ${JSON.stringify(worker)}`);
      const { attempt, attemptId } = found;
      const state = found.state === 'bound' ? 'ready' : found.state;
      return { attempt, attemptId, state, ended: hasEnded(state) };
    },
  };
}
