import type { Bar } from '../figures.ts';
import { figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { until } from '../timings.ts';

const RUNS = 60;
const DELAY_MS = 1000;
const MOST_MS = 1050;
const BAR: Bar = { bound: 'at most', value: MOST_MS, of: 'p99' };

/** `fixedDelay: 1s`: from the end of an instance to the start of the next. */
export function fixedDelay(options: BenchOptions): Promise<Measured> {
  const runs = options.repetitions ?? RUNS;
  return withCluster({ ...options, workers: 1, slots: 4, servers: 2 }, async ({ database, rest, workers }) => {
    await workers[0]?.join();
    const tasks = { t1: { uses: 'processor', with: { processor: 'noop' } } };
    await rest.publish({ name: 'again', tasks, triggers: [{ id: 'again', fixedDelay: `${DELAY_MS}ms` }] });
    const ended = 'select count(*) from instance_end';
    await until(`${runs} runs`, DELAY_MS, async () => (await database.number(ended)) >= runs + 4);
    const rows = await database.rows(
      `select extract(epoch from i.created_at - lag(e.ended_at) over (order by i.run_time))::float8 * 1000 as made,
              extract(epoch from t.started_at - lag(e.ended_at) over (order by i.run_time))::float8 * 1000 as ran
         from workflow_instance i join instance_end e on e.instance_id = i.id join finished_task t on t.instance_id = i.id order by i.run_time offset 2 limit $1`,
      [runs],
    );
    const early = rows.filter(({ made }) => Number(made) < DELAY_MS);
    if (rows.length < runs || early.length > 0)
      throw new Error(`${rows.length} of ${runs} runs are there, ${early.length} of them too early`);
    return {
      figures: {
        'end to next instance': figure(
          'ms',
          rows.map(({ made }) => Number(made)),
          BAR,
        ),
        'end to next task running': figure(
          'ms',
          rows.map(({ ran }) => Number(ran)),
        ),
      },
      workload: { runs, delayMs: DELAY_MS, masters: 2, workers: 1 },
    };
  });
}
