import assert from 'node:assert/strict';
import { test } from 'node:test';
import { workflowOf, taskOf } from '@keelson/core/testing';
import type { TriggerDefinition } from '@keelson/core';
import { draftOf, openWorld } from '../../testing/world.ts';
import type { World } from '../../testing/world.ts';
import { createCalendars } from './calendars.ts';
import { createSchedules } from './schedules.ts';
import { createVerifier } from '../verify/verify.ts';

const EVERY: TriggerDefinition = {
  id: 'often',
  fixedRateMs: 3_600_000,
  timezone: 'UTC',
  misfire: 'fire-once',
  params: {},
};

const scheduled = (name: string, ...triggers: readonly TriggerDefinition[]) =>
  workflowOf([taskOf('a')], { project: 'p', name, triggers });

async function schedulesOf(world: World) {
  const { items } = await createSchedules(world.pool).list({ project: 'p' }, { limit: 100 });
  return items.map(({ workflow, triggerId, state, nextDue }) => ({
    workflow,
    triggerId,
    state,
    next: nextDue !== null,
  }));
}

test('an apply makes, keeps, changes and removes schedules; what is due and gone is said to be skipped', async (t) => {
  const world = await openWorld(t);
  await world.apply(scheduled('w', EVERY, { ...EVERY, id: 'off', enabled: false }));
  assert.deepEqual(await schedulesOf(world), [
    { workflow: 'w', triggerId: 'off', state: 'disabled', next: false },
    { workflow: 'w', triggerId: 'often', state: 'active', next: true },
  ]);
  const rows = () =>
    world.sql('select id, version_id, next_due from schedule where deleted_at is null order by trigger_id');
  const [, before] = await rows();
  await world.apply({ ...scheduled('w', EVERY), title: 'another version' });
  const [kept] = await rows();
  assert.deepEqual({ ...kept, version_id: '' }, { ...before, version_id: '' }, 'an unchanged trigger keeps its place');
  assert.notEqual(kept?.['version_id'], before?.['version_id'], 'and fires the latest version');

  const overdue = `update schedule set next_due = '2026-01-01', next_at = '2026-01-01' where trigger_id = 'often'`;
  await world.sql(overdue);
  await world.apply(scheduled('w', { ...EVERY, fixedRateMs: 7_200_000 }));
  const [moved] = await rows();
  assert.equal(moved?.['id'], before?.['id'], 'a changed trigger is the same schedule');
  assert.ok(moved?.['next_due'] > new Date(), 'and counts from now');
  await world.sql(overdue.replaceAll('2026-01-01', '2026-01-02'));
  await world.apply(scheduled('w'));
  assert.deepEqual(await rows(), []);
  const fires = await world.sql(`select outcome, reason->>'code' as code from fire order by due_at`);
  assert.deepEqual(fires, [
    { outcome: 'skipped', code: 'schedule-changed' },
    { outcome: 'skipped', code: 'schedule-removed' },
  ]);
  const kinds = await world.sql('select kind from schedule_event order by id');
  assert.deepEqual(
    kinds.map(({ kind }) => kind),
    ['created', 'created', 'removed', 'changed', 'removed'],
  );
});

test('pausing outlives an apply; a deleted workflow has no schedules, and gets new ones when it is back', async (t) => {
  const world = await openWorld(t);
  const schedules = createSchedules(world.pool);
  const workflow = { project: 'p', name: 'w' };
  await world.apply(scheduled('w', EVERY));
  const [paused] = await schedules.pause(workflow, undefined, 'ann');
  assert.equal(paused?.changed, true);
  assert.equal((await schedules.pause(workflow, 'often', 'bob'))[0]?.changed, false);
  await world.apply(scheduled('w', { ...EVERY, fixedRateMs: 1000 }));
  assert.deepEqual(await schedulesOf(world), [{ workflow: 'w', triggerId: 'often', state: 'paused', next: false }]);
  const [resumed] = await schedules.resume(workflow, 'often', 'ann');
  assert.ok(resumed?.nextDue !== null);
  await assert.rejects(schedules.pause(workflow, 'no', 'ann'), {
    code: 'unknown-schedule',
    message: /has the triggers often, not "no"/,
  });
  await assert.rejects(schedules.pause({ ...workflow, name: 'v' }, undefined, 'ann'), { code: 'unknown-workflow' });
  await world.definitions.delete(workflow, 'ann');
  assert.deepEqual(await schedulesOf(world), []);
  await assert.rejects(schedules.resume(workflow, undefined, 'ann'), { code: 'unknown-workflow' });
  await world.apply(scheduled('w', EVERY));
  assert.deepEqual(await schedulesOf(world), [{ workflow: 'w', triggerId: 'often', state: 'active', next: true }]);
});

