import type { Cluster } from '../cluster.ts';
import { atMost, figure, median } from '../figures.ts';
import type { Figure } from '../figures.ts';
import { fillHistory } from '../history-fill.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { lastInstance, nothingLive } from '../timings.ts';
import { chain, layers, parallel } from '../workflows.ts';
import { chainFigures, runChains } from './chain.ts';
import { drainOnce, oneTaskWorkflows } from './drain.ts';
import type { Load } from './drain.ts';

const HISTORY = 1_000_000;
const CHAIN = 'chain40';
const LENGTH = 40;
const DEPTH = 10;
/** Tasks of a DAG; all three sizes do the same number of tasks in all. */
const SIZES = [100, 1000, 10_000];
const WITHIN_HISTORY = atMost(20);
const WITHIN_SIZE = atMost(25);

interface Pace {
  readonly chains: number[];
  readonly figures: Record<string, Figure>;
  /** Tasks per second. */
  readonly drains: number[];
}

async function pace(cluster: Cluster, label: string, tasks: number, runs: number): Promise<Pace> {
  const [worker] = cluster.workers;
  await worker?.join();
  await runChains(cluster, CHAIN, LENGTH, 10);
  const chains = await runChains(cluster, CHAIN, LENGTH, 20);
  await worker?.leave();
  const drains = await drainRates(cluster, oneTaskWorkflows(tasks), runs);
  return {
    chains: chains.seen,
    drains,
    figures: { ...chainFigures(`chain40 ${label}`, chains), [`drain ${label}`]: figure('tasks/s', drains) },
  };
}

/** After one that warms up. */
async function drainRates(cluster: Cluster, load: Load, runs: number): Promise<number[]> {
  await drainOnce(cluster, load);
  const rates: number[] = [];
  for (let run = 0; run < runs; run++) rates.push(load.tasks / (await drainOnce(cluster, load)).seconds);
  return rates;
}

/** Microseconds per task for DAGs of three sizes, the same number of tasks each. */
async function bySize(cluster: Cluster, runs: number): Promise<Record<string, Figure>> {
  const most = Math.max(...SIZES);
  const costs = new Map<number, number[]>();
  for (const size of SIZES) {
    const workflow = `dag${size}`;
    await cluster.rest.publish(layers(workflow, DEPTH, size / DEPTH));
    const load = { workflow, instances: most / size, tasks: most, firstInLine: most / DEPTH };
    costs.set(
      size,
      (await drainRates(cluster, load, runs)).map((rate) => 1e6 / rate),
    );
  }
  const figures: Record<string, Figure> = {};
  for (const [size, micros] of costs) figures[`per task, DAG of ${size}`] = figure('µs', micros);
  const [smallest = []] = costs.values();
  const largest = costs.get(most) ?? [];
  figures['DAG of 10000 over DAG of 100'] = figure('% more', [more(median(largest), median(smallest))], WITHIN_SIZE);
  return figures;
}

/** The server takes ids in blocks: those that it took before the history was filled are older than the history. */
async function useUpOlderIds({ database, rest, workers }: Cluster, filledTo: number): Promise<void> {
  while ((await lastInstance(database)) === filledTo) await rest.start('single');
  for (const worker of workers) await worker.join();
  await nothingLive(database);
  for (const worker of workers) await worker.leave();
}

const more = (now: number, before: number): number => (now / before - 1) * 100;

/** The cost of a task with an empty and with a full history, and in small and in large DAGs. */
export function growth(options: BenchOptions): Promise<Measured> {
  const { tasks = 10_000, repetitions = 3, slots = 500 } = options;
  return withCluster({ ...options, workers: 1, slots }, async (cluster) => {
    const { database, rest } = cluster;
    await rest.publish(chain(CHAIN, LENGTH, 10));
    await rest.publish(parallel('single', 1));
    // First, so that both paces are those of warm processes.
    const sizes = await bySize(cluster, repetitions);
    const empty = await pace(cluster, 'with no history', tasks, repetitions);
    await fillHistory(database, CHAIN, HISTORY);
    const filledTo = await lastInstance(database);
    await useUpOlderIds(cluster, filledTo);
    const full = await pace(cluster, 'with 1,000,000', tasks, repetitions);
    return {
      figures: {
        ...empty.figures,
        ...full.figures,
        'chain40 with history over without': figure(
          '% more',
          [more(median(full.chains), median(empty.chains))],
          WITHIN_HISTORY,
        ),
        'drain with history over without': figure(
          '% more',
          [more(1 / median(full.drains), 1 / median(empty.drains))],
          WITHIN_HISTORY,
        ),
        ...sizes,
      },
      workload: {
        history: HISTORY,
        filledTo,
        tasks,
        repetitions,
        workers: 1,
        slots,
        dagTasks: Math.max(...SIZES),
        dagDepth: DEPTH,
      },
    };
  });
}
