import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { findMariadbd, startMariadb, type TestMariadb } from '../testing/mariadb.ts';
import { sqlRunner } from '../testing/sql.ts';

const binary = findMariadbd();
const name = `sql on MySQL and MariaDB${binary === undefined ? ' (not run: this machine has no mariadbd)' : ''}`;

describe(name, { skip: binary === undefined }, () => {
  let server: TestMariadb;
  const { attempt, outputs, failure, row } = sqlRunner(() => server.datasource);

  before(async () => {
    server = await startMariadb(binary ?? '');
  });
  after(() => server[Symbol.asyncDispose]());

  it('runs several statements with bound values and gives counts and the first row', async () => {
    await outputs('create table sales (day date, item varchar(100), amount decimal(10,2)) engine=innodb');
    const found = await outputs(
      [
        "insert into sales values (:day, :item, 1.5), (:day, 'b', 2)",
        'select item, amount from sales order by item limit :n',
        'update sales set amount = amount * :factor',
      ],
      { day: '2026-01-31', item: "a'; drop table sales; -- \\", factor: 2, n: 1 },
    );
    assert.deepEqual(found, {
      rowCount: 2,
      rowCounts: [2, 1, 2],
      row: { item: "a'; drop table sales; -- \\", amount: 1.5 },
    });
    assert.deepEqual(await row('select sum(amount) as total from sales where day = :day', { day: '2026-01-31' }), {
      total: 7,
    });
  });

  it('makes JSON of every type without losing digits, with values or without', async () => {
    const sql = `select cast(1 as signed) as small, 9007199254740993 as large, cast('0.1234567890123456789' as decimal(30,19)) as exact,
      cast(1.50 as decimal(5,2)) as money, 1.5e0 as real_, null as nothing, cast('2026-01-31' as date) as day,
      cast('2026-01-31 10:00:00.123456' as datetime(6)) as t, cast('hi' as binary) as bytes, '1.50' as txt`;
    const expected = {
      small: 1,
      large: '9007199254740993',
      exact: '0.1234567890123456789',
      money: 1.5,
      real_: 1.5,
      nothing: null,
      day: '2026-01-31',
      t: '2026-01-31T10:00:00.123456',
      bytes: 'aGk=',
      txt: '1.50',
    };
    assert.deepEqual(await row(sql), expected);
    assert.deepEqual(await row(`${sql}, :x as x`, { x: 'é' }), { ...expected, x: 'é' });
  });

  it('takes lists and objects as JSON', async () => {
    assert.deepEqual(
      await row("select json_extract(:doc, '$.a[1]') as second, :yes as yes", { doc: { a: [1, 2] }, yes: true }),
      { second: 2, yes: 1 },
    );
  });

  it('logs each statement, and a table of the first rows only', async () => {
    const { log, result } = await attempt('select seq from seq_1_to_100000');
    assert.ok(result.outcome === 'succeeded');
    assert.equal(result.outputs['rowCount'], 100_000);
    assert.match(log, /^statement 1 of 1: 100000 rows, the first 20\n/);
    assert.equal(log.split('\n').length, 1 + 2 + 20 + 1);
  });

  it('rolls back all statements when one fails, and names it', async () => {
    await outputs('create table kept (n int primary key) engine=innodb');
    const reason = await failure(['insert into kept values (1)', 'insert into kept values (1)']);
    assert.equal(reason.code, 'sql-error');
    assert.match(reason.message, /^statement 2 of 2: Duplicate entry '1'.*\(ER_DUP_ENTRY\)/);
    assert.deepEqual(await row('select count(*) as n from kept'), { n: 0 });
  });

  it('takes the last result of a procedure', async () => {
    await outputs('create procedure two() begin select 1 as a; select 2 as b union select 3; end');
    assert.deepEqual(await outputs('call two()'), { rowCount: 2, rowCounts: [2], row: { b: 2 } });
  });

  it('refuses two statements in one text', async () => {
    assert.match((await failure('select 1; select 2')).message, /ER_PARSE_ERROR/);
    assert.deepEqual(await row('select 1 as n;'), { n: 1 });
  });

  it('breaks the statement off on the server when the attempt is stopped', async () => {
    const sleepers = async () =>
      (
        (await row("select count(*) as n from information_schema.processlist where info like 'select sleep%'")) as {
          n: number;
        }
      ).n;
    const stop = new AbortController();
    const running = failure('select sleep(600)', {}, { signal: stop.signal });
    const until = async (count: number) => {
      const deadline = performance.now() + 10_000;
      while ((await sleepers()) !== count) {
        assert.ok(performance.now() < deadline, 'the condition never came true');
        await delay(10);
      }
    };
    await until(1);
    stop.abort();
    assert.equal((await running).code, 'aborted');
    await until(0);
  });

  it('keeps the password out of what it says', async () => {
    for (const broken of [
      { port: 1 },
      { user: 'nobody_here' },
      { database: 'no_such_database' },
      { password: 'wrong s3cret' },
    ]) {
      const { attempt: tryIt } = sqlRunner(() => ({ ...server.datasource, ...broken }));
      const { result, log } = await tryIt('select 1');
      assert.ok(result.outcome === 'failed');
      assert.equal(result.reason.code, 'sql-connect');
      assert.match(result.reason.message, /^no connection to mysql:\/\/.+: ./);
      assert.doesNotMatch(result.reason.message + log, /s3cret/);
    }
  });

  it('says that nobody knows, when the connection is lost in a statement of its own', async () => {
    const running = failure('select sleep(600)');
    const deadline = performance.now() + 10_000;
    for (;;) {
      const found = (await row(
        "select max(id) as id from information_schema.processlist where info like 'select sleep%'",
      )) as { id: number | null };
      if (found.id !== null) {
        await outputs(`kill connection ${found.id}`);
        break;
      }
      assert.ok(performance.now() < deadline, 'the statement never started');
    }
    const reason = await running;
    assert.equal(reason.code, 'sql-unknown', reason.message);
  });
});
