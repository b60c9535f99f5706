import type { CountedInstance, InstanceDetail, TaskInstance } from '@keelson/protocol';

/** A task instance as the API gives it, waiting unless told otherwise. */
export function sampleTask(task: string, values: Partial<TaskInstance> = {}): TaskInstance {
  return {
    id: `7.1.${task}`,
    instanceId: '7',
    generation: 1,
    task,
    uses: 'shell',
    needs: [],
    state: 'waiting',
    attempt: 0,
    attemptId: null,
    maxAttempts: 1,
    worker: null,
    workerGroup: 'default',
    dueAt: null,
    readyAt: null,
    dispatchedAt: null,
    startedAt: null,
    endedAt: null,
    killReason: null,
    reason: null,
    progress: null,
    artifactCount: 0,
    ...values,
  };
}

/** One that ran from second 1 to second 2. */
export function endedTask(
  task: string,
  state: TaskInstance['state'],
  values: Partial<TaskInstance> = {},
): TaskInstance {
  return sampleTask(task, {
    state,
    attempt: 1,
    attemptId: '1',
    worker: 'w1',
    dispatchedAt: '2026-01-01T00:00:01Z',
    startedAt: '2026-01-01T00:00:01Z',
    endedAt: '2026-01-01T00:00:02.500Z',
    ...values,
  });
}

export function sampleInstance(tasks: readonly TaskInstance[], values: Partial<CountedInstance> = {}): CountedInstance {
  const counts: CountedInstance['counts'] = {};
  for (const { state } of tasks) counts[state] = (counts[state] ?? 0) + 1;
  return {
    id: '7',
    project: 'demo',
    workflow: 'daily',
    version: 3,
    generation: 1,
    state: 'running',
    reason: null,
    runTime: '2026-01-01T00:00:00Z',
    trigger: 'manual',
    priority: 0,
    unfinished: 1,
    createdBy: 'ann',
    createdAt: '2026-01-01T00:00:00Z',
    begunAt: '2026-01-01T00:00:00Z',
    endedAt: null,
    taskCount: tasks.length,
    counts,
    ...values,
  };
}

export function sampleDetail(tasks: readonly TaskInstance[], values: Partial<CountedInstance> = {}): InstanceDetail {
  return { ...sampleInstance(tasks, values), timezone: 'UTC', params: { day: '2026-01-01' }, tasks: [...tasks] };
}
