import type { Evidence, EventRecord, Run, Violation } from './evidence.ts';

/**
 * A broadcast runs on every worker that was there when it began: once to its end on each where it succeeded, never on another for it. Who
 * was there, the history says.
 */
export function broadcasts({ instances, shapes }: Evidence, runs: ReadonlyMap<string, readonly Run[]>): Violation[] {
  return instances.flatMap(({ id, workflow, events }) => {
    const tasks = Object.entries(shapes.get(workflow)?.tasks ?? {}).filter(([, { broadcast }]) => broadcast);
    return tasks.flatMap(([task]) => {
      const own = events.filter((event) => event.task === task);
      const workers = new Map(
        own.flatMap(({ workers = [] }) => workers.map(({ incarnation, worker }) => [incarnation, worker] as const)),
      );
      const all = runs.get(`${id}/${task}`) ?? [];
      return [...ends(`${id}/${task}`, own, workers, all), ...strangers(`${id}/${task}`, workers, all)];
    });
  });
}

function ends(
  name: string,
  events: readonly EventRecord[],
  workers: ReadonlyMap<string, string>,
  runs: readonly Run[],
): Violation[] {
  const subtasks = events.filter(({ type }) => type === 'subtask-ended');
  const found: Violation[] = [];
  for (const { incarnation = '', state } of subtasks) {
    const worker = workers.get(incarnation);
    const complete = runs.filter((run) => run.worker === worker && run.end?.code === 0).length;
    if (worker === undefined)
      found.push({ rule: 'broadcast', detail: `${name} ended for incarnation ${incarnation}, which was not drafted` });
    else if (state === 'succeeded' && complete !== 1)
      found.push({
        rule: 'broadcast',
        detail: `${name} succeeded on ${worker}, where it ran to its end ${complete} times`,
      });
  }
  for (const [incarnation, list] of Map.groupBy(subtasks, (event) => event.incarnation ?? '')) {
    if (list.length > 1)
      found.push({ rule: 'broadcast', detail: `${name} ended ${list.length} times for incarnation ${incarnation}` });
  }
  const over = events.some(({ type }) => type === 'task-ended');
  if (over && workers.size > 0 && subtasks.length < workers.size)
    found.push({ rule: 'broadcast', detail: `${name} ended with ${subtasks.length} of ${workers.size} subtasks` });
  return found;
}

function strangers(name: string, workers: ReadonlyMap<string, string>, runs: readonly Run[]): Violation[] {
  const drafted = new Set(workers.values());
  return runs
    .filter(({ worker }) => !drafted.has(worker))
    .map(({ worker }) => ({ rule: 'broadcast', detail: `${name} ran on ${worker}, which was not asked to` }));
}
