import { readCounters } from '../counters.ts';
import type { Cluster } from '../cluster.ts';
import { figure } from '../figures.ts';
import type { Bar, Figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { checkAllSucceeded, dispatchWaits, hops, instanceEnd, instanceTimes, lastInstance } from '../timings.ts';
import { chain } from '../workflows.ts';

export interface ChainRuns {
  /** Milliseconds from the client's request to the committed end, as a client sees it. */
  readonly seen: number[];
  /** The same by the database's clock, from the row of the instance to the row of its end. */
  readonly inside: number[];
  readonly hops: number[];
  readonly dispatchWaits: number[];
}

const LOOK_MS = 2;

/** One chain after the other, warm. */
export async function runChains(cluster: Cluster, workflow: string, length: number, runs: number): Promise<ChainRuns> {
  const { database, rest } = cluster;
  const since = await lastInstance(database);
  const seen: number[] = [];
  for (let run = 0; run < runs; run++) {
    const began = performance.now();
    await instanceEnd(database, await rest.start(workflow), LOOK_MS);
    seen.push(performance.now() - began);
  }
  await checkAllSucceeded(database, since, runs, runs * length);
  return {
    seen,
    inside: await instanceTimes(database, since),
    hops: await hops(database, since),
    dispatchWaits: await dispatchWaits(database, since),
  };
}

export function chainFigures(
  prefix: string,
  runs: ChainRuns,
  bars: { total?: Bar; hop?: Bar } = {},
): Record<string, Figure> {
  return {
    [`${prefix} total`]: figure('ms', runs.seen, bars.total),
    [`${prefix} total inside`]: figure('ms', runs.inside),
    [`${prefix} hop`]: figure('ms', runs.hops, bars.hop),
    [`${prefix} ready to dispatched`]: figure('ms', runs.dispatchWaits),
  };
}

/** A chain of tasks that each compute `fibo(n)` in the worker's process. */
export function chainBench(length: number, n: number, usualRuns: number, bars: { total?: Bar; hop?: Bar }) {
  const name = `chain${length}`;
  return (options: BenchOptions): Promise<Measured> =>
    withCluster({ ...options, workers: 1, slots: 10 }, async (cluster) => {
      const runs = options.repetitions ?? usualRuns;
      const [worker] = cluster.workers;
      if (worker === undefined) throw new Error('there is no worker');
      await cluster.rest.publish(chain(name, length, n));
      await worker.join();
      const before = await readCounters(cluster.database);
      const warmUps = Math.ceil(runs / 2);
      await runChains(cluster, name, length, warmUps);
      const measured = await runChains(cluster, name, length, runs);
      const pure = (await worker.bareFibo(n)) * length;
      return {
        figures: {
          ...chainFigures(name, measured, bars),
          [`${name} pure computing`]: figure('ms', [pure]),
          [`${name} overhead`]: figure(
            'ms',
            measured.seen.map((total) => total - pure),
          ),
        },
        workload: { tasks: length, fibo: n, workers: 1, slots: 10, runs, warmUps },
        counted: { name: `${name}, warm-up included`, before, tasks: (warmUps + runs) * length },
      };
    });
}
