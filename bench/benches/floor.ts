import type pg from 'pg';
import { costBetween, settledCounters } from '../counters.ts';
import type { Cost } from '../counters.ts';
import { openDatabase } from '../database.ts';
import type { Database } from '../database.ts';
import { figure } from '../figures.ts';
import type { Figure } from '../figures.ts';
import * as floor from '../floor-statements.ts';
import type { Statement } from '../floor-statements.ts';
import { readSettings } from '../result.ts';
import type { Measured } from '../result.ts';
import type { BenchOptions } from '../run.ts';

const BATCHES = [1, 10, 100, 500];
const SESSIONS = 2;
/** As the engine's sessions have them: hot tables are empty one moment and full the next, so statistics mislead. */
const PLANNING = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_bitmapscan: 'off',
  jit: 'off',
};
/** A batch of one is slow: it gets fewer tasks, so that each run takes about a second. */
const tasksFor = (batch: number, most: number): number => Math.min(most, batch * 2000);

type Call = readonly [Statement, readonly unknown[]];

/** All calls leave together: one round trip. */
async function flight(client: pg.Client, calls: readonly Call[]): Promise<pg.QueryResult[]> {
  return Promise.all(calls.map(([{ name, text }, values]) => client.query({ name, text, values: [...values] })));
}

const BEGIN: Call = [{ name: 'floor-begin', text: 'begin' }, []];
const COMMIT: Call = [{ name: 'floor-commit', text: 'commit' }, []];

const idsOf = (result: pg.QueryResult | undefined, column: string): string[] =>
  (result?.rows ?? []).map((row: Record<string, unknown>) => String(row[column]));

const ended = (tasks: readonly string[], attempts: readonly string[], last: boolean): string[] =>
  tasks.map((task, index) =>
    JSON.stringify([
      { type: 'task-ended', task, state: 'succeeded', attempt: 1, attemptId: attempts[index] },
      ...(last
        ? [{ type: 'instance-ended', state: 'succeeded' }]
        : [{ type: 'task-ready', task: `${task}x`, attempt: 1 }]),
    ]),
  );

/** One-task workflows in line → ended: a claim and a step for each batch, until the line is empty. */
async function drainLine(client: pg.Client, batch: number): Promise<number> {
  for (let done = 0; ;) {
    const [claimed] = await flight(client, [[floor.CLAIM, [batch]]]);
    const attempts = idsOf(claimed, 'id');
    const instances = idsOf(claimed, 'instance_id');
    if (attempts.length === 0) return done;
    const tasks = attempts.map(() => 't1');
    await flight(client, [BEGIN, [floor.LOCK, [instances]], [floor.ACTIVE, [attempts]]]);
    await flight(client, [
      [floor.FINISH, [instances, tasks, attempts]],
      [floor.RELEASE, [attempts]],
      [floor.NOTE, [instances, ended(tasks, attempts, true)]],
      [floor.END, [instances]],
      [floor.DELETE_LIVE, [instances]],
      [floor.DELETE_COMMANDS, [instances]],
      COMMIT,
    ]);
    done += attempts.length;
  }
}

/** As many chains as the batch is wide, side by side: each step ends a task of each and binds the next. */
async function hopChains(client: pg.Client, instances: readonly string[], length: number): Promise<number> {
  let [bound] = await flight(client, [[floor.BIND, [instances, instances.map(() => 't1')]]]);
  for (let hop = 1; hop <= length; hop++) {
    const attempts = idsOf(bound, 'id');
    const owners = idsOf(bound, 'instance_id');
    const tasks = owners.map(() => `t${hop}`);
    const next = owners.map(() => `t${hop + 1}`);
    await flight(client, [BEGIN, [floor.LOCK, [owners]], [floor.ACTIVE, [attempts]]]);
    const results = await flight(client, [
      [floor.UPDATE_LIVE, [owners]],
      [floor.FINISH, [owners, tasks, attempts]],
      [floor.RELEASE, [attempts]],
      [floor.NOTE, [owners, ended(tasks, attempts, false)]],
      [floor.BIND, [owners, next]],
      COMMIT,
    ]);
    bound = results[4];
  }
  return instances.length * length;
}

async function makeInstances(database: Database, count: number, unfinished: number): Promise<[number, number]> {
  const first = (await database.number('select coalesce(max(id), 0) from workflow_instance')) + 1;
  await database.rows(floor.MAKE_INSTANCES.text, [first, first + count - 1, unfinished]);
  return [first, first + count - 1];
}

interface Floor {
  readonly database: Database;
  readonly clients: readonly pg.Client[];
}

