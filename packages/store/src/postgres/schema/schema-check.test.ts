import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testDatabase } from '../../testing/postgres.ts';
import { checkServer, refuseOlderServer } from './schema-check.ts';

test('a server older than PostgreSQL 15 is refused by its number, before it meets a setting that it does not know', async (t) => {
  for (const version of [90624, 110022, 140012]) {
    const message = new RegExp(`PostgreSQL ${Math.floor(version / 10000)} is too old: Keelson needs 15 or newer`);
    assert.throws(() => refuseOlderServer(version), { code: 'server-too-old', message });
  }
  refuseOlderServer(150000);
  const { url } = await testDatabase(t);
  await checkServer(url);
});
