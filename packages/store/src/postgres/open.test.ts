import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { testDatabase } from '../testing/postgres.ts';
import { migratedDatabase } from '../testing/migrated.ts';
import { draftOf, namedWorkflow } from '../testing/world.ts';
import { openStore } from './open.ts';

test('a store opens on a migrated database, and its parts work together', async (t) => {
  const { url } = await migratedDatabase(t);
  const store = await openStore({ url, applicationName: 'test' });
  try {
    await store.ping();
    const bytes = Buffer.from('echo hello');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    await store.blobs.put(sha256, bytes);
    const files = [{ path: 'run.sh', sha256, size: bytes.length, mode: 0o755 }];
    const [applied] = await store.definitions.apply([draftOf(namedWorkflow('demo', 'etl'), { files })]);
    const version = (await store.definitions.versionById(applied?.versionId ?? '')) ?? assert.fail();
    const started = await store.starts.start({
      workflowId: version.workflowId,
      versionId: version.id,
      taskCount: 1,
      params: {},
      runTime: '2026-01-01T00:00:00Z',
      priority: 0,
      createdBy: 'test',
    });
    assert.equal((await store.instances.get(started.instanceId))?.state, 'running');
    const blob = (await store.blobs.get(version.files[0]?.sha256 ?? '')) ?? assert.fail();
    assert.deepEqual(await buffer(blob), bytes);
    assert.ok((await store.doctor.check()).every(({ rows }) => rows.length === 0));
  } finally {
    await store.close();
  }
});

test('a database without the schema is refused', async (t) => {
  const { url } = await testDatabase(t);
  await assert.rejects(openStore({ url, applicationName: 'test' }), { code: 'schema-missing' });
});
