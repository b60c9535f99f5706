import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import type { GuestDatabase } from './start.ts';
import { ensureGuestDatabase, startEmbeddedPostgres } from './start.ts';

async function start(t: TestContext): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'keelson-guest-'));
  await chmod(dataDir, 0o755);
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const server = await startEmbeddedPostgres({ dataDir, durable: false, log: () => undefined });
  t.after(() => server.stop());
  return server.url;
}

async function query(guest: GuestDatabase, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ ...guest });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test('a guest owns its database, keeps its data, and reaches no other', async (t) => {
  const url = await start(t);
  const first = await ensureGuestDatabase(url, 'ware-house');
  await query(first, 'create table kept as select 42 as answer');
  for (const database of ['keelson', 'postgres', 'template1']) {
    await assert.rejects(query({ ...first, database }, 'select 1'), { code: '42501' }, database);
  }
  await assert.rejects(query(first, 'create role other'), { code: '42501' });
  await assert.rejects(query(first, "copy kept to program 'true'"), { code: '42501' });

  const again = await ensureGuestDatabase(url, 'ware-house');
  assert.deepEqual(await query(again, 'select answer from kept'), [{ answer: 42 }]);
  assert.notEqual(again.password, first.password);
  await assert.rejects(query(first, 'select 1'), { code: '28P01' }, 'the old password is good no more');
});