test('a calendar in use cannot be deleted; a changed one moves next times and fires nothing of the past', async (t) => {
  const world = await openWorld(t);
  const calendars = createCalendars(world.pool);
  const trigger: TriggerDefinition = { ...EVERY, calendars: ['holidays'] };
  await assert.rejects(world.apply(scheduled('w', trigger)), { code: 'missing-calendar' });
  assert.deepEqual(await world.sql('select from workflow'), [], 'nothing half done');
  const calendar = { name: 'holidays', exclude: [], include: [] };
  assert.deepEqual(await calendars.set('p', calendar, 'ann'), { moved: 0 });
  await world.apply(scheduled('w', trigger));
  const due = async (): Promise<Date> => (await world.sql('select next_due from schedule'))[0]?.['next_due'];
  const first = await due();
  const everyDay = { ...calendar, exclude: [{ weekdays: [1, 2, 3, 4, 5, 6, 7] }], include: [{ date: '2099-01-01' }] };
  assert.deepEqual(await calendars.set('p', everyDay, 'ann'), { moved: 1 });
  assert.equal((await due()).toISOString(), '2099-01-01T00:00:00.000Z');
  assert.deepEqual(await calendars.set('p', everyDay, 'ann'), { moved: 0 }, 'the same again');
  assert.deepEqual(await calendars.set('p', calendar, 'ann'), { moved: 1 });
  assert.ok((await due()) >= first);
  await world.sql(`update schedule set next_due = '2026-01-01', next_at = '2026-01-01'`);
  assert.deepEqual(await calendars.set('p', everyDay, 'ann'), { moved: 0 }, 'what is due stays due');
  await assert.rejects(calendars.delete('p', 'holidays'), { code: 'calendar-in-use' });
  await world.apply(scheduled('w'));
  assert.equal((await calendars.get('p', 'holidays'))?.schedules, 0);
  assert.equal(await calendars.delete('p', 'holidays'), true);
  assert.equal(await calendars.delete('p', 'holidays'), false);
});

test('thousands of schedules are applied and looked up by pages', async (t) => {
  const world = await openWorld(t);
  const drafts = Array.from({ length: 120 }, (_, index) => draftOf(scheduled(`w${index}`, EVERY)));
  await world.definitions.apply(drafts);
  const schedules = createSchedules(world.pool);
  const first = await schedules.list({ project: 'p', state: 'active' }, { limit: 100 });
  assert.equal(first.items.length, 100);
  const second = await schedules.list({ project: 'p' }, { limit: 100, cursor: first.next ?? '' });
  assert.equal(second.items.length, 20);
});

test('verify finds an instance that no fire started, and a second one of the same time', async (t) => {
  const world = await openWorld(t);
  const applied = await world.apply(scheduled('w', EVERY));
  await world.sql(`update schedule set next_due = '2026-01-01', next_at = '2026-01-01'`);
  const id = await world.start(applied);
  const copies = `insert into workflow_instance (id, workflow_id, version_id, params, run_time, trigger, priority, created_by, schedule_id)
    select i.id + n, i.workflow_id, i.version_id, params, '2026-01-01', 'schedule', 0, 'schedule often', s.id
      from workflow_instance i, generate_series(1, 3) n, schedule s where i.id = $1`;
  await world.sql(copies, [id]);
  const [first, second, other] = [1, 2, 3].map((n) => String(Number(id) + n));
  await world.sql(
    `insert into fire (schedule_id, due_at, outcome, instance_id) select id, '2026-01-01', 'fired', $1 from schedule`,
    [first],
  );
  await world.sql(`alter table workflow_instance disable trigger append_only`);
  await world.sql(`update workflow_instance set run_time = '2026-01-02' where id = $1`, [other]);
  const found: string[][] = [];
  for await (const { violations } of createVerifier(world.pool).verify())
    for (const { instanceId, check, found: what } of violations) if (check === 'fire') found.push([instanceId, what]);
  assert.deepEqual(found, [
    [second, `it started instance ${first}`],
    [other, 'no such fire'],
  ]);
});
