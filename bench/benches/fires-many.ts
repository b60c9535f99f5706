import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster } from '../cluster.ts';
import type { Database } from '../database.ts';
import { figure, p99AtMost } from '../figures.ts';
import type { Definition } from '../rest.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { nothingLive } from '../timings.ts';

const SCHEDULES = 10_000;
const ROUNDS = 5;
const SERVERS = 3;
const BUNDLE = 500;
const LEAD_MS = 6000;
const LOOK_MS = 20;
const GIVE_UP_MS = 60_000;

/**
 * So many schedules, each of a workflow of its own, all due at the same moment; a master is killed while they fire. Lags are what another session
 * sees: a fire counts from the first look that finds it committed, and its instance with it.
 */
export function firesMany(options: BenchOptions): Promise<Measured> {
  const schedules = options.tasks ?? SCHEDULES;
  const rounds = options.repetitions ?? ROUNDS;
  return withCluster({ ...options, workers: 1, slots: 50, servers: SERVERS }, async (cluster) => {
    const { database, rest, workers } = cluster;
    for (let from = 0; from < schedules; from += BUNDLE)
      await rest.publishAll(Array.from({ length: Math.min(BUNDLE, schedules - from) }, (_, at) => nightly(from + at)));
    await database.rows('vacuum analyze');
    await workers[0]?.join();
    await crowd(cluster, schedules, undefined);
    const quiet = await crowd(cluster, schedules, undefined);
    const lags: number[] = [];
    const last: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const killed = await crowd(cluster, schedules, 50 + Math.random() * 300);
      lags.push(...killed);
      last.push(Math.max(...killed));
    }
    return {
      figures: {
        'lag, a master killed': figure('ms', lags, p99AtMost(1000)),
        'the last of each crowd': figure('ms', last),
        'lag, nothing killed': figure('ms', quiet),
        'lost or doubled': figure('fires', [0]),
      },
      workload: { schedules, rounds, masters: SERVERS, workers: 1 },
    };
  });
}

function nightly(index: number): Definition {
  return {
    name: `nightly-${index}`,
    params: { day: { type: 'date', default: "${{ shift(run.time, '-1d') }}" } },
    triggers: [{ id: 'nightly', cron: '0 0 3 1 1 ?', timezone: 'Asia/Shanghai' }],
    tasks: { t1: { uses: 'processor', with: { processor: 'noop' } } },
  };
}

/** Lets all schedules be due at one moment; answers how late each was. Throws when one is lost or doubled. */
async function crowd(cluster: Cluster, schedules: number, killAfterMs: number | undefined): Promise<number[]> {
  const { database, servers } = cluster;
  const due = await makeDue(database);
  const victim = servers.at(-1);
  const wait = due - Date.now();
  const kill = async (afterMs: number): Promise<void> => {
    await pause(wait + afterMs);
    await victim?.kill();
  };
  const killing = killAfterMs === undefined ? undefined : kill(killAfterMs);
  await pause(Math.max(0, wait - 50));
  const lags = await watch(database, due, schedules);
  await killing;
  await check(database, due, schedules);
  await nothingLive(database);
  if (killAfterMs !== undefined) await victim?.startAgain();
  return lags;
}

/** The yearly time of each is moved to one that is near. Answers it, by the database's clock. */
async function makeDue(database: Database): Promise<number> {
  const due = Math.ceil((Date.now() + LEAD_MS) / 1000) * 1000;
  await database.rows('update schedule set next_due = $1::timestamptz, next_at = $1::timestamptz', [
    new Date(due).toISOString(),
  ]);
  return due;
}

async function watch(database: Database, due: number, schedules: number): Promise<number[]> {
  const lags: number[] = [];
  for (const giveUpAt = Date.now() + GIVE_UP_MS; lags.length < schedules; await pause(LOOK_MS)) {
    const [row] = await database.rows(
      `select (select count(*) from fire where decided_at > $1::timestamptz)::int as made, extract(epoch from clock_timestamp())::float8 * 1000 as now`,
      [new Date(due - LEAD_MS).toISOString()],
    );
    const lag = Number(row?.['now']) - due;
    while (lags.length < Number(row?.['made'])) lags.push(lag);
    if (Date.now() > giveUpAt) throw new Error(`${lags.length} of ${schedules} schedules fired`);
  }
  return lags;
}

async function check(database: Database, due: number, schedules: number): Promise<void> {
  const [row] = await database.rows(
    `select count(*)::int as fires, count(distinct f.schedule_id)::int as schedules, count(i.id)::int as instances, count(distinct i.id)::int as own,
            (select count(*)::int from workflow_instance where run_time = $1::timestamptz) as all
       from fire f left join workflow_instance i on i.id = f.instance_id and i.run_time = f.due_at and i.schedule_id = f.schedule_id
      where f.due_at = $1::timestamptz and f.outcome = 'fired'`,
    [new Date(due).toISOString()],
  );
  const wrong = Object.entries(row ?? {}).filter(([, count]) => count !== schedules);
  if (row === undefined || wrong.length > 0)
    throw new Error(`lost or doubled fires: ${wrong.map(([what, count]) => `${what} ${String(count)}`).join(', ')}`);
}
