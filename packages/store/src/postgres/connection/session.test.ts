import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWorld } from '../../testing/world.ts';
import { call, openSession } from './session.ts';

test('a statement first used behind a failed one can be used afterwards', async (t) => {
  const world = await openWorld(t);
  const session = openSession(world.settings);
  t.after(() => session.close());
  const fails = { name: 'fails', text: 'select 1 / $1::int' };
  const behind = { name: 'behind', text: 'select 2 as two' };
  await assert.rejects(session.begin().commit([call(fails, 0), call(behind)]), /division by zero/);
  assert.deepEqual(
    await session
      .begin()
      .commit([call(behind)])
      .then(([rows]) => rows),
    [{ two: 2 }],
  );
});
