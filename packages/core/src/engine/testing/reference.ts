import type { WorkflowDefinition } from '../../definition/model.ts';
import type { TaskEndState } from '../states.ts';

/** How one attempt of a task ends when it is left alone. */
export type Fate = 'succeeded' | 'failed' | 'lost';

/**
 * How a workflow ends with `onFailure: continue`, by its definition alone: tasks in the order of their needs, no counters, no events, no
 * batches. Written to be obviously right, not fast.
 *
 * @param fates how each attempt of a task would end, in order
 */
export function referenceEnds(
  definition: WorkflowDefinition,
  fates: (task: string) => readonly Fate[],
): { tasks: Map<string, TaskEndState>; instance: 'succeeded' | 'failed' } {
  const tasks = new Map<string, TaskEndState>();
  for (const task of Object.values(definition.tasks)) {
    const met = Object.entries(task.needs).every(([need, accepts]) => accepts.includes(tasks.get(need) ?? 'lost'));
    if (!met || task.if === 'false') tasks.set(task.id, 'skipped');
    else if (task.if !== undefined && task.if !== 'true') tasks.set(task.id, 'failed');
    else tasks.set(task.id, endOfAttempts(fates(task.id), task.retry.max, task.onLost?.retries ?? 3));
  }
  const failed = [...tasks].some(([id, end]) => end === 'failed' && definition.tasks[id]?.allowFailure !== true);
  return { tasks, instance: failed ? 'failed' : 'succeeded' };
}

function endOfAttempts(fates: readonly Fate[], retries: number, mostLosses: number): TaskEndState {
  let failures = 0;
  let losses = 0;
  for (const fate of fates) {
    if (fate === 'succeeded') return 'succeeded';
    if (fate === 'failed' && ++failures > retries) return 'failed';
    if (fate === 'lost' && ++losses > mostLosses) return 'failed';
  }
  return 'succeeded';
}
