import assert from 'node:assert/strict';
import { test } from 'node:test';
import { taskOf } from '@keelson/core/testing';
import { addWorker, bind, finish, lineUp, namedWorkflow, openWorld } from '../testing/world.ts';
import type { World } from '../testing/world.ts';
import { createDoctor } from './doctor.ts';
import { INVARIANTS } from './invariants.ts';

/** A system at work that breaks no rule: one instance before its first step, one in the middle, one ended. */
async function healthy(world: World): Promise<{ id: string; worker: string }> {
  const applied = await world.apply(
    namedWorkflow(
      'demo',
      'etl',
      ['a', 'b', 'c', 'd', 'e'].map((name) => taskOf(name)),
    ),
  );
  await world.start(applied);
  await world.end(await world.start(applied), 'succeeded');
  const id = await world.start(applied);
  const worker = await addWorker(world, 'w1');
  await world.sql('delete from command where instance_id = $1', [id]);
  await lineUp(world, id, 'a');
  await bind(world, id, 'b', worker);
  await world.sql(
    `insert into delayed (instance_id, task, generation, attempt, worker_group, capability, priority, cause, due_at)
     values ($1, 'c', 1, 1, 'default', 'shell', 0, 'delay', now() + interval '1 hour')`,
    [id],
  );
  await finish(world, id, 'd', 'succeeded');
  return { id, worker };
}

async function broken({ pool }: World): Promise<Record<string, string[]>> {
  const findings = await createDoctor(pool).check();
  assert.deepEqual(
    findings.map(({ name }) => name),
    INVARIANTS.map(({ name }) => name),
  );
  return Object.fromEntries(
    findings.filter(({ rows }) => rows.length > 0).map(({ name, rows }) => [name, rows.map(({ message }) => message)]),
  );
}

test('a system at work has no finding', async (t) => {
  const world = await openWorld(t);
  assert.deepEqual(await broken(world), {}, 'an empty one');
  await healthy(world);
  assert.deepEqual(await broken(world), {});
});

/** Name of the rule → a statement that breaks it ($1: the instance in the middle), and what the finding says. */
const BREAKS: readonly (readonly [rule: string, sql: string, message: RegExp])[] = [
  [
    'instance-without-driver',
    'with r as (delete from ready), d as (delete from delayed) delete from active',
    /^running, 4 tasks unfinished$/,
  ],
  ['attempt-of-dead-worker', "update worker_incarnation set state = 'dead'", /^task b, attempt 1, worker w1 is dead$/],
  [
    'lease-not-expired',
    `create or replace function server_up_since() returns timestamptz language sql as $f$ select '-infinity'::timestamptz $f$;
     update worker_incarnation set lease_until = now() - interval '10 minutes'`,
    /^worker w1/,
  ],
  ['command-without-instance', "insert into command (instance_id, kind) values (404, 'settle')", /\(settle\)$/],
  ['command-overdue', "update command set created_at = now() - interval '2 minutes'", /\(start\), tried 0 times/],
  ['timer-overdue', "update delayed set due_at = now() - interval '2 minutes'", /^task c/],
  ['row-without-instance', 'update ready set generation = 2', /^task a in ready, generation 2$/],
  ['row-without-instance', "insert into need_counter values (404, 'x', 1)", /^task x in need_counter/],
  ['task-in-two-places', "update ready set task = 'b'", /^task b: active, ready$/],
  ['ended-task-under-way', "update ready set task = 'd'", /^task d ended succeeded and is in ready$/],
  [
    'unfinished-count',
    'update live_instance set unfinished = 2 where id = $1',
    /^2 unfinished by its row, 4 by its tasks$/,
  ],
  [
    'live-and-ended',
    "insert into instance_end (instance_id, generation, state) values ($1, 1, 'failed')",
    /^ended failed in generation 1, alive in 1$/,
  ],
  ['instance-lost', 'delete from instance_end', /^neither alive nor ended$/],
];

for (const [rule, sql, message] of BREAKS) {
  test(`${rule} is found: ${message.source}`, async (t) => {
    const world = await openWorld(t);
    const { id } = await healthy(world);
    await world.sql(sql, sql.includes('$1') ? [id] : []);
    const found = await broken(world);
    assert.deepEqual(Object.keys(found), [rule]);
    assert.match(found[rule]?.[0] ?? '', message);
  });
}

test('each rule has a case here that breaks it', () => {
  assert.deepEqual(new Set(BREAKS.map(([rule]) => rule)), new Set(INVARIANTS.map(({ name }) => name)));
});

test('an attempt of a dead worker is in order while a command tells of its end', async (t) => {
  const world = await openWorld(t);
  const { id } = await healthy(world);
  await world.sql("update worker_incarnation set state = 'dead'");
  await world.sql(
    "insert into command (instance_id, kind, payload) select $1, 'attempt-ended', jsonb_build_object('attemptId', id::text) from active",
    [id],
  );
  assert.deepEqual(await broken(world), {});
});
