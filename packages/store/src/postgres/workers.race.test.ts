import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { taskOf } from '@keelson/core/testing';
import { addWorker, bind, lineUp, namedWorkflow, openWorld } from '../testing/world.ts';
import type { World } from '../testing/world.ts';
import { claimCall } from './claim.ts';
import { createEngine } from './engine.ts';
import { KILL_ACTIVE } from './step/write-line.ts';
import { createWorkers } from './workers.ts';

async function setup(t: TestContext) {
  const world = await openWorld(t);
  const workers = createWorkers(world.open);
  t.after(() => workers.close());
  return { world, workers };
}

async function rawClient(t: TestContext, world: World): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: world.settings.url, options: '-c search_path=keelson' });
  await client.connect();
  t.after(() => client.end());
  return client;
}

test('a renewal that was acknowledged is committed, whatever an expiry on the same connection does', async (t) => {
  const { world, workers } = await setup(t);
  const id = await addWorker(world, 'w1', { leaseMs: 20_000 });
  await workers.renew([]);
  const [renewed] = await Promise.all([workers.renew([]), workers.expire(1e9), workers.renew([id])]).then(
    ([, , answer]) => answer,
  );
  assert.equal(renewed?.id, id, 'the worker is told that it holds a lease of a minute from now');
  const [row] = await world.sql(
    'select extract(epoch from lease_until - clock_timestamp())::int as left from worker_incarnation where id = $1',
    [id],
  );
  assert.ok(row?.left > 30, `the database gives it ${row?.left} s`);
});

test('a worker that leaves while a claim for it is being written leaves nothing behind without a command', async (t) => {
  const { world, workers } = await setup(t);
  const instance = await world.start(await world.apply(namedWorkflow('p', 'w', [taskOf('a')])));
  const id = await addWorker(world, 'w1');
  await lineUp(world, instance, 'a');
  const claimer = await rawClient(t, world);
  const claim = claimCall({ workerGroup: 'default', capabilities: ['shell'], slots: [id], nonce: 'n' });
  await claimer.query('begin');
  const bound = await claimer.query(claim.statement.text, [...claim.values]);
  assert.equal(bound.rowCount, 1);
  const leaving = workers.leave(id);
  // Either the leave waits for the claim, or it is through: then the claim must not have bound to a dead worker.
  await Promise.race([leaving, new Promise((resolve) => setTimeout(resolve, 500))]);
  await claimer.query('commit');
  await leaving;
  const forgotten = await world.sql(
    `select a.id from active a join worker_incarnation w on w.id = a.incarnation_id
      where w.state = 'dead' and not exists (select from command c where c.instance_id = a.instance_id and c.kind = 'attempt-ended')`,
  );
  assert.deepEqual(forgotten, []);
});

test('a step that throws in its decision gives its locks back', async (t) => {
  const { world } = await setup(t);
  const engine = createEngine(world.open, 1);
  t.after(() => engine.close());
  const applied = await world.apply(namedWorkflow('p', 'w', [taskOf('a')]));
  const instance = await world.start(applied);
  const mind = {
    knowsVersion: () => true,
    taskNames: () => [],
    claims: () => [],
    describe: () => [],
    place: () => [],
    decide: () => {
      throw new Error('a bug of the core');
    },
  };
  await assert.rejects(engine.step({ reports: [], demand: [], commandLimit: 10 }, mind), /bug of the core/);
  const other = await rawClient(t, world);
  const free = await other.query('select id from live_instance where id = $1 for no key update skip locked', [
    instance,
  ]);
  assert.equal(free.rowCount, 1, 'nobody holds the instance any more');
});

test('a withdrawal and the note of a start do not lock each other out', async (t) => {
  const { world } = await setup(t);
  const instance = await world.start(await world.apply(namedWorkflow('p', 'w', [taskOf('a'), taskOf('b')])));
  const worker = await addWorker(world, 'w1');
  const b = await bind(world, instance, 'b', worker, 'dispatched');
  const a = await bind(world, instance, 'a', worker, 'dispatched');
  const [holder, killer] = [await rawClient(t, world), await rawClient(t, world)];
  await holder.query('begin');
  await holder.query('select from active where id = $1 for update', [a]);
  const engine = createEngine(world.open, 1);
  t.after(() => engine.close());
  const killed = killer
    .query('set enable_seqscan = off; set enable_bitmapscan = off')
    .then(() => killer.query(KILL_ACTIVE.text, [[instance]]));
  await blocked(world, 1);
  const started = engine.started(
    [a, b].map((attemptId) => ({ attemptId, incarnationId: worker, nonce: 'n', startedAgoMs: 1 })),
  );
  await blocked(world, 2);
  await holder.query('commit');
  const results = await Promise.allSettled([killed, started]);
  assert.deepEqual(
    results.map((result) => (result.status === 'rejected' ? result.reason.code : 'ok')),
    ['ok', 'ok'],
  );
});

async function blocked({ sql }: World, count: number): Promise<void> {
  const until = performance.now() + 5000;
  for (;;) {
    const [row] = await sql(
      "select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    if (row?.waiting >= count) return;
    assert.ok(performance.now() < until, `${count} sessions wait for a lock`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
