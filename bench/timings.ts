import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from './database.ts';

const DEADLINE_MS = 120_000;

/** Looks until `look` answers true. @throws after two minutes */
export async function until(what: string, everyMs: number, look: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + DEADLINE_MS;
  while (!(await look())) {
    if (performance.now() > giveUpAt) throw new Error(`gave up after ${DEADLINE_MS / 1000} s: ${what}`);
    await pause(everyMs);
  }
}

const END = 'select state from instance_end where instance_id = $1';

/** Resolves when the end of this instance is committed. @throws when it did not succeed */
export async function instanceEnd(database: Database, id: string, everyMs: number): Promise<void> {
  let state: unknown;
  await until(`the end of instance ${id}`, everyMs, async () => {
    state = (await database.rows(END, [id]))[0]?.['state'];
    return state !== undefined;
  });
  if (state !== 'succeeded') throw new Error(`instance ${id} ended ${String(state)}`);
}

/** Resolves when nothing is live any more. */
export function nothingLive(database: Database): Promise<void> {
  return until(
    'all instances to end',
    20,
    async () => (await database.number('select count(*) from live_instance')) === 0,
  );
}

/** Resolves when this many tasks stand in line and no command waits. */
export function inLine(database: Database, tasks: number): Promise<void> {
  const waiting = 'select (select count(*) from ready) - 1e9 * (select count(*) from command)';
  return until(`${tasks} tasks in line`, 50, async () => (await database.number(waiting)) === tasks);
}

/** Instances get ids in order: those after this one are the measured ones. */
export function lastInstance(database: Database): Promise<number> {
  return database.number('select coalesce(max(id), 0) from workflow_instance');
}

/** @throws when not exactly these numbers of instances and tasks have ended since, all of them well */
export async function checkAllSucceeded(
  database: Database,
  since: number,
  instances: number,
  tasks: number,
): Promise<void> {
  const [row] = await database.rows(
    `select (select count(*) from instance_end where instance_id > $1 and state = 'succeeded')::int as instances,
            (select count(*) from finished_task where instance_id > $1 and state = 'succeeded')::int as tasks,
            (select count(*) from instance_end where instance_id > $1 and state <> 'succeeded')::int as "notInstances",
            (select count(*) from finished_task where instance_id > $1 and state <> 'succeeded')::int as "notTasks",
            (select count(*) from earlier_attempt where instance_id > $1)::int as again`,
    [since],
  );
  const found = JSON.stringify(row);
  const wanted = JSON.stringify({ instances, tasks, notInstances: 0, notTasks: 0, again: 0 });
  if (found !== wanted) throw new Error(`the work is not right: ${found} instead of ${wanted}`);
}

/** From a task's end to its successor's start, in milliseconds; for instances that are one chain. */
export async function hops(database: Database, since: number): Promise<number[]> {
  const rows = await database.rows(
    `select hop from (
       select extract(epoch from started_at - lag(ended_at) over (partition by instance_id order by ended_at, started_at))::float8 * 1000 as hop
         from finished_task where instance_id > $1) h where hop is not null`,
    [since],
  );
  return rows.map(({ hop }) => Number(hop));
}

/** Milliseconds in line before the dispatch, for each task. */
export async function dispatchWaits(database: Database, since: number): Promise<number[]> {
  const rows = await database.rows(
    'select extract(epoch from dispatched_at - ready_at)::float8 * 1000 as wait from finished_task where instance_id > $1',
    [since],
  );
  return rows.map(({ wait }) => Number(wait));
}

/** Seconds from the first dispatch to the last end of an instance. */
export function drainSeconds(database: Database, since: number): Promise<number> {
  return database.number(
    `select extract(epoch from (select max(ended_at) from instance_end where instance_id > $1)
                             - (select min(dispatched_at) from finished_task where instance_id > $1))::float8`,
    [since],
  );
}

/** Milliseconds from an instance's creation to its end, by the database's clock. */
export async function instanceTimes(database: Database, since: number): Promise<number[]> {
  const rows = await database.rows(
    `select extract(epoch from e.ended_at - i.created_at)::float8 * 1000 as took
       from workflow_instance i join instance_end e on e.instance_id = i.id where i.id > $1`,
    [since],
  );
  return rows.map(({ took }) => Number(took));
}
