import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type { TriggerDefinition } from '@keelson/core';
import { openWorld } from '../../testing/world.ts';
import type { World } from '../../testing/world.ts';
import { createCalendars } from './calendars.ts';

const TRIGGER: TriggerDefinition = {
  id: 'hourly',
  fixedRateMs: 3_600_000,
  timezone: 'UTC',
  misfire: 'fire-once',
  params: {},
  calendars: ['holidays'],
};
const OPEN = { name: 'holidays', exclude: [], include: [] };
const CLOSED = { ...OPEN, exclude: [{ weekdays: [1, 2, 3, 4, 5, 6, 7] }], include: [{ date: '2099-01-01' }] };
const LATER = '2099-01-01T00:00:00.000Z';

const due = async (world: World): Promise<string> =>
  (await world.sql('select next_due from schedule'))[0]?.['next_due'].toISOString();

/** Runs the statement in a transaction of its own that commits when `action` waits for its lock. */
async function heldBy<T>(world: World, statement: string, values: unknown[], action: () => Promise<T>): Promise<T> {
  const client = await world.pool.connect();
  try {
    await client.query('begin');
    await client.query(statement, values);
    const done = action();
    const waits =
      "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and pid <> pg_backend_pid()";
    for (const giveUpAt = performance.now() + 20_000; (await world.sql(waits)).length === 0; await pause(10))
      assert.ok(performance.now() < giveUpAt, 'nobody waits for the lock');
    await client.query('commit');
    return await done;
  } finally {
    client.release();
  }
}

test('an apply waits for a change of a calendar that it names, and goes by the new one', async (t) => {
  const world = await openWorld(t);
  await createCalendars(world.pool).set('p', OPEN, 'ann');
  const definition = workflowOf([taskOf('a')], { project: 'p', name: 'w', triggers: [TRIGGER] });
  const change = 'update calendar set definition = $1, revision = default';
  await heldBy(world, change, [JSON.stringify(CLOSED)], () => world.apply(definition));
  assert.equal(await due(world), LATER);
});

test('a change of a calendar moves a schedule that is being resumed', async (t) => {
  const world = await openWorld(t);
  const calendars = createCalendars(world.pool);
  await calendars.set('p', OPEN, 'ann');
  await world.apply(workflowOf([taskOf('a')], { project: 'p', name: 'w', triggers: [TRIGGER] }));
  await world.sql('update schedule set paused_at = now(), paused_by = $$b$$, next_due = null, next_at = null');
  const resume = `update schedule set paused_at = null, paused_by = null, next_due = now() + interval '1 hour', next_at = now() + interval '1 hour'`;
  const set = () => calendars.set('p', CLOSED, 'ann');
  assert.deepEqual(await heldBy(world, resume, [], set), { moved: 1 });
  assert.equal(await due(world), LATER);
});
