import type { Cluster } from '../cluster.ts';
import { readCounters } from '../counters.ts';
import { atMost, figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { checkAllSucceeded, instanceEnd, instanceTimes, lastInstance } from '../timings.ts';
import { diamond, parallel } from '../workflows.ts';

const WIDTH = 1000;
const SPREAD = 400;
const WORKERS = 10;
const LOOK_MS = 5;

interface Runs {
  readonly seen: number[];
  readonly inside: number[];
  readonly since: number;
}

async function runAll({ database, rest }: Cluster, workflow: string, tasks: number, runs: number): Promise<Runs> {
  const since = await lastInstance(database);
  const seen: number[] = [];
  for (let run = 0; run < runs; run++) {
    const began = performance.now();
    await instanceEnd(database, await rest.start(workflow), LOOK_MS);
    seen.push(performance.now() - began);
  }
  await checkAllSucceeded(database, since, runs, runs * tasks);
  return { seen, inside: await instanceTimes(database, since), since };
}

/** Share of the tasks that the busiest worker ran, per run; a tenth is an even spread. */
async function busiest({ database }: Cluster, since: number): Promise<number[]> {
  const rows = await database.rows(
    `select max(n)::float8 / sum(n)::float8 * 100 as share from (
       select instance_id, incarnation_id, count(*) as n from finished_task where instance_id > $1 group by 1, 2) w
      group by instance_id`,
    [since],
  );
  return rows.map(({ share }) => Number(share));
}

/** One task → 1,000 → one, with one worker. */
function fanoutToOneWorker(options: BenchOptions, runs: number): Promise<Measured> {
  return withCluster({ ...options, workers: 1, slots: WIDTH }, async (cluster) => {
    const tasks = WIDTH + 2;
    await cluster.rest.publish(diamond('fanout', WIDTH));
    await cluster.workers[0]?.join();
    const before = await readCounters(cluster.database);
    const warmUps = await runAll(cluster, 'fanout', tasks, runs);
    const { seen, inside } = await runAll(cluster, 'fanout', tasks, runs);
    return {
      figures: {
        '1 → 1,000 → 1': figure('ms', seen, atMost(500)),
        '1 → 1,000 → 1, inside': figure('ms', inside),
      },
      workload: { width: WIDTH, runs, warmUps: warmUps.seen.length, workers: 1, slots: WIDTH },
      counted: { name: '1 → 1,000 → 1, warm-up included', before, tasks: 2 * runs * tasks },
    };
  });
}

/** 400 tasks over 10 worker processes. */
function spreadOverWorkers(options: BenchOptions, runs: number): Promise<Measured> {
  const slots = SPREAD / WORKERS;
  return withCluster({ ...options, workers: WORKERS, slots }, async (cluster) => {
    await cluster.rest.publish(parallel('spread', SPREAD));
    for (const worker of cluster.workers) await worker.join();
    const before = await readCounters(cluster.database);
    await runAll(cluster, 'spread', SPREAD, runs);
    const { seen, inside, since } = await runAll(cluster, 'spread', SPREAD, runs);
    return {
      figures: {
        '400 over 10 workers': figure('ms', seen),
        '400 over 10 workers, inside': figure('ms', inside),
        'share of the busiest of 10': figure('%', await busiest(cluster, since)),
      },
      workload: { spread: SPREAD, spreadWorkers: WORKERS, spreadSlots: slots },
      counted: { name: '400 over 10, warm-up included', before, tasks: 2 * runs * SPREAD },
    };
  });
}

/** A wide step in a workflow, with one worker and with ten. */
export async function fanout(options: BenchOptions): Promise<Measured> {
  const runs = options.repetitions ?? 10;
  const wide = await fanoutToOneWorker(options, runs);
  const spread = await spreadOverWorkers(options, runs);
  return {
    figures: { ...wide.figures, ...spread.figures },
    costs: { ...wide.costs, ...spread.costs },
    workload: { ...wide.workload, ...spread.workload },
    settings: wide.settings,
    complaints: [...wide.complaints, ...spread.complaints],
  };
}
