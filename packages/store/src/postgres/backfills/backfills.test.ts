import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWorld } from '../../testing/world.ts';
import { createBackfills } from './backfills.ts';

test('what is told to a backfill that retention has removed is forgotten', async (t) => {
  const world = await openWorld(t);
  const backfills = createBackfills(world.open, async () => '1');
  t.after(() => backfills.close());
  await world.sql("insert into followup (kind, subject_id, instance_id) values ('backfill', 4711, 1)");
  assert.deepEqual(await backfills.due(10), []);
  assert.deepEqual(await world.sql('select from followup'), []);
});
