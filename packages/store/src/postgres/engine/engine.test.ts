import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addWorker, bind, finish, namedWorkflow, openWorld } from '../../testing/world.ts';

test('the schema refuses a second active attempt and a change of what has ended', async (t) => {
  const world = await openWorld(t);
  const id = await world.start(await world.apply(namedWorkflow('p', 'w')));
  const worker = await addWorker(world, 'w1');
  await bind(world, id, 'a', worker);
  await assert.rejects(bind(world, id, 'a', worker, 'dispatched', 2), /active_instance_id_task/);
  await finish(world, id, 'a', 'succeeded');
  await assert.rejects(world.sql("update finished_task set state = 'failed'"), /append-only/);
  await world.end(id, 'succeeded');
  await assert.rejects(world.sql("update instance_end set state = 'failed'"), /append-only/);
});
