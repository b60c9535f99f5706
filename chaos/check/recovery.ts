import type { Injection } from '../injection.ts';
import type { Evidence, InstanceRecord, Run } from './evidence.ts';

/** Milliseconds; `count` faults. */
export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** How long a task waited that could have started: from its last need's end (or its creation, or its loss) to its start. */
export interface Wait {
  readonly name: string;
  readonly from: number;
  readonly until: number;
}

export interface Recovery {
  /** The longest wait of any task that met the fault, counted from the fault's begin. */
  readonly worstWait: Spread;
  /** From the fault's begin to the next start of any task. */
  readonly nextStart: Spread;
}

export function recoveries(
  evidence: Evidence,
  runs: ReadonlyMap<string, readonly Run[]>,
  injections: readonly Injection[],
): Map<string, Recovery> {
  const waits = evidence.instances.flatMap((instance) => waitsOf(instance, evidence, runs));
  const starts = waits.map(({ until }) => until).toSorted((a, b) => a - b);
  const groups = Map.groupBy(injections, ({ group }) => group);
  return new Map(
    [...groups].map(([group, members]) => {
      const worst = members.map(({ beganAt, healedAt }) => {
        const met = waits.filter(({ from, until }) => until > beganAt && from < healedAt);
        return Math.max(0, ...met.map(({ from, until }) => until - Math.max(from, beganAt)));
      });
      const next = members.flatMap(({ beganAt }) => {
        const start = starts.find((at) => at > beganAt);
        return start === undefined ? [] : [start - beganAt];
      });
      return [group, { worstWait: spread(worst), nextStart: spread(next) }];
    }),
  );
}

function waitsOf(
  { id, workflow, createdAt, tasks }: InstanceRecord,
  { shapes }: Evidence,
  runs: ReadonlyMap<string, readonly Run[]>,
): Wait[] {
  const shape = shapes.get(workflow);
  return Object.entries(shape?.tasks ?? {}).flatMap(([task, { needs, broadcast }]) => {
    if (broadcast || needs.some((need) => shape?.tasks[need]?.broadcast === true)) return [];
    const ends = needs.map((need) => {
      const winner = tasks.find((each) => each.task === need)?.attempt;
      return runs.get(`${id}/${need}`)?.find(({ attempt }) => attempt === winner)?.end?.wallMs;
    });
    const attempts = (runs.get(`${id}/${task}`) ?? []).toSorted((a, b) => a.attempt - b.attempt);
    return attempts.flatMap((run, index): Wait[] => {
      const start = run.starts[0];
      const before = attempts[index - 1];
      // What failed by itself waits for its retry's delay, which is no fault of the system.
      if (start === undefined || before?.end !== undefined) return [];
      const from = before?.last.wallMs ?? Math.max(createdAt, ...ends.map((end) => end ?? Number.POSITIVE_INFINITY));
      return Number.isFinite(from) ? [{ name: `${id}/${task}#${run.attempt}`, from, until: start.wallMs }] : [];
    });
  });
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0);
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}
