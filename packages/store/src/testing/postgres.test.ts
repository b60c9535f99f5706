import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { testDatabase } from './postgres.ts';

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test('each test has a database of its own, gone after drop even with a client in it', async () => {
  const [one, two] = await Promise.all([testDatabase(), testDatabase()]);
  await query(one.url, 'create table mine (id int)');
  assert.deepEqual(await query(two.url, "select from pg_class where relname = 'mine'"), []);
  const client = new pg.Client({ connectionString: one.url });
  client.on('error', () => undefined);
  await client.connect();
  await one.drop();
  await one.drop();
  await assert.rejects(query(one.url, 'select 1'), { code: '3D000' });
  await two.drop();
});

test('the clean-up of a test does not cut connections that the test closes itself', async (t) => {
  const errors: string[] = [];
  await t.test('a test with a pool', async (inner) => {
    const { url } = await testDatabase(inner);
    const pool = new pg.Pool({ connectionString: url });
    pool.on('error', (error) => errors.push(error.message));
    await pool.query('select 1');
    inner.after(() => pool.end());
  });
  assert.deepEqual(errors, []);
});

test('a template is prepared once, also when several ask at once, and copies do not share', async (t) => {
  let prepared = 0;
  const template = `postgres.test ${process.pid} ${process.hrtime.bigint()}`;
  const prepare = async (url: string) => {
    prepared += 1;
    await query(url, 'create table seeded as select 1 as n');
  };
  const copies = await Promise.all([1, 2, 3].map(() => testDatabase(t, { template, prepare })));
  assert.equal(prepared, 1);
  await query(copies[0]?.url ?? '', 'update seeded set n = 2');
  assert.deepEqual(await query(copies[1]?.url ?? '', 'select n from seeded'), [{ n: 1 }]);
});

test('a preparation that fails is told and tried again', async (t) => {
  const template = `postgres.test failing ${process.pid} ${process.hrtime.bigint()}`;
  const broken = async (url: string) => void (await query(url, 'create table half as select 1 as n; select 1/0'));
  await assert.rejects(testDatabase(t, { template, prepare: broken }), { code: '22012' });
  const prepare = async (url: string) => void (await query(url, 'create table half as select 2 as n'));
  const { url } = await testDatabase(t, { template, prepare });
  assert.deepEqual(await query(url, 'select n from half'), [{ n: 2 }]);
});
