import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '@keelson/core';
import { taskOf } from '@keelson/core/testing';
import { addWorker, bind, finish, lineUp, namedWorkflow, openWorld } from '../../testing/world.ts';
import type { World } from '../../testing/world.ts';
import { createWhy } from './why.ts';

/** Task → code, through the facts of the store and the words of the core. */
async function codes({ pool }: World, id: string): Promise<Record<string, string>> {
  const facts = (await createWhy(pool).facts(id)) ?? assert.fail();
  return Object.fromEntries(explain(facts).map(({ task, code }) => [task ?? '', code]));
}

async function message({ pool }: World, id: string, task: string): Promise<string> {
  const facts = (await createWhy(pool).facts(id)) ?? assert.fail();
  return explain(facts).find((one) => one.task === task)?.message ?? assert.fail();
}

test('a fresh instance waits for a master; a step that fails says so, and one given up too', async (t) => {
  const world = await openWorld(t);
  const id = await world.start(await world.apply(namedWorkflow('demo', 'etl', [taskOf('a'), taskOf('b', ['a'])])));
  assert.deepEqual(await codes(world, id), { a: 'command-waiting', b: 'waiting-for-upstream' });
  assert.equal(await message(world, id, 'b'), 'waits for a (waiting)');
  await world.sql("update command set tries = 2, last_error = 'boom', not_before = now() + interval '1 minute'");
  assert.deepEqual(await codes(world, id), { a: 'command-retrying', b: 'waiting-for-upstream' });
  assert.match(await message(world, id, 'a'), /failed 2 times and is tried again in .*: boom$/);
  await world.sql('delete from command');
  assert.equal((await codes(world, id)).a, 'no-driver');
  await world.sql(
    "insert into command_error (command_id, instance_id, kind, payload, tries, error) values (1, $1, 'start', '{}', 5, 'boom')",
    [id],
  );
  await world.end(id, 'failed', { code: 'command-parked', message: 'boom' });
  assert.deepEqual(await codes(world, id), { '': 'command-parked', a: 'command-parked', b: 'command-parked' });
});

