import assert from 'node:assert/strict';
import { test } from 'node:test';
import { taskOf } from '@keelson/core/testing';
import { addWorker, bind, namedWorkflow, openWorld } from '../../testing/world.ts';
import { createNodes } from './nodes.ts';

test('servers are seen for as long as they promised, and forgotten after a day of silence', async (t) => {
  const { pool, sql } = await openWorld(t);
  const nodes = createNodes(pool);
  const node = (id: string) => ({
    id,
    roles: ['api', 'master'],
    host: 'h',
    pid: 7,
    url: `http://h/${id}`,
    version: '1.0',
    schemaVersion: 3,
    draining: false,
    load: { eventLoop: 0.1 },
    workers: new Map(),
  });
  await nodes.seen(node('a'), 10_000);
  await nodes.seen(node('b'), -1000);
  const shown = async () => (await nodes.servers()).map(({ id, alive }) => [id, alive]);
  assert.deepEqual(await shown(), [
    ['a', true],
    ['b', false],
  ]);
  await nodes.seen(node('b'), 10_000);
  assert.deepEqual(await shown(), [
    ['a', true],
    ['b', true],
  ]);
  await sql("update server_node set seen_until = now() - interval '25 hours' where id = 'b'");
  await nodes.seen({ ...node('a'), url: undefined }, 10_000);
  assert.deepEqual(
    (await nodes.servers()).map(({ id, roles, url }) => [id, roles, url]),
    [['a', ['api', 'master'], null]],
  );
  await nodes.remove('a');
  assert.deepEqual(await nodes.servers(), []);
});

test('workers show their slots and what they run; dead ones are left out', async (t) => {
  const world = await openWorld(t);
  const id = await world.start(await world.apply(namedWorkflow('demo', 'etl', [taskOf('a'), taskOf('b')])));
  const w1 = await addWorker(world, 'w1', { slots: 3 });
  await addWorker(world, 'w2', { state: 'draining', leaseMs: -1 });
  await addWorker(world, 'w3', { state: 'dead' });
  await bind(world, id, 'a', w1);
  await bind(world, id, 'b', w1, 'dispatched');
  const workers = await createNodes(world.pool).workers();
  assert.deepEqual(
    workers.map(({ name, state, slots, inUse, leaseOver }) => [name, state, slots, inUse, leaseOver]),
    [
      ['w1', 'live', 3, 2, false],
      ['w2', 'draining', 4, 0, true],
    ],
  );
  assert.deepEqual(
    workers[0]?.running.map(({ id: task, project, workflow, state }) => [task, project, workflow, state]),
    [
      [`${id}.1.a`, 'demo', 'etl', 'running'],
      [`${id}.1.b`, 'demo', 'etl', 'dispatched'],
    ],
  );
});
