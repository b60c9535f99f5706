import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { testDatabase, type TestDatabase } from '@keelson/store/testing';
import pg from 'pg';
import { sqlRunner } from '../testing/sql.ts';
import { parseDatasourceUrl, type Datasource } from './datasource.ts';

let database: TestDatabase;
let datasource: Datasource;
const { attempt, outputs, failure, row } = sqlRunner(() => datasource);

before(async () => {
  database = await testDatabase();
  const reading = parseDatasourceUrl(database.url);
  assert.ok(reading.ok);
  datasource = reading.datasource;
});
after(() => database.drop());

async function eventually(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, 'the condition never came true');
    await delay(10);
  }
}

describe('sql on PostgreSQL', () => {
  it('runs several statements with bound values and gives counts and the first row', async () => {
    const found = await outputs(
      [
        'create table sales (day date, item text, amount numeric)',
        "insert into sales values (:day, :item, 1.5), (:day, 'b', 2)",
        'select item, amount from sales order by item',
        'update sales set amount = amount * :factor',
      ],
      { day: '2026-01-31', item: "a'; drop table sales; --", factor: 2 },
    );
    assert.deepEqual(found, {
      rowCount: 2,
      rowCounts: [0, 2, 2, 2],
      row: { item: "a'; drop table sales; --", amount: 1.5 },
    });
    assert.deepEqual(await row('select sum(amount) as total from sales where day = :day', { day: '2026-01-31' }), {
      total: 7,
    });
  });

  it('makes JSON of every type without losing digits', async () => {
    const found =
      await row(`select 1::int8 as small, 9007199254740993::int8 as large, 0.1234567890123456789 as exact, 1.50::numeric as money,
      'NaN'::float8 as nan, true as yes, null as nothing, date '2026-01-31' as day, timestamp '2026-01-31 10:00:00.123456' as local,
      timestamptz '2026-01-31 10:00:00.123456+00' at time zone 'UTC' = timestamp '2026-01-31 10:00:00.123456' as same,
      '\\x6869'::bytea as bytes, '{"a":[1]}'::jsonb as doc, '1 day'::interval as span, array[1,null,3] as list, array[date '2026-01-31'] as days,
      array[9007199254740993]::int8[] as bigs`);
    assert.deepEqual(found, {
      small: 1,
      large: '9007199254740993',
      exact: '0.1234567890123456789',
      money: 1.5,
      nan: 'NaN',
      yes: true,
      nothing: null,
      day: '2026-01-31',
      local: '2026-01-31T10:00:00.123456',
      same: true,
      bytes: 'aGk=',
      doc: { a: [1] },
      span: '1 day',
      list: [1, null, 3],
      days: ['2026-01-31'],
      bigs: ['9007199254740993'],
    });
    const zoned = (await row("select timestamptz '2026-01-31 10:00:00.123456+00' as t")) as { t: string };
    assert.equal(new Date(zoned.t).toISOString(), '2026-01-31T10:00:00.123Z');
  });

  it('takes lists and objects as values', async () => {
    assert.deepEqual(
      await row('select 2 = any(:ids) as found, :doc::jsonb as doc, :list::jsonb as list', {
        ids: [1, 2],
        doc: { a: 1 },
        list: [1, 'x'],
      }),
      { found: true, doc: { a: 1 }, list: [1, 'x'] },
    );
    assert.deepEqual(
      await row(
        "select date_trunc(:u, t)::text as d from (values (timestamp '2026-01-31')) v(t) group by date_trunc(:u, t)",
        { u: 'month' },
      ),
      { d: '2026-01-01 00:00:00' },
    );
  });

  it('logs each statement, and a table of the first rows only', async () => {
    const { log, result } = await attempt("select n, 'x' || n as name from generate_series(1, 100000) n");
    assert.ok(result.outcome === 'succeeded');
    assert.equal(result.outputs['rowCount'], 100_000);
    assert.match(log, /^statement 1 of 1: 100000 rows, the first 20\n {2}n │ name\n/);
    assert.equal(log.split('\n').length, 1 + 2 + 20 + 1);
  });

  it('has no row where none came back', async () => {
    assert.deepEqual(await outputs('select 1 where false'), { rowCount: 0, rowCounts: [0], row: null });
    const { result, log } = await attempt("select repeat('x', 70000) as big");
    assert.ok(result.outcome === 'succeeded');
    assert.equal(result.outputs['row'], null);
    assert.match(log, /row" is null: the first row is larger than 64 KiB/);
  });

  it('rolls back all statements when one fails, and names it', async () => {
    await outputs('create table kept (n int primary key)');
    const reason = await failure(['insert into kept values (1)', 'insert into kept values (1)']);
    assert.equal(reason.code, 'sql-error');
    assert.match(reason.message, /^statement 2 of 2: duplicate key .*\(23505\); Key \(n\)=\(1\) already exists/);
    assert.deepEqual(await row('select count(*) from kept'), { count: 0 });
    assert.match((await failure('select 1\nfrom nowhere')).message, /"nowhere" does not exist \(42P01, line 2\)/);
  });

  it('tells a refused commit as an error, not as unknown', async () => {
    await outputs('create table later (n int unique deferrable initially deferred)');
    const reason = await failure(['insert into later values (1), (1)', 'select 1']);
    assert.equal(reason.code, 'sql-error');
    assert.match(reason.message, /^commit: duplicate key/);
  });

  it('runs alone what cannot run in a transaction', async () => {
    assert.equal((await outputs('vacuum'))['rowCount'], 0);
  });

  it('refuses two statements in one text, with or without values', async () => {
    assert.match((await failure('select 1; select 2')).message, /give several statements as a list/);
    assert.deepEqual(await row('select 1 as n;'), { n: 1 });
  });

  it('checks the values before anything runs', async () => {
    const reason = await failure(['create table never (n int)', 'select :missing'], { day: 1 });
    assert.equal(reason.code, 'bad-input');
    assert.deepEqual(await row("select to_regclass('never') as t"), { t: null });
  });

  it('keeps the password out of what it says', async () => {
    const password = 'very s3cret';
    for (const broken of [
      { port: 1 },
      { user: 'nobody_here' },
      { database: 'no_such_database' },
      { host: 'no-such-host.invalid' },
    ]) {
      const { attempt: tryIt } = sqlRunner(() => ({ ...datasource, password, ...broken }));
      const { result, log } = await tryIt('select 1');
      assert.ok(result.outcome === 'failed');
      assert.equal(result.reason.code, 'sql-connect');
      assert.match(result.reason.message, /^no connection to postgresql:\/\/.+: ./);
      assert.doesNotMatch(result.reason.message + log, /s3cret/);
    }
    const bad = sqlRunner(() => ({ ...datasource, port: password as never }));
    assert.doesNotMatch((await bad.failure('select 1')).message, /s3cret/);
  });
});

describe('sql on PostgreSQL, broken off', () => {
  const observer = async () => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    return client;
  };
  const SLEEPERS =
    "select pid from pg_stat_activity where datname = current_database() and query like 'select pg_sleep%' and state = 'active'";

  it('breaks the statement off on the server when the attempt is stopped', async () => {
    const client = await observer();
    const sleepers = async () => (await client.query(SLEEPERS)).rowCount ?? 0;
    const stop = new AbortController();
    const running = failure('select pg_sleep(600)', {}, { signal: stop.signal });
    await eventually(async () => (await sleepers()) === 1);
    stop.abort();
    assert.equal((await running).code, 'aborted');
    await eventually(async () => (await sleepers()) === 0);
    await client.end();
  });

  it('ends at once on an attempt that is already stopped, and on a host that does not answer', async () => {
    assert.equal((await failure('select 1', {}, { signal: AbortSignal.abort() })).code, 'aborted');
    const sockets: Socket[] = [];
    const stop = new AbortController();
    const silent = createServer((socket) => {
      sockets.push(socket);
      stop.abort();
    }).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { failure: fails } = sqlRunner(() => ({
      ...datasource,
      host: '127.0.0.1',
      port: (silent.address() as AddressInfo).port,
    }));
    assert.equal((await fails('select 1', {}, { signal: stop.signal })).code, 'aborted');
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it('says that nobody knows, when the connection is lost in a statement of its own', async () => {
    const client = await observer();
    const running = failure('select pg_sleep(600)');
    await eventually(
      async () => ((await client.query(`select pg_terminate_backend(pid) from (${SLEEPERS}) s`)).rowCount ?? 0) > 0,
    );
    const reason = await running;
    assert.equal(reason.code, 'sql-unknown');
    assert.match(reason.message, /57P01.*not known/);
    const several = failure(['select pg_sleep(600)', 'select 1']);
    await eventually(
      async () => ((await client.query(`select pg_terminate_backend(pid) from (${SLEEPERS}) s`)).rowCount ?? 0) > 0,
    );
    assert.equal((await several).code, 'sql-error');
    await client.end();
  });
});