/** @returns tasks per second */
async function drainFloor({ database, clients }: Floor, batch: number, tasks: number): Promise<number> {
  const [first, last] = await makeInstances(database, tasks, 1);
  await database.rows(floor.MAKE_READY.text, [first, last]);
  const began = performance.now();
  const done = await Promise.all(clients.map((client) => drainLine(client, batch)));
  const seconds = (performance.now() - began) / 1000;
  const total = done.reduce((sum, one) => sum + one, 0);
  const ended = await database.number(
    "select count(*) from instance_end where instance_id >= $1 and state = 'succeeded'",
    [first],
  );
  if (total !== tasks || ended !== tasks)
    throw new Error(`${total} tasks and ${ended} instances ended instead of ${tasks}`);
  return tasks / seconds;
}

/** @returns tasks per second, or milliseconds per hop where one chain runs alone */
async function hopFloor({ database, clients }: Floor, batch: number, length: number): Promise<number> {
  const [first, last] = await makeInstances(database, batch, length + 1);
  const [client] = clients;
  if (client === undefined) throw new Error('there is no connection');
  const ids = Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
  const began = performance.now();
  const hops = await hopChains(client, ids, length);
  const took = performance.now() - began;
  const finished = await database.number('select count(*) from finished_task where instance_id >= $1', [first]);
  if (finished !== hops) throw new Error(`${finished} tasks finished instead of ${hops}`);
  await database.rows('truncate active');
  await database.rows('truncate live_instance');
  return hops / (took / 1000);
}

async function commitTimes({ database, clients: [client] }: Floor): Promise<number[]> {
  await database.rows('create table if not exists floor_commit (id bigint)');
  const times: number[] = [];
  for (let run = 0; run < 1000; run++) {
    const began = performance.now();
    await client?.query({ name: 'floor-one-row', text: 'insert into floor_commit values ($1)', values: [run] });
    times.push(performance.now() - began);
  }
  return times;
}

async function measure(setup: Floor, most: number, runs: number): Promise<Pick<Measured, 'figures' | 'costs'>> {
  const figures: Record<string, Figure> = {};
  const costs: Record<string, Cost> = {};
  const repeat = async (count: number, action: () => Promise<number>): Promise<number[]> => {
    const values: number[] = [];
    // A figure of the limit starts on tidy tables, and not while autovacuum clears up after the one before.
    await setup.database.rows('vacuum analyze');
    for (let run = 0; run <= count; run++) values.push(await action());
    return values.slice(1);
  };
  figures['one row and its commit'] = figure('ms', await commitTimes(setup));
  for (const batch of BATCHES) {
    const tasks = tasksFor(batch, most);
    figures[`drain, batches of ${batch}`] = figure(
      'tasks/s',
      await repeat(runs, () => drainFloor(setup, batch, tasks)),
    );
    if (batch !== BATCHES.at(-1)) continue;
    const before = await settledCounters(setup.database);
    await drainFloor(setup, batch, tasks);
    costs[`drain, batches of ${batch}`] = costBetween(before, await settledCounters(setup.database), tasks);
  }
  for (const batch of BATCHES) {
    const rates = await repeat(runs, () => hopFloor(setup, batch, batch === 1 ? 400 : 40));
    figures[`hops, ${batch} side by side`] = figure('tasks/s', rates);
    if (batch === 1)
      figures['hop of one chain alone'] = figure(
        'ms',
        rates.map((rate) => 1000 / rate),
      );
  }
  return { figures, costs };
}

async function connectAsTheEngine(database: Database): Promise<pg.Client> {
  const client = await database.connect();
  for (const [name, value] of Object.entries(PLANNING)) {
    await client.query('select set_config($1, $2, false)', [name, value]);
  }
  return client;
}

/** The rows of the engine in the batches of the engine, with no engine: what this PostgreSQL can do here at most. */
export async function floorBench(options: BenchOptions): Promise<Measured> {
  const { tasks = 20_000, repetitions = 3 } = options;
  const opening = openDatabase(options.log);
  const clients: pg.Client[] = [];
  const end = async (): Promise<void> => {
    await Promise.all(clients.map((client) => client.end()));
    await opening.then((database) => database.close());
  };
  const close = options.onInterrupt(end);
  const database = await opening;
  try {
    for (const table of ['workflow_instance', 'instance_end', 'finished_task', 'history']) {
      await database.rows(`create table ${table}_0 partition of ${table} for values from (0) to (1000000)`);
    }
    for (let session = 0; session < SESSIONS; session++) clients.push(await connectAsTheEngine(database));
    const { figures, costs = {} } = await measure({ database, clients }, tasks, repetitions);
    return {
      figures,
      costs,
      workload: { tasks, repetitions, drainSessions: SESSIONS, hopSessions: 1 },
      settings: await readSettings(database),
      complaints: [],
    };
  } finally {
    await close();
  }
}
