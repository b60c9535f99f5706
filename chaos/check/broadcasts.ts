import type { Evidence, Run, Violation } from './evidence.ts';

/**
 * A broadcast runs on every worker that was there when it began: once on each that lives to its end, never on another for it. Who was
 * there, the history says.
 */
export function broadcasts({ instances, shapes }: Evidence, runs: ReadonlyMap<string, readonly Run[]>): Violation[] {
  return instances.flatMap(({ id, workflow, events }) => {
    const tasks = Object.entries(shapes.get(workflow)?.tasks ?? {}).filter(([, { broadcast }]) => broadcast);
    return tasks.flatMap(([task]) => {
      const ended = events.filter((event) => event.type === 'subtask-ended' && event.task === task);
      const all = runs.get(`${id}/${task}`) ?? [];
      return [...perWorker(`${id}/${task}`, ended, all), ...strangers(`${id}/${task}`, ended, all)];
    });
  });
}

function perWorker(
  name: string,
  ended: readonly { state?: string; worker?: string }[],
  runs: readonly Run[],
): Violation[] {
  return ended.flatMap(({ state, worker }) => {
    const complete = runs.filter((run) => run.worker === worker && run.end?.code === 0).length;
    if (state !== 'succeeded' || complete === 1) return [];
    return [{ rule: 'broadcast', detail: `${name} succeeded on ${worker}, where it ran to its end ${complete} times` }];
  });
}

function strangers(name: string, ended: readonly { worker?: string }[], runs: readonly Run[]): Violation[] {
  const drafted = new Set(ended.map(({ worker }) => worker));
  return runs
    .filter(({ worker }) => !drafted.has(worker))
    .map(({ worker }) => ({ rule: 'broadcast', detail: `${name} ran on ${worker}, which was not asked to` }));
}
