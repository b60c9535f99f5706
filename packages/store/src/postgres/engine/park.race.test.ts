import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { taskOf } from '@keelson/core/testing';
import pg from 'pg';
import { addWorker, bind, namedWorkflow, openWorld } from '../../testing/world.ts';
import { parkInstance } from './quarantine.ts';
import { createWorkers } from '../workers/workers.ts';

test('an instance that is parked while a delay ends or a worker dies leaves no command behind', async (t) => {
  const world = await openWorld(t);
  const id = await world.start(await world.apply(namedWorkflow('p', 'w', [taskOf('a'), taskOf('b')])));
  const worker = await addWorker(world, 'w1');
  await bind(world, id, 'a', worker);
  await world.sql(
    `insert into delayed (instance_id, task, generation, attempt, worker_group, capability, priority, cause, due_at, fan_out)
     values ($1, 'b', 1, 1, 'default', 'shell', 0, 'delay', now(), true)`,
    [id],
  );
  // A timer on its way, as in timers.ts.
  const timer = new pg.Client({ connectionString: world.settings.url, options: '-c search_path=keelson' });
  await timer.connect();
  t.after(() => timer.end());
  await timer.query('begin');
  await timer.query(
    `with gone as (delete from delayed where instance_id = $1 returning *)
     insert into command (instance_id, kind, payload) select instance_id, 'fan-out', jsonb_build_object('task', task) from gone`,
    [id],
  );
  const session = world.open();
  const workers = createWorkers(world.open);
  t.after(() => Promise.all([session.close(), workers.close()]));
  const parked = parkInstance(session, id, { code: 'x', message: 'x' });
  const waits = async () =>
    (await world.sql("select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"))
      .length;
  for (const deadline = Date.now() + 20_000; (await waits()) === 0; await pause(5)) assert.ok(Date.now() < deadline);
  await workers.leave(worker);
  await timer.query('commit');
  assert.equal(await parked, true);
  assert.deepEqual(await world.sql('select kind from command'), []);
  assert.deepEqual(
    (await world.sql('select kind from command_error order by kind')).map(({ kind }) => kind),
    ['attempt-ended', 'fan-out', 'start'],
  );
});
