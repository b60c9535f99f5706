import { nameOf } from './evidence.ts';
import type { Evidence, InstanceRecord, Run, Violation } from './evidence.ts';

/** A task starts only after everything that it needs has ended, and ended well. */
export function order({ instances, shapes }: Evidence, runs: ReadonlyMap<string, readonly Run[]>): Violation[] {
  return instances.flatMap((instance) => {
    const tasks = shapes.get(instance.workflow)?.tasks ?? {};
    return Object.entries(tasks).flatMap(([task, { needs }]) => {
      const first = firstStart(runs.get(`${instance.id}/${task}`) ?? []);
      if (first === undefined) return [];
      return needs.flatMap((need) => unmet(instance, need, tasks[need]?.broadcast === true, first, runs));
    });
  });
}

function unmet(
  { id, tasks }: InstanceRecord,
  need: string,
  broadcast: boolean,
  first: { readonly run: Run; readonly place: number },
  runs: ReadonlyMap<string, readonly Run[]>,
): Violation[] {
  const before = runs.get(`${id}/${need}`) ?? [];
  const rule = 'order';
  const late = before.find(({ last }) => last.place > first.place);
  if (late !== undefined) {
    return [
      { rule, detail: `${nameOf(first.run)} started in line ${first.place + 1}, before the end of ${nameOf(late)}` },
    ];
  }
  if (broadcast) return [];
  const winner = tasks.find(({ task }) => task === need)?.attempt;
  const ended = before.some(({ attempt, end }) => attempt === winner && end?.code === 0);
  return ended
    ? []
    : [{ rule, detail: `${nameOf(first.run)} started although ${id}/${need}#${winner} had not ended well` }];
}

function firstStart(runs: readonly Run[]): { run: Run; place: number } | undefined {
  const starts = runs.flatMap((run) => run.starts.map(({ place }) => ({ run, place })));
  return starts.toSorted((a, b) => a.place - b.place)[0];
}
