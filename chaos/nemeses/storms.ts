import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { anywhere, DATABASE } from './nemesis.ts';
import type { Nemesis } from './nemesis.ts';

/** What an outside session takes: whole tables, or the rows in them. */
const LOCKS = [
  'lock table live_instance in share row exclusive mode',
  'lock table active in share row exclusive mode',
  'lock table ready in share row exclusive mode',
  'lock table command in share row exclusive mode',
  'select 1 from live_instance for update',
  'select 1 from active for update',
  'select 1 from worker_incarnation for update',
];
const BLOCKED = `select count(*)::int as count from pg_stat_activity
  where application_name like 'keelson%' and $1 = any(pg_blocking_pids(pid))`;
const LOOK_MS = 200;

/** Held for longer than `lock_timeout`: statements fail, and are run again. */
export const lockStorm: Nemesis = {
  name: 'lock-storm',
  summary: 'an outside session locks tables or rows of the engine for seconds: statements run into their timeouts',
  holdSeconds: [4, 9],
  obstacle: anywhere,
  begin: async ({ cluster, random, victims }) => {
    victims.take([DATABASE], random);
    const session = await cluster.postgres.session();
    const watcher = await cluster.postgres.session();
    const lock = random.pick(LOCKS);
    const pid = await lockAs(session, lock);
    let most = 0;
    const over = new AbortController();
    const watching = watch(over.signal, async () => {
      const { rows } = await watcher.query<{ count: number }>(BLOCKED, [pid]);
      most = Math.max(most, rows[0]?.count ?? 0);
    });
    return {
      target: lock,
      heal: async () => {
        over.abort();
        await watching;
        await session.query('rollback').catch(() => undefined);
        await Promise.all([session.end(), watcher.end()]);
        victims.release(DATABASE);
        return { bit: most > 0, proof: `up to ${most} sessions waited for its locks` };
      },
    };
  },
};

async function lockAs(session: pg.Client, lock: string): Promise<number> {
  await session.query('begin');
  await session.query(lock);
  const { rows } = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid ?? 0;
}

const TERMINATE = `select count(pg_terminate_backend(pid))::int as count from (
  select pid from pg_stat_activity where application_name like 'keelson%' and pid <> pg_backend_pid()
   order by random() limit $1) as drawn`;

export const terminateBackends: Nemesis = {
  name: 'terminate-backends',
  summary: 'sessions of Keelson drawn by lot are ended by pg_terminate_backend, again and again',
  holdSeconds: [2, 6],
  obstacle: anywhere,
  begin: async ({ cluster, random, victims }) => {
    victims.take([DATABASE], random);
    const session = await cluster.postgres.session();
    let ended = 0;
    const over = new AbortController();
    const watching = watch(over.signal, async () => {
      const { rows } = await session.query<{ count: number }>(TERMINATE, [random.between(1, 5)]);
      ended += rows[0]?.count ?? 0;
    });
    return {
      target: 'sessions of Keelson',
      heal: async () => {
        over.abort();
        await watching;
        await session.end();
        victims.release(DATABASE);
        return { bit: ended > 0, proof: `${ended} sessions ended` };
      },
    };
  },
};

async function watch(signal: AbortSignal, look: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await look().catch(() => undefined);
    await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}
