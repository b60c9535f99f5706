/** The worker's side of the task types. Only a worker imports this. */
import type { TaskRun } from './task-type.ts';

export { processorRun } from './processor/run.ts';

/**
 * How to run each task type but `processor`, which needs the functions of the worker: see `processorRun`. What a type
 * needs, drivers and all, is loaded with its first task.
 */
export const taskRuns: ReadonlyMap<string, TaskRun> = new Map<string, TaskRun>([
  ['shell', loadedOnce(() => import('./shell/run.ts'))],
  ['python', loadedOnce(() => import('./python/run.ts'))],
  ['node', loadedOnce(() => import('./node/run.ts'))],
  ['http', loadedOnce(() => import('./http/run.ts'))],
  ['sql', loadedOnce(() => import('./sql/run.ts'))],
]);

function loadedOnce(load: () => Promise<{ run: TaskRun }>): TaskRun {
  let run: TaskRun | undefined;
  return async (context) => {
    run ??= (await load()).run;
    return run(context);
  };
}
