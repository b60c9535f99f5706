import { setTimeout as pause } from 'node:timers/promises';
import type { BenchWorker, Cluster } from '../cluster.ts';
import { readCounters } from '../counters.ts';
import { atMost, figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { checkAllSucceeded, lastInstance, nothingLive } from '../timings.ts';
import { probe } from '../workflows.ts';

const WORKFLOW = 'probe';
/** Long enough that nothing of the one before is under way any more. */
const IDLE_MS = 40;
const GIVE_UP_MS = 30_000;

interface Sample {
  readonly running: number;
  readonly answered: number;
}

/** Nanoseconds of the machine's monotonic clock, by instance, when its task ran. */
function listen(worker: BenchWorker): (id: string) => Promise<bigint> {
  const ran = new Map<string, bigint>();
  const waiting = new Map<string, (at: bigint) => void>();
  worker.onAnswer((answer) => {
    if (answer.type !== 'probe') return;
    const id = String(answer['instanceId']);
    const at = BigInt(String(answer['at']));
    ran.set(id, at);
    waiting.get(id)?.(at);
  });
  return (id) =>
    new Promise((resolve, reject) => {
      const at = ran.get(id);
      if (at !== undefined) return resolve(at);
      const timer = setTimeout(() => reject(new Error(`the task of instance ${id} did not run`)), GIVE_UP_MS);
      waiting.set(id, (later) => {
        clearTimeout(timer);
        resolve(later);
      });
    });
}

async function sample({ rest }: Cluster, ranAt: (id: string) => Promise<bigint>, runs: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let run = 0; run < runs; run++) {
    const began = process.hrtime.bigint();
    const id = await rest.start(WORKFLOW);
    const answered = process.hrtime.bigint();
    const ran = await ranAt(id);
    samples.push({ running: Number(ran - began) / 1e6, answered: Number(answered - began) / 1e6 });
    await pause(IDLE_MS);
  }
  return samples;
}

/** An idle system: from the client's request to the first line of the task. */
export function latency(options: BenchOptions): Promise<Measured> {
  const runs = options.repetitions ?? 300;
  return withCluster({ ...options, workers: 1, slots: 10 }, async (cluster) => {
    const { database, rest, workers } = cluster;
    const [worker] = workers;
    if (worker === undefined) throw new Error('there is no worker');
    await rest.publish(probe(WORKFLOW));
    await worker.join();
    const ranAt = listen(worker);
    await sample(cluster, ranAt, 100);
    const before = await readCounters(database);
    const since = await lastInstance(database);
    const samples = await sample(cluster, ranAt, runs);
    await nothingLive(database);
    await checkAllSucceeded(database, since, runs, runs);
    return {
      figures: {
        'request to task running': figure(
          'ms',
          samples.map(({ running }) => running),
          atMost(12),
        ),
        'request to answer': figure(
          'ms',
          samples.map(({ answered }) => answered),
        ),
      },
      workload: { runs, workers: 1, slots: 10, idleMsBetween: IDLE_MS },
      counted: { name: 'one start and one task each', before, tasks: runs },
    };
  });
}
