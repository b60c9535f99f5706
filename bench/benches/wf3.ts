import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster } from '../cluster.ts';
import { readCounters } from '../counters.ts';
import { atLeast, atMost, figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { checkAllSucceeded, instanceEnd, instanceTimes, lastInstance, nothingLive } from '../timings.ts';
import { chain } from '../workflows.ts';

const STEPS = 3;
const WORKFLOW = 'wf3';
const IN_FLIGHT = 200;
const SLOTS = 200;
const LOOK_MS = 1;
const TOP_UP_MS = 4;

/** Milliseconds from the request to the committed end, as a client sees it. */
async function oneAtATime(cluster: Cluster, runs: number): Promise<number[]> {
  const seen: number[] = [];
  for (let run = 0; run < runs; run++) {
    const began = performance.now();
    await instanceEnd(cluster.database, await cluster.rest.start(WORKFLOW), LOOK_MS);
    seen.push(performance.now() - began);
  }
  return seen;
}

/**
 * Keeps about 200 instances under way until this many have ended.
 *
 * @returns instances per second, from the first one's creation to the last one's end
 */
async function throughput({ database, rest }: Cluster, instances: number): Promise<number> {
  const since = await lastInstance(database);
  let started = 0;
  let answered = 0;
  const failures: unknown[] = [];
  while (started < instances) {
    const live = await database.number('select count(*) from live_instance');
    const room = Math.min(IN_FLIGHT - live - (started - answered), instances - started);
    for (let index = 0; index < room; index++) {
      started++;
      void rest.start(WORKFLOW).then(
        () => answered++,
        (error: unknown) => failures.push(error),
      );
    }
    if (failures.length > 0) throw failures[0];
    await pause(TOP_UP_MS);
  }
  while (answered < instances && failures.length === 0) await pause(TOP_UP_MS);
  if (failures.length > 0) throw failures[0];
  await nothingLive(database);
  await checkAllSucceeded(database, since, instances, instances * STEPS);
  const seconds = await database.number(
    `select extract(epoch from (select max(ended_at) from instance_end where instance_id > $1)
                             - (select min(created_at) from workflow_instance where id > $1))::float8`,
    [since],
  );
  return instances / seconds;
}

/** Workflows of three trivial steps: latency one at a time, and throughput with 200 in flight. */
export function wf3(options: BenchOptions): Promise<Measured> {
  const { repetitions = 3, tasks = 12_000 } = options;
  const instances = Math.ceil(tasks / STEPS);
  return withCluster({ ...options, workers: 1, slots: SLOTS }, async (cluster) => {
    const { database, rest, workers } = cluster;
    await rest.publish(chain(WORKFLOW, STEPS, 1));
    await workers[0]?.join();
    await oneAtATime(cluster, 200);
    await throughput(cluster, instances);
    const since = await lastInstance(database);
    const seen = await oneAtATime(cluster, 300);
    const inside = await instanceTimes(database, since);
    const before = await readCounters(database);
    const rates: number[] = [];
    for (let run = 0; run < repetitions; run++) rates.push(await throughput(cluster, instances));
    return {
      figures: {
        'one at a time': figure('ms', seen, atMost(10)),
        'one at a time, inside': figure('ms', inside),
        '200 in flight': figure('wf/s', rates, atLeast(1500)),
      },
      workload: { steps: STEPS, inFlight: IN_FLIGHT, instances, repetitions, workers: 1, slots: SLOTS },
      counted: { name: '200 in flight', before, tasks: repetitions * instances * STEPS },
    };
  });
}
