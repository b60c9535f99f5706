import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { testDatabase } from '../../testing/postgres.ts';
import { clientConfig } from './connection.ts';

test('options in the URL are heard, and do not take the place of the bounds of a session', async (t) => {
  const { url } = await testDatabase(t);
  const withOptions = new URL(url);
  withOptions.searchParams.set('options', '-c work_mem=5MB -c lock_timeout=1234');
  const client = new pg.Client(clientConfig({ url: withOptions.href, applicationName: 'test' }));
  await client.connect();
  const { rows } = await client.query(
    `select current_setting('work_mem') as memory, current_setting('lock_timeout') as lock, current_setting('search_path') as path,
            current_setting('idle_in_transaction_session_timeout') as idle`,
  );
  await client.end();
  assert.deepEqual(rows, [{ memory: '5MB', lock: '1234ms', path: 'keelson', idle: '3s' }]);
});
