import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '@keelson/core';
import { systemClock } from '@keelson/core/system';
import { migrate, openStore } from '@keelson/store';
import type { Retention, RetentionRunOptions } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import pino from 'pino';
import pg from 'pg';
import { startRetention } from './retention.ts';

/** Every wait is over at once. */
const hasty: Clock = { ...systemClock, after: (_ms, callback) => systemClock.after(1, callback) };

test('several masters remove what is past its time once an hour, and count it', async (t) => {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'test' });
  t.after(() => store.close());
  const client = new pg.Client({ connectionString: url, options: '-c search_path=keelson' });
  await client.connect();
  t.after(() => client.end());
  await client.query(
    "insert into alert (kind, payload, created_at, delivered_at) select 'x', '{}', now() - interval '1 year', now() from generate_series(1, 3)",
  );
  const log = pino({ level: 'silent' });
  const asked: (() => void)[] = [];
  const watched: Retention = {
    ...store.retention,
    run: async (options) => {
      const outcome = await store.retention.run(options);
      asked.shift()?.();
      return outcome;
    },
  };
  const rounds = Promise.all(Array.from({ length: 12 }, () => new Promise<void>((resolve) => asked.push(resolve))));
  const masters = [1, 2].map(() => startRetention({ retention: watched, log, clock: hasty }));
  await rounds;
  await Promise.all(masters.map(({ stop }) => stop()));
  const runs = masters.map(({ metrics }) => metrics.runs);
  assert.deepEqual(
    runs.toSorted((one, other) => one - other),
    [0, 1],
  );
  assert.equal(
    masters.reduce((sum, { metrics }) => sum + (metrics.removed['alerts'] ?? 0), 0),
    3,
  );
  const state = await client.query('select ended_at is not null as ended from retention_state');
  assert.deepEqual(state.rows, [{ ended: true }]);
});

test('a master that stops ends its run between two statements', async () => {
  let running: RetentionRunOptions | undefined;
  let told: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => (told = resolve));
  const run = async (options: RetentionRunOptions = {}) => {
    running = options;
    told();
    while (options.stopped?.() !== true) await new Promise((resolve) => setImmediate(resolve));
    return { kind: 'not-due' } as const;
  };
  const { stop } = startRetention({
    retention: { run } as unknown as Retention,
    log: pino({ level: 'silent' }),
    clock: hasty,
  });
  await begun;
  await stop();
  assert.equal(running?.stopped?.(), true);
});
