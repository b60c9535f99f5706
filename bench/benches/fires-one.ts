import { setTimeout as pause } from 'node:timers/promises';
import { atMost, figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';

const RUNS = 300;
/** Long enough that nothing of the one before is under way any more. */
const EVERY_MS = 200;

/** A single schedule, and a system that has nothing else to do. */
export function firesOne(options: BenchOptions): Promise<Measured> {
  const runs = options.repetitions ?? RUNS;
  return withCluster({ ...options, workers: 1, slots: 4, servers: 2 }, async ({ database, rest, workers }) => {
    await workers[0]?.join();
    const tasks = { t1: { uses: 'processor', with: { processor: 'noop' } } };
    await rest.publish({ name: 'often', tasks, triggers: [{ id: 'often', fixedRate: `${EVERY_MS}ms` }] });
    await pause((runs + 20) * EVERY_MS);
    // The first ones come while everything is opened and compiled.
    const rows = await database.rows(
      `select extract(epoch from i.created_at - i.run_time)::float8 * 1000 as made, extract(epoch from t.started_at - i.run_time)::float8 * 1000 as ran
         from workflow_instance i join finished_task t on t.instance_id = i.id order by i.run_time offset 10 limit $1`,
      [runs],
    );
    if (rows.length < runs) throw new Error(`${rows.length} of ${runs} fires are there`);
    return {
      figures: {
        'due to instance': figure(
          'ms',
          rows.map(({ made }) => Number(made)),
          atMost(20),
        ),
        'due to task running': figure(
          'ms',
          rows.map(({ ran }) => Number(ran)),
        ),
      },
      workload: { runs, everyMs: EVERY_MS, masters: 2, workers: 1 },
    };
  });
}
