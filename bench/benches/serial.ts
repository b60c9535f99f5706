import type { Database } from '../database.ts';
import { readCounters } from '../counters.ts';
import { atMost, figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import { times } from '../rest.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { checkAllSucceeded, lastInstance, nothingLive, until } from '../timings.ts';
import { parallel } from '../workflows.ts';

const INSTANCES = 1000;
const WARM_UP = 100;
const WORKFLOW = 'one-by-one';

/** From the end of each instance to its successor: that it is running, and that its first task is. By the database's clock. */
async function successions(database: Database, since: number): Promise<{ running: number[]; task: number[] }> {
  const rows = await database.rows(
    `select extract(epoch from h.at - lag(e.ended_at) over (order by e.ended_at))::float8 * 1000 as running,
            extract(epoch from t.started_at - lag(e.ended_at) over (order by e.ended_at))::float8 * 1000 as task
       from instance_end e join finished_task t on t.instance_id = e.instance_id
       join history h on h.instance_id = e.instance_id and h.events @> '[{"type": "instance-started"}]'
      where e.instance_id > $1 order by e.ended_at offset 1`,
    [since],
  );
  const overlapping = rows.filter(({ running }) => Number(running) < 0);
  if (overlapping.length > 0) throw new Error(`${overlapping.length} instances began before the one before had ended`);
  return { running: rows.map(({ running }) => Number(running)), task: rows.map(({ task }) => Number(task)) };
}

/** `serial-wait`: so many queued at once, one after the other, with two masters that may each admit the next. */
export function serial(options: BenchOptions): Promise<Measured> {
  const instances = options.tasks ?? INSTANCES;
  return withCluster({ ...options, workers: 1, slots: 4, servers: 2 }, async ({ database, rest, workers }) => {
    await workers[0]?.join();
    await rest.publish({ ...parallel(WORKFLOW, 1), concurrency: { policy: 'serial-wait' } });
    await times(WARM_UP, 16, () => rest.start(WORKFLOW));
    await nothingLive(database);
    const before = await readCounters(database);
    const since = await lastInstance(database);
    const began = performance.now();
    await times(instances, 16, () => rest.start(WORKFLOW));
    const queued = performance.now() - began;
    await until('the last to end', 50, async () => (await database.number('select count(*) from live_instance')) === 0);
    const all = performance.now() - began;
    await checkAllSucceeded(database, since, instances, instances);
    const { running, task } = await successions(database, since);
    return {
      figures: {
        'end to next task running': figure('ms', task, atMost(20)),
        'end to next instance running': figure('ms', running),
        'all queued': figure('ms', [queued]),
        'instances per second': figure('/s', [(instances * 1000) / all]),
      },
      workload: { instances, masters: 2, workers: 1 },
      counted: { name: 'one start and one task each', before, tasks: instances },
    };
  });
}
