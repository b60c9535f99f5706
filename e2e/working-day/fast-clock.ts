import type { Clock } from '@keelson/core';
import { systemClock } from '@keelson/core/system';
import { testDatabase } from '@keelson/store/testing';
import pg from 'pg';
import type { Owner } from '../support/dev-process.ts';

/**
 * Waits of a master that are only there to look again now and then stay long enough in real time, or it would do nothing else: a second of
 * fast time is a millisecond.
 */
const SHORTEST_WAIT_MS = 25;
const LONG_WAIT = { fromMs: 5000, atLeastMs: 1000 };

export interface FastTime {
  readonly databaseUrl: string;
  /** For everything in this process that shares the database's time. */
  readonly clock: Clock;
  /** What the database's clock shows now. */
  nowMs(): number;
  /** Real milliseconds for so many of fast time. */
  real(ms: number): number;
  /** From now on time runs. Before, it goes as slowly as outside. */
  go(): Promise<void>;
}

/**
 * A database whose clock shows `startMs` and, from `go` on, runs `factor` times as fast as the machine's. Keelson asks PostgreSQL for the time by
 * `clock_timestamp()` and `now()`, and PostgreSQL looks for a function in pg_catalog first, unless the search path names it behind another schema. So
 * functions of these names in Keelson's own schema are what its statements and column defaults find.
 */
export async function fastDatabase(owner: Owner, startMs: number, factor: number): Promise<FastTime> {
  const { url } = await testDatabase(owner);
  const databaseUrl = new URL(url);
  databaseUrl.searchParams.set('options', '-c search_path=keelson,pg_catalog');
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  owner.after(() => client.end());
  await client.query('create schema keelson');
  let pace = { base: startMs, realBase: await define(client, startMs, 1), at: performance.now(), factor: 1 };
  const nowMs = (): number => pace.base + (performance.now() - pace.at) * pace.factor;
  const real = (ms: number): number => ms / factor;
  return {
    databaseUrl: databaseUrl.href,
    nowMs,
    real,
    clock: {
      now: nowMs,
      after: (ms, callback) => systemClock.after(realWait(ms / pace.factor, ms), callback),
      soon: systemClock.soon,
    },
    go: async () => {
      const base = nowMs();
      const realBase = await define(client, base, factor);
      pace = { base, realBase, at: performance.now(), factor };
    },
  };
}

function realWait(ms: number, asked: number): number {
  if (asked === ms) return ms;
  return Math.max(ms, Math.min(asked, asked >= LONG_WAIT.fromMs ? LONG_WAIT.atLeastMs : SHORTEST_WAIT_MS));
}

/** Answers the machine's time at which the database's clock shows `base`. */
async function define(client: pg.Client, base: number, factor: number): Promise<number> {
  const { rows } = await client.query<{ now: number }>(
    'select (extract(epoch from pg_catalog.clock_timestamp()) * 1000)::float8 as now',
  );
  const realBase = rows[0]?.now ?? 0;
  for (const [name, source] of [
    ['clock_timestamp', 'pg_catalog.clock_timestamp()'],
    ['now', 'pg_catalog.now()'],
  ])
    await client.query(
      `create or replace function keelson.${name}() returns timestamptz language sql ${name === 'now' ? 'stable' : 'volatile'} as
       $$ select pg_catalog.to_timestamp((${base} + (extract(epoch from ${source}) * 1000 - ${realBase}) * ${factor})::float8 / 1000) $$`,
    );
  return realBase;
}