test('tasks in each place say what they wait for', async (t) => {
  const world = await openWorld(t);
  const names = [
    'good',
    'bad',
    'late',
    'again',
    'nogroup',
    'noskill',
    'full',
    'soon',
    'bound',
    'runs',
    'lost',
    'killed',
  ];
  const id = await world.start(
    await world.apply(
      namedWorkflow('demo', 'etl', [...names.map((name) => taskOf(name)), taskOf('joins', ['good', 'runs', 'bad'])]),
    ),
  );
  const worker = await addWorker(world, 'w1', { slots: 10 });
  await addWorker(world, 'w0', { slots: 3, capabilities: ['sql'] });
  const busy = await addWorker(world, 'b1', { group: 'busy', slots: 1 });
  await addWorker(world, 'b2', { group: 'busy', slots: 1, state: 'draining' });
  await addWorker(world, 'g1', { group: 'ghosts', leaseMs: -1000 });
  const gone = await addWorker(world, 'gone', { leaseMs: -65_000 });
  await finish(world, id, 'good', 'succeeded');
  await finish(world, id, 'bad', 'failed', { reason: { code: 'exit-code', message: 'exit code 2' } });
  const delay = `insert into delayed (instance_id, task, generation, attempt, worker_group, capability, priority, cause, due_at)
                 values ($1, $2, 1, $3, 'default', 'shell', 0, $4, now() + interval '90 seconds')`;
  await world.sql(delay, [id, 'late', 1, 'delay']);
  await world.sql(delay, [id, 'again', 2, 'retry']);
  const other = await world.start(
    await world.apply(namedWorkflow('demo', 'other', [taskOf('x'), taskOf('y'), taskOf('z')])),
  );
  await lineUp(world, other, 'x', { group: 'busy', priority: 9 });
  await lineUp(world, other, 'y', { group: 'busy', capability: 'sql' });
  await lineUp(world, id, 'nogroup', { group: 'ghosts' });
  await lineUp(world, id, 'noskill', { capability: 'python' });
  await lineUp(world, id, 'full', { group: 'busy' });
  await lineUp(world, id, 'soon');
  await bind(world, other, 'z', busy);
  await bind(world, id, 'bound', worker, 'dispatched');
  await bind(world, id, 'runs', worker);
  await bind(world, id, 'lost', gone);
  await bind(world, id, 'killed', worker);
  await world.sql("update active set kill_reason = 'timeout' where task = 'killed'");
  assert.deepEqual(await codes(world, id), {
    bad: 'exit-code',
    late: 'delayed',
    again: 'retry-delay',
    nogroup: 'no-worker-in-group',
    noskill: 'no-worker-with-capability',
    full: 'group-full',
    soon: 'about-to-start',
    bound: 'dispatched',
    runs: 'running',
    lost: 'worker-lost',
    killed: 'stopping',
    joins: 'waiting-for-upstream',
  });
  assert.equal(
    await message(world, id, 'full'),
    'group busy is full: 1 of 1 slots for shell in use; position 2 in line',
  );
  assert.match(await message(world, id, 'soon'), /position 1 in line; 7 of 10 slots free in group default$/);
  assert.equal(
    await message(world, id, 'noskill'),
    'no live worker in group default can run python (there are w0, w1)',
  );
  assert.equal(await message(world, id, 'joins'), 'waits for runs (running)');
  assert.match(await message(world, id, 'again'), /^attempt 1 has failed; attempt 2 may start at /);
  await world.sql("update live_instance set state = 'stopping' where id = $1", [id]);
  const stopping = await codes(world, id);
  assert.deepEqual(
    [stopping.soon, stopping.joins, stopping.runs, stopping.bad],
    ['stopping', 'stopping', 'running', 'exit-code'],
  );
});

test('an unknown instance has no facts, and one that succeeded nothing to explain', async (t) => {
  const world = await openWorld(t);
  assert.equal(await createWhy(world.pool).facts('404'), undefined);
  assert.equal(await createWhy(world.pool).facts('x'), undefined);
  const id = await world.start(await world.apply(namedWorkflow('demo', 'etl')));
  await finish(world, id, 'a', 'succeeded');
  await world.end(id, 'succeeded');
  assert.deepEqual(await codes(world, id), {});
});

test('what is held says so, and what is left of its delay; a queued instance says what it waits for', async (t) => {
  const world = await openWorld(t);
  const definition = namedWorkflow('demo', 'etl', [taskOf('a'), taskOf('b'), taskOf('c', ['a'])]);
  const id = await world.start(await world.apply(definition));
  await world.sql("update live_instance set state = 'paused', begun = true where id = $1", [id]);
  await world.sql(
    `insert into held (instance_id, task, generation, attempt, worker_group, capability, priority, cause, delay_left_ms)
     values ($1, 'a', 1, 1, 'default', 'shell', 0, null, 0), ($1, 'b', 1, 2, 'default', 'shell', 0, 'retry', 5000)`,
    [id],
  );
  assert.deepEqual(await codes(world, id), { '': 'paused', a: 'paused', b: 'paused', c: 'paused' });
  assert.equal(
    await message(world, id, 'b'),
    'the delay before attempt 2 has 5 s left, and held back: the instance is paused',
  );
  await world.sql("update live_instance set state = 'queued', begun = false, limited = true where id = $1", [id]);
  await world.sql(
    "insert into concurrency (workflow_id, policy, slots) select workflow_id, 'serial-wait', 1 from workflow_instance where id = $1",
    [id],
  );
  const facts = (await createWhy(world.pool).facts(id)) ?? assert.fail();
  assert.deepEqual(facts.instance.queue, { policy: 'serial-wait', slots: 1, used: 0, holders: [], ahead: 0 });
});
