import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namedWorkflow, openWorld } from '../../testing/world.ts';
import { createProjects } from './projects.ts';

test('a project comes into being with the first thing stored in it', async (t) => {
  const { pool, apply } = await openWorld(t);
  const projects = createProjects(pool);
  assert.equal(await projects.get('demo'), undefined);
  assert.deepEqual(await projects.params('demo'), {});
  await apply(namedWorkflow('demo', 'etl'));
  await projects.setParams('other', { region: 'eu', limits: [1, 2] });
  await projects.setParams('other', { region: 'us' });
  assert.deepEqual(await projects.params('other'), { region: 'us' });
  const { items } = await projects.list({ limit: 10 });
  assert.deepEqual(
    items.map(({ name, workflows }) => [name, workflows]),
    [
      ['demo', 1],
      ['other', 0],
    ],
  );
  assert.deepEqual(await projects.get('other'), items[1]);
  const page = await projects.list({ limit: 1 });
  assert.deepEqual(
    (await projects.list({ limit: 1, cursor: page.next ?? undefined })).items.map(({ name }) => name),
    ['other'],
  );
  await assert.rejects(projects.setParams('-no', {}), { code: 'invalid-name' });
});
