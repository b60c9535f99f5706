import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { openWorld } from '../../testing/world.ts';
import { createDatasources } from './datasources.ts';
import { createSecrets } from './secrets.ts';

const key = randomBytes(32);

test('secrets belong to a project, and only a dispatch sees their values', async (t) => {
  const { pool, sql } = await openWorld(t);
  const secrets = createSecrets(pool, key);
  await secrets.set('demo', 'TOKEN', 'first value', 'ann');
  await secrets.set('demo', 'TOKEN', 'second value', 'bob');
  await secrets.set('demo', 'A', '', 'ann');
  await secrets.set('other', 'TOKEN', 'theirs', 'ann');
  assert.deepEqual(
    (await secrets.list('demo')).map(({ name, updatedBy }) => [name, updatedBy]),
    [
      ['A', 'ann'],
      ['TOKEN', 'bob'],
    ],
  );
  assert.deepEqual(await secrets.reveal('demo', ['TOKEN', 'A', 'B', 'B']), {
    values: { TOKEN: 'second value', A: '' },
    missing: ['B'],
  });
  assert.deepEqual(await secrets.reveal('none', ['TOKEN']), { values: {}, missing: ['TOKEN'] });
  assert.doesNotMatch(JSON.stringify(await sql("select encode(ciphertext, 'escape') from secret")), /value|theirs/);
  assert.deepEqual([await secrets.delete('demo', 'TOKEN'), await secrets.delete('demo', 'TOKEN')], [true, false]);
  assert.deepEqual((await secrets.reveal('other', ['TOKEN'])).values, { TOKEN: 'theirs' });
  await assert.rejects(secrets.set('demo', '1 bad', 'x', 'ann'), { code: 'invalid-name' });
});

test('without the key, or with another one, a secret stays shut and says why', async (t) => {
  const { pool } = await openWorld(t);
  await createSecrets(pool, key).set('demo', 'TOKEN', 'v', 'ann');
  await assert.rejects(createSecrets(pool, undefined).reveal('demo', ['TOKEN']), { code: 'no-secret-key' });
  await assert.rejects(createSecrets(pool, undefined).set('demo', 'X', 'v', 'ann'), { code: 'no-secret-key' });
  await assert.rejects(createSecrets(pool, randomBytes(32)).reveal('demo', ['TOKEN']), { code: 'wrong-secret-key' });
  assert.equal((await createSecrets(pool, undefined).list('demo')).length, 1);
});

const config = { kind: 'postgresql', host: 'db.example', port: 5432, database: 'dw', user: 'etl' };

test('a datasource shows everything but its password', async (t) => {
  const { pool } = await openWorld(t);
  const datasources = createDatasources(pool, key);
  await datasources.set('demo', 'warehouse', { config, password: 's3cret' }, 'ann');
  await datasources.set('demo', 'open', { config: { kind: 'mysql' } }, 'ann');
  const found = await datasources.get('demo', 'warehouse');
  assert.deepEqual([found?.config, found?.hasPassword, found?.updatedBy], [config, true, 'ann']);
  assert.doesNotMatch(JSON.stringify(await datasources.list('demo')), /s3cret/);
  assert.deepEqual(
    (await datasources.list('demo')).map(({ name, hasPassword }) => [name, hasPassword]),
    [
      ['open', false],
      ['warehouse', true],
    ],
  );
  assert.deepEqual(await datasources.reveal('demo', 'warehouse'), { config, password: 's3cret' });
  assert.deepEqual(await datasources.reveal('demo', 'open'), { config: { kind: 'mysql' } });
  assert.equal(await datasources.reveal('other', 'warehouse'), undefined);
  await assert.rejects(createDatasources(pool, randomBytes(32)).reveal('demo', 'warehouse'), {
    code: 'wrong-secret-key',
  });
  await assert.rejects(datasources.set('demo', 'x', { config: { ...config, password: 'no' } }, 'ann'), {
    code: 'password-in-config',
  });
  assert.deepEqual([await datasources.delete('demo', 'open'), await datasources.delete('demo', 'open')], [true, false]);
});

test('a password stays when it is not given again, but not with another server', async (t) => {
  const { pool } = await openWorld(t);
  const datasources = createDatasources(pool, key);
  await datasources.set('demo', 'warehouse', { config, password: 's3cret' }, 'ann');
  await datasources.set('demo', 'warehouse', { config: { ...config, user: 'other' } }, 'bob');
  assert.equal((await datasources.reveal('demo', 'warehouse'))?.password, 's3cret');
  const moved = { config: { ...config, host: 'evil.example' } };
  await assert.rejects(datasources.set('demo', 'warehouse', moved, 'bob'), { code: 'password-required' });
  assert.equal((await datasources.reveal('demo', 'warehouse'))?.config.host, 'db.example');
  await datasources.set('demo', 'warehouse', { ...moved, password: 'new' }, 'bob');
  assert.equal((await datasources.reveal('demo', 'warehouse'))?.password, 'new');
});
