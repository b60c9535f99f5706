import type { TaskDefinition, WorkflowDefinition } from '../definition/model.ts';

/**
 * A task as a workflow file's shortest form would give it, for tests: a shell task that does nothing, is tried once and
 * needs the success of `needs`. `more` replaces any of its keys.
 */
export function taskOf(id: string, needs: readonly string[] = [], more: Partial<TaskDefinition> = {}): TaskDefinition {
  return {
    id,
    labels: {},
    uses: 'shell',
    with: { script: 'true' },
    needs: Object.fromEntries(needs.map((need) => [need, ['succeeded'] as const])),
    env: {},
    retry: { max: 0, delayMs: 0, backoff: 'fixed', maxDelayMs: 1000 },
    delayMs: 0,
    priority: 0,
    workerGroup: 'default',
    allowFailure: false,
    ...more,
  };
}

/** A workflow `w` of project `p` with these tasks in this order, for tests; `onFailure` is `continue`. `more` replaces any of its keys. */
export function workflowOf(
  tasks: readonly TaskDefinition[],
  more: Partial<WorkflowDefinition> = {},
): WorkflowDefinition {
  return {
    name: 'w',
    project: 'p',
    labels: {},
    timezone: 'UTC',
    params: {},
    files: [],
    triggers: [],
    concurrency: { policy: 'parallel' },
    onFailure: 'continue',
    tasks: Object.fromEntries(tasks.map((task) => [task.id, task])),
    ...more,
  };
}
