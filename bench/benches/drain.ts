import type { Cluster } from '../cluster.ts';
import { costBetween, settledCounters } from '../counters.ts';
import type { Cost } from '../counters.ts';
import { atLeast, figure } from '../figures.ts';
import type { Bar } from '../figures.ts';
import { times } from '../rest.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { checkAllSucceeded, drainSeconds, inLine, lastInstance, nothingLive } from '../timings.ts';
import { parallel } from '../workflows.ts';

/** What is enqueued while no worker is there. */
export interface Load {
  readonly workflow: string;
  readonly instances: number;
  /** In all of them together. */
  readonly tasks: number;
  /** How many of them are in line before anything has run. */
  readonly firstInLine: number;
}

export interface Drained {
  readonly seconds: number;
  readonly enqueueing?: Cost;
  readonly draining?: Cost;
}

const START_WIDTH = 32;

/**
 * Starts everything through REST while no worker is there, waits until it stands in line, then lets the workers join.
 * The clock runs from the first dispatch to the last end, by the database.
 */
export async function drainOnce(cluster: Cluster, load: Load, counted = false): Promise<Drained> {
  const { database, rest, workers } = cluster;
  const since = await lastInstance(database);
  const counters = () => (counted ? settledCounters(database) : undefined);
  const empty = await counters();
  await times(load.instances, START_WIDTH, () => rest.start(load.workflow));
  await inLine(database, load.firstInLine);
  const enqueued = await counters();
  await Promise.all(workers.map((worker) => worker.join()));
  await nothingLive(database);
  const drained = await counters();
  await Promise.all(workers.map((worker) => worker.leave()));
  await checkAllSucceeded(database, since, load.instances, load.tasks);
  const seconds = await drainSeconds(database, since);
  if (empty === undefined || enqueued === undefined || drained === undefined) return { seconds };
  return {
    seconds,
    enqueueing: costBetween(empty, enqueued, load.tasks),
    draining: costBetween(enqueued, drained, load.tasks),
  };
}

/** @returns tasks per second of each run, after a warm-up, and what the last one cost */
export async function drainRuns(cluster: Cluster, load: Load, runs: number, bar?: Bar) {
  await drainOnce(cluster, load);
  const rates: number[] = [];
  let last: Drained | undefined;
  for (let run = 1; run <= runs; run++) {
    last = await drainOnce(cluster, load, run === runs);
    rates.push(load.tasks / last.seconds);
  }
  return { rate: figure('tasks/s', rates, bar), cost: last };
}

export function oneTaskWorkflows(tasks: number): Load {
  return { workflow: 'single', instances: tasks, tasks, firstInLine: tasks };
}

/** 10,000 workflows of one task each, and one workflow of 10,000 parallel tasks. */
export function drain(options: BenchOptions): Promise<Measured> {
  const { tasks = 10_000, repetitions = 5, slots = 500 } = options;
  return withCluster({ ...options, workers: 1, slots }, async (cluster) => {
    await cluster.rest.publish(parallel('single', 1));
    await cluster.rest.publish(parallel('wide', tasks));
    const many = await drainRuns(cluster, oneTaskWorkflows(tasks), repetitions, atLeast(5000));
    const wide = { workflow: 'wide', instances: 1, tasks, firstInLine: tasks };
    const one = await drainRuns(cluster, wide, repetitions, atLeast(5000));
    return {
      figures: { 'one-task workflows': many.rate, 'one workflow of parallel tasks': one.rate },
      costs: named({ 'one-task workflows': many.cost, 'one workflow': one.cost }),
      workload: { tasks, repetitions, workers: 1, slots },
    };
  });
}

function named(drained: Readonly<Record<string, Drained | undefined>>): Record<string, Cost> {
  const costs: Record<string, Cost> = {};
  for (const [name, one] of Object.entries(drained)) {
    if (one?.enqueueing) costs[`${name}: enqueueing`] = one.enqueueing;
    if (one?.draining) costs[`${name}: draining`] = one.draining;
  }
  return costs;
}
