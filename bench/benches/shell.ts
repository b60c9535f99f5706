import { startChild } from '../child.ts';
import type { Cluster } from '../cluster.ts';
import { readCounters } from '../counters.ts';
import { atLeast, figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { checkAllSucceeded, drainSeconds, instanceEnd, lastInstance } from '../timings.ts';
import { shells } from '../workflows.ts';

const COMMAND = 'echo 123';
const WORKFLOW = 'shell';

/** @returns tasks per second, from the first dispatch to the end */
async function runShells({ database, rest }: Cluster, tasks: number): Promise<number> {
  const since = await lastInstance(database);
  await instanceEnd(database, await rest.start(WORKFLOW), 20);
  await checkAllSucceeded(database, since, 1, tasks);
  const logs = await database.number('select coalesce(sum(size), 0) from log_chunk where instance_id > $1', [since]);
  if (logs !== tasks * '123\n'.length) throw new Error(`the logs hold ${logs} bytes instead of ${tasks * 4}`);
  return tasks / (await drainSeconds(database, since));
}

/** Shell tasks per second, against spawning the same from a small process; the two take turns. */
export function shell(options: BenchOptions): Promise<Measured> {
  const { tasks = 1000, repetitions = 5, slots = 8 } = options;
  return withCluster({ ...options, workers: 1, slots }, async (cluster) => {
    const bare = startChild('./bare-spawn.ts');
    try {
      const spawnBare = async (): Promise<number> => {
        const answer = await bare.ask({ type: 'spawn', command: COMMAND, count: tasks, width: slots }, 'spawned');
        return tasks / Number(answer['seconds']);
      };
      await cluster.rest.publish(shells(WORKFLOW, tasks, COMMAND));
      await cluster.workers[0]?.join();
      await runShells(cluster, tasks);
      await spawnBare();
      const before = await readCounters(cluster.database);
      const rates: number[] = [];
      const bareRates: number[] = [];
      for (let run = 0; run < repetitions; run++) {
        rates.push(await runShells(cluster, tasks));
        bareRates.push(await spawnBare());
      }
      return {
        figures: {
          'shell tasks': figure('tasks/s', rates, atLeast(300)),
          'bare spawns': figure('spawns/s', bareRates),
          'share of the bare rate': figure(
            '%',
            rates.map((rate, run) => (rate / (bareRates[run] ?? Number.NaN)) * 100),
            atLeast(60),
          ),
        },
        workload: { command: COMMAND, tasks, repetitions, workers: 1, slots },
        counted: { name: 'shell tasks', before, tasks: repetitions * tasks },
      };
    } finally {
      await bare.stop();
    }
  });
}
