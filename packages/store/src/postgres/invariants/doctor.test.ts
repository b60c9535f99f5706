import assert from 'node:assert/strict';
import { test } from 'node:test';
import { taskOf } from '@keelson/core/testing';
import { addWorker, bind, finish, lineUp, namedWorkflow, openWorld } from '../../testing/world.ts';
import type { World } from '../../testing/world.ts';
import type { Damage } from '../../testing/damage.ts';
import { BACKFILL_DAMAGES } from '../../testing/damages-backfill.ts';
import { SLOT_DAMAGES } from '../../testing/damages-slot.ts';
import { createDoctor } from './doctor.ts';
import { sweep } from './doctor-sweep.ts';
import { INVARIANTS } from './invariants.ts';
import { oldestLive } from './live.ts';
import { openSession } from '../connection/session.ts';

const TASKS = [
  taskOf('a'),
  taskOf('b'),
  taskOf('c'),
  taskOf('d'),
  taskOf('e', ['a']),
  taskOf('f', ['a', 'd']),
  taskOf('g', ['b'], { if: 'true' }),
];

const write = (world: World, id: string, events: readonly object[]) =>
  world.sql('insert into history (instance_id, events) values ($1, $2)', [id, JSON.stringify(events)]);

/** A system at work that breaks no rule: one instance before its first step, one ended, one in the middle. */
async function healthy(world: World): Promise<{ id: string; worker: string }> {
  const applied = await world.apply(namedWorkflow('demo', 'etl', TASKS));
  await world.start(applied);
  const ended = await world.start(applied);
  for (const { id } of TASKS) await finish(world, ended, id, 'succeeded');
  await world.end(ended, 'succeeded');
  await write(world, ended, [{ type: 'instance-ended', state: 'succeeded' }]);
  const id = await world.start(applied);
  const worker = await addWorker(world, 'w1');
  await world.sql('delete from command where instance_id = $1', [id]);
  await world.sql('update live_instance set revision = 1, begun = true where id = $1', [id]);
  await lineUp(world, id, 'a');
  const b = await bind(world, id, 'b', worker);
  await world.sql(
    `insert into delayed (instance_id, task, generation, attempt, worker_group, capability, priority, cause, due_at)
     values ($1, 'c', 1, 1, 'default', 'shell', 0, 'delay', now() + interval '1 hour')`,
    [id],
  );
  await finish(world, id, 'd', 'succeeded');
  await world.sql("insert into need_counter (instance_id, task, met) values ($1, 'f', 1)", [id]);
  await write(world, id, [
    { type: 'instance-started', tasks: TASKS.length },
    { type: 'task-ready', task: 'a', attempt: 1 },
    { type: 'task-ready', task: 'b', attempt: 1 },
    { type: 'task-delayed', task: 'c', attempt: 1, cause: 'delay', delayMs: 3_600_000 },
    { type: 'task-dispatched', task: 'b', attempt: 1, attemptId: b, incarnation: worker },
  ]);
  return { id, worker };
}

const doctorOf = ({ pool, settings }: World) => createDoctor(pool, () => openSession(settings));

async function broken(world: World): Promise<Record<string, string[]>> {
  const findings = await doctorOf(world).check();
  assert.deepEqual(
    findings.map(({ name }) => name),
    INVARIANTS.map(({ name }) => name),
  );
  return Object.fromEntries(
    findings.filter(({ rows }) => rows.length > 0).map(({ name, rows }) => [name, rows.map(({ message }) => message)]),
  );
}

test('a system at work has no finding, and nothing is repaired', async (t) => {
  const world = await openWorld(t);
  assert.deepEqual(await broken(world), {}, 'an empty one');
  await healthy(world);
  assert.deepEqual(await broken(world), {});
  assert.deepEqual(await doctorOf(world).repair('me'), []);
  const session = openSession(world.settings);
  t.after(() => session.close());
  for (const pace of ['fast', 'slow'] as const) assert.deepEqual(await sweep(session, pace), { repairs: [], left: [] });
});

const DAMAGES: readonly Damage[] = [
  {
    rule: 'instance-without-driver',
    sql: 'delete from command',
    finds: /^running, 7 tasks unfinished$/,
    does: /^command start given$/,
    holds: "select count(*) = 1 from command where kind = 'start'",
  },
  {
    rule: 'instance-without-driver',
    sql: `with r as (delete from ready), d as (delete from delayed), a as (delete from active) update live_instance set state = 'stopping' where id = $1`,
    finds: /^stopping, 6 tasks unfinished$/,
    does: /^command settle given$/,
    holds: "select count(*) = 1 from command where kind = 'settle' and instance_id = $1",
  },
  {
    rule: 'instance-without-driver',
    sql: `with r as (delete from ready returning *), d as (delete from delayed returning *), a as (delete from active), h as (
            insert into held (instance_id, task, generation, attempt, worker_group, capability, priority, cause)
            select instance_id, task, generation, attempt, worker_group, capability, priority, null from r union all
            select instance_id, task, generation, attempt, worker_group, capability, priority, cause from d
          ), f as (
            insert into finished_task (instance_id, generation, task, state, attempt, ended_at) select $1, 1, t, 'skipped', 0, now() from unnest('{b,g}'::text[]) t
          ) update live_instance set state = 'pausing', unfinished = 4 where id = $1`,
    finds: /^pausing, 4 tasks unfinished$/,
    does: /^command settle given$/,
    holds: "select count(*) = 1 from command where kind = 'settle' and instance_id = $1",
  },
  {
    rule: 'instance-without-driver',
    sql: `with g as (
            insert into instance_generation (instance_id, generation, mode, task, version_id, params, created_by)
            select i.id, 2, 'from', 'a', i.version_id, '{}', 'somebody' from instance_end e join workflow_instance i on i.id = e.instance_id returning *
          ) insert into live_instance (id, workflow_id, version_id, generation, state, unfinished, priority)
            select i.id, i.workflow_id, i.version_id, 2, 'running', 7, 0 from g join workflow_instance i on i.id = g.instance_id`,
    finds: /^running, 7 tasks unfinished$/,
    does: /^command begin given$/,
    holds: `select payload = '{"mode": "from", "task": "a", "by": "somebody"}' from command where kind = 'begin'`,
  },
  {
    rule: 'held-out-of-place',
    sql: `with gone as (delete from delayed returning *)
          insert into held (instance_id, task, generation, attempt, worker_group, capability, priority, cause, delay_left_ms)
          select instance_id, task, generation, attempt, worker_group, capability, priority, cause, 5000 from gone`,
    finds: /^task c is in held while its instance is running$/,
    does: /^task c is no longer held$/,
    holds: "select due_at between now() and now() + interval '6 seconds' from delayed where task = 'c'",
  },
  {
    rule: 'held-out-of-place',
    sql: "update live_instance set state = 'paused' where id = $1",
    finds: /^task [ac] is in (ready|delayed) while its instance is paused$/,
    does: /^task c, which was in delayed, is held$/,
    holds:
      "select bool_and(cause is null and task = 'a' or cause = 'delay' and delay_left_ms > 3e6) and count(*) = 2 from held",
  },
  {
    rule: 'generation-lost',
    sql: `with g as (
            insert into instance_generation (instance_id, generation, mode, version_id, params, created_by)
            select i.id, 2, 'rerun', i.version_id, '{}', 'somebody' from instance_end e join workflow_instance i on i.id = e.instance_id returning *
          ) insert into history (instance_id, events) select instance_id, '[{"type": "generation-created"}]' from g`,
    finds: /^generation 2 \(rerun\) is neither alive nor ended$/,
    does: /^its live row is made again: running, 7 tasks unfinished$/,
    holds: `select c.kind = 'begin' and l.generation = 2 and not l.begun from command c join live_instance l on l.id = c.instance_id where c.kind <> 'start'`,
  },
  {
    rule: 'generation-lost',
    sql: `with g as (
            insert into instance_generation (instance_id, generation, mode, version_id, params, created_by)
            select i.id, 2, 'rerun', i.version_id, '{}', 'somebody' from instance_end e join workflow_instance i on i.id = e.instance_id returning *
          ) insert into history (instance_id, events) select instance_id, '[{"type": "generation-created"}, {"type": "instance-ended", "state": "stopped"}]' from g`,
    finds: /^generation 2 \(rerun\) is neither alive nor ended$/,
    does: /^its end \(stopped\) is written again$/,
    holds: "select count(*) = 7 from finished_task where generation = 2 and state = 'stopped'",
  },
  {
    rule: 'generation-unknown',
    sql: `insert into instance_generation (instance_id, generation, mode, version_id, params, created_by) select id, 2, 'rerun', version_id, '{}', 'x' from live_instance where id = $1`,
    finds: /^alive in generation 1 with version 1; told: generation 2, version 1$/,
  },
  {
    rule: 'row-without-instance',
    sql: `insert into held (instance_id, task, generation, attempt, worker_group, capability, priority) select instance_id, 'z', 1, 1, 'default', 'shell', 0 from instance_end`,
    finds: /^task z in held, generation 1$/,
    does: /^task z, generation 1, taken out of held$/,
  },
  {
    rule: 'attempt-of-dead-worker',
    sql: "update worker_incarnation set state = 'dead'",
    finds: /^task b, attempt 1, worker w1 is dead$/,
    does: /^attempt 1 of task b is told to be lost$/,
    holds: `select count(*) = 1 from command c join active a on a.id = (c.payload->>'attemptId')::bigint where c.instance_id = $1 and c.payload->>'end' = 'lost'`,
  },
  {
    rule: 'lease-not-expired',
    sql: `create or replace function server_up_since() returns timestamptz language sql as $f$ select '-infinity'::timestamptz $f$;
          update worker_incarnation set lease_until = now() - interval '10 minutes'`,
    finds: /^worker w1/,
  },
  {
    rule: 'command-without-instance',
    sql: "insert into command (instance_id, kind) values (404, 'settle')",
    finds: /\(settle\)$/,
    does: /moved to command_error/,
    holds: 'select count(*) = 1 from command_error where instance_id = 404',
    noHistory: true,
  },
  {
    rule: 'command-without-instance',
    sql: "insert into command (instance_id, kind) select instance_id, 'settle' from instance_end",
    finds: /\(settle\)$/,
    does: /moved to command_error/,
  },
  {
    rule: 'command-kind-unknown',
    sql: "alter table command drop constraint command_kind_check; update command set kind = 'dance'",
    finds: /\(dance\)$/,
  },
  {
    rule: 'command-overdue',
    sql: "update command set created_at = now() - interval '2 minutes'",
    finds: /\(start\), tried 0 times/,
  },
  { rule: 'timer-overdue', sql: "update delayed set due_at = now() - interval '2 minutes'", finds: /^task c/ },
  {
    rule: 'alert-overdue',
    sql: `insert into alert (kind, payload, created_at, tries, last_error) values ('instance-failed', '{}', now() - interval '2 hours', 3, 'refused')`,
    finds: /tried 3 times: refused$/,
  },
  {
    rule: 'row-without-instance',
    sql: 'update ready set generation = 2',
    finds: /^task a in ready, generation 2$/,
  },
  {
    rule: 'row-without-instance',
    sql: `insert into ready (instance_id, task, generation, attempt, worker_group, capability, priority) select instance_id, 'a', 1, 1, 'default', 'shell', 0 from instance_end`,
    finds: /^task a in ready, generation 1$/,
    does: /^task a, generation 1, taken out of ready$/,
    also: ['ended-task-under-way'],
  },
  {
    rule: 'row-without-instance',
    sql: "insert into need_counter values (404, 'x', 1)",
    finds: /^task x in need_counter/,
    does: /^task x taken out of need_counter$/,
    noHistory: true,
  },
  {
    rule: 'task-in-two-places',
    sql: `insert into ready (instance_id, task, generation, attempt, worker_group, capability, priority) values ($1, 'b', 1, 1, 'default', 'shell', 0)`,
    finds: /^task b: active, ready$/,
    does: /^task b taken out of ready: it is in active$/,
    holds: `select count(*) = 1 from active where task = 'b'`,
  },
  {
    rule: 'ended-task-under-way',
    sql: `insert into ready (instance_id, task, generation, attempt, worker_group, capability, priority) values ($1, 'd', 1, 1, 'default', 'shell', 0)`,
    finds: /^task d ended succeeded and is in ready$/,
    does: /^task d, which ended succeeded, taken out of ready$/,
  },
  {
    rule: 'two-active-attempts',
    sql: `do $$ declare key text; begin
            for key in select conname from pg_constraint where conrelid = 'active'::regclass and contype = 'u' loop execute 'alter table active drop constraint ' || key; end loop;
          end $$;
          insert into active (instance_id, task, generation, attempt, incarnation_id, nonce, ready_at) select instance_id, task, generation, attempt, incarnation_id, 'x', now() from active`,
    finds: /^task b: attempts 1, 2$/,
  },
  {
    rule: 'unfinished-count',
    sql: 'update live_instance set unfinished = 2 where id = $1',
    finds: /^2 unfinished by its row, 6 by its tasks$/,
    does: /^6 tasks unfinished, 0 failed$/,
    holds: 'select unfinished = 6 from live_instance where id = $1',
  },
  {
    rule: 'unfinished-count',
    sql: 'update live_instance set failed = 1 where id = $1',
    finds: /^1 failed by its row, 0 by its tasks$/,
    does: /^6 tasks unfinished, 0 failed$/,
    holds: 'select failed = 0 from live_instance where id = $1',
  },
  {
    rule: 'need-count',
    sql: 'delete from need_counter',
    finds: /^task f: 1 of 2 needs met, counted 0$/,
    does: /^task f: 1 needs met$/,
    holds: 'select met = 1 from need_counter where instance_id = $1',
  },
  {
    rule: 'task-without-driver',
    sql: 'delete from ready',
    finds: /^task a has no row/,
    does: /^attempt 1 of task a is told to be lost$/,
    holds: `select count(*) = 1 from active a join command c on c.payload->>'attemptId' = a.id::text where a.task = 'a' and a.incarnation_id = 0 and a.attempt = 1`,
  },
  {
    rule: 'task-without-driver',
    sql: `with gone as (delete from active) update worker_incarnation set state = 'dead'`,
    finds: /^task b has no row/,
    does: /^attempt 1 of task b is told to be lost$/,
    holds: `select count(*) = 1 from active a join command c on c.payload->>'attemptId' = a.id::text where a.task = 'b' and a.incarnation_id <> 0 and a.id = 1`,
  },
  { rule: 'task-without-driver', sql: 'delete from active', finds: /^task b has no row/ },
  {
    rule: 'live-and-ended',
    sql: "insert into instance_end (instance_id, generation, state) values ($1, 1, 'failed')",
    finds: /^ended failed in generation 1, alive in 1$/,
    does: /^the end \(failed\) is deleted/,
    also: ['ended-without-tasks'],
  },
  {
    rule: 'live-and-ended',
    sql: `insert into live_instance (id, workflow_id, version_id, generation, state, unfinished, priority)
          select i.id, i.workflow_id, i.version_id, 1, 'running', 0, 0 from workflow_instance i join instance_end e on e.instance_id = i.id`,
    finds: /^ended succeeded in generation 1, alive in 1$/,
    does: /^the live row \(running\) is deleted/,
    also: ['instance-without-driver'],
  },
  {
    rule: 'instance-lost',
    sql: 'delete from instance_end',
    finds: /^neither alive nor ended$/,
    does: /^its end \(succeeded\) is written again$/,
    holds: "select count(*) = 1 from instance_end where state = 'succeeded'",
  },
  {
    rule: 'instance-lost',
    sql: 'delete from live_instance where id = $1',
    finds: /^neither alive nor ended$/,
    does: /^its live row is made again: running, 6 tasks unfinished$/,
    holds: 'select revision > 0 and unfinished = 6 from live_instance where id = $1',
    also: ['row-without-instance'],
  },
  {
    rule: 'ended-without-tasks',
    sql: "delete from finished_task where task = 'c'",
    finds: /^6 of 7 tasks have ended$/,
    does: /^ended as stopped: c$/,
    holds: "select state = 'stopped' from finished_task where task = 'c'",
  },
  {
    rule: 'broadcast-count',
    sql: "insert into broadcast (instance_id, task, generation, phase, total, running) values ($1, 'b', 1, 'fan', 2, 2)",
    finds: /^task b: 0 waiting, 2 running, 0 ended; its rows: 0, 0, 0$/,
  },
  {
    rule: 'start-key-without-instance',
    sql: "insert into start_key (workflow_id, key, body_hash, instance_id) values (1, 'k', 'h', 404)",
    finds: /^key k of workflow 1$/,
    does: /^key k forgotten$/,
    noHistory: true,
  },
  {
    rule: 'history-without-instance',
    sql: `insert into history (instance_id, events) values (404, '[]')`,
    finds: /^its history is there/,
  },
  {
    rule: 'schedule-without-next',
    sql: `alter table schedule drop constraint schedule_place;
          insert into schedule (workflow_id, version_id, trigger_id, trigger) values (1, 1, 't', '{}')`,
    finds: /^schedule 1 \(trigger t of workflow 1\)$/,
  },
  {
    rule: 'schedule-awaits-ended',
    sql: `insert into schedule (workflow_id, version_id, trigger_id, trigger, awaiting) select 1, 1, 't', '{}', min(instance_id) from instance_end`,
    finds: /^schedule 1 \(trigger t of workflow 1\)$/,
    does: /^schedule 1 is told of its end$/,
    holds: `select count(*) = 1 from followup f join schedule s on s.id = f.subject_id and s.awaiting = f.instance_id where f.kind = 'schedule'`,
  },
  {
    rule: 'schedule-of-old-version',
    sql: `insert into schedule (workflow_id, version_id, trigger_id, trigger, next_due, next_at) values (1, 404, 't', '{}', now() + interval '1 day', now() + interval '1 day')`,
    finds: /^schedule 1 \(trigger t of workflow 1\)$/,
  },
  {
    rule: 'fire-without-instance',
    sql: `insert into fire (schedule_id, due_at, outcome, instance_id) values (1, '2026-01-02', 'fired', 404)`,
    finds: /^fire of schedule 1 at 2026-01-02/,
  },
  {
    rule: 'schedule-overdue',
    sql: `insert into schedule (workflow_id, version_id, trigger_id, trigger, next_due, next_at) values (1, 1, 't', '{}', '2026-01-02', '2026-01-02')`,
    finds: /^schedule 1 \(trigger t of workflow 1\), due at 2026-01-02/,
  },
  {
    rule: 'blob-missing',
    sql: `insert into blob values (repeat('a', 64), 1);
          update workflow_version set files = jsonb_build_array(jsonb_build_object('path', 'x.sh', 'sha256', repeat('b', 64)))`,
    finds: /x\.sh, sha256 bbb/,
  },
];

const ALL_DAMAGES = [...DAMAGES, ...BACKFILL_DAMAGES, ...SLOT_DAMAGES];

for (const damage of ALL_DAMAGES) {
  const { rule, sql, finds, does, holds, also = [], noHistory } = damage;
  test(`${rule}: ${finds.source}${does === undefined ? '' : ` → ${does.source}`}`, async (t) => {
    const world = await openWorld(t);
    const { id } = await healthy(world);
    const fill = (text: string) => world.sql(text.replaceAll('$1', id));
    await fill(sql);
    const found = await broken(world);
    assert.deepEqual(Object.keys(found).toSorted(), [rule, ...also].toSorted());
    assert.match(found[rule]?.[0] ?? '', finds);

    const repairs = await doctorOf(world).repair('me');
    if (does === undefined) {
      assert.deepEqual(repairs, []);
      assert.deepEqual(Object.keys(await broken(world)), [rule], 'it is left');
      return;
    }
    assert.equal(repairs[0]?.rule, rule);
    assert.match(repairs[0]?.message ?? '', does);
    assert.deepEqual(await broken(world), {});
    if (holds !== undefined) {
      const [answer] = await fill(holds);
      assert.equal(Object.values(answer ?? {})[0], true, holds);
    }
    const noted = await world.sql(`select events->0 as event from history where events->0->>'type' = 'repaired'`);
    if (noHistory === undefined) {
      assert.equal(noted[0]?.event.rule, rule);
      assert.equal(noted[0]?.event.by, 'me');
    } else assert.deepEqual(noted, []);
    assert.deepEqual(await doctorOf(world).repair('me'), [], 'once');
  });
}

test('each rule has a case here that breaks it, and each repair one that shows it', () => {
  assert.deepEqual(new Set(ALL_DAMAGES.map(({ rule }) => rule)), new Set(INVARIANTS.map(({ name }) => name)));
  const repaired = INVARIANTS.filter(({ remedy }) => 'repair' in remedy).map(({ name }) => name);
  const shown = ALL_DAMAGES.filter(({ does }) => does !== undefined).map(({ rule }) => rule);
  assert.deepEqual(new Set(shown), new Set(repaired));
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

test('one sweeps at a time, and mends what the doctor would', async (t) => {
  const world = await openWorld(t);
  const { id } = await healthy(world);
  await world.sql('delete from command');
  const [one, other] = [openSession(world.settings), openSession(world.settings)];
  t.after(() => Promise.all([one.close(), other.close()]));
  const turn = one.begin();
  await turn.flight([
    { statement: { name: 'turn', text: 'select pg_try_advisory_xact_lock($1)' }, values: [7_305_114_212] },
  ]);
  assert.equal(await sweep(other, 'fast'), undefined);
  await turn.rollback();
  const swept = await sweep(other, 'fast');
  assert.deepEqual(
    swept?.repairs.map(({ rule, message }) => [rule, message]),
    [['instance-without-driver', 'command start given']],
  );
  assert.deepEqual(swept?.left, []);
  const [noted] = await world.sql("select events->0->>'by' as by from history where events->0->>'type' = 'repaired'");
  assert.equal(noted?.by, 'sweeper');
  assert.notEqual(id, undefined);
});

test('what cannot be mended of one instance keeps nobody from mending the others', async (t) => {
  const world = await openWorld(t);
  const { id } = await healthy(world);
  const applied = await world.apply(namedWorkflow('demo', 'other', TASKS));
  const other = await world.start(applied);
  // More ends than the workflow has tasks: the count that would be right is none that a row may have.
  for (let extra = 0; extra < 9; extra++)
    await world.sql(
      `insert into finished_task (instance_id, generation, task, state, attempt, ended_at) values ($1, 1, $2, 'skipped', 0, now())`,
      [id, `stray${extra}`],
    );
  await world.sql('update live_instance set unfinished = 3 where id = $1', [other]);
  const session = openSession(world.settings);
  t.after(() => session.close());
  const swept = await sweep(session, 'slow');
  assert.deepEqual(
    swept?.repairs.map(({ rule, instanceId }) => [rule, instanceId]),
    [['unfinished-count', other]],
  );
  const left = swept?.left.find(({ rule }) => rule === 'unfinished-count');
  assert.equal(left?.instanceId, id);
  assert.match(left?.byHand ?? '', /could not be mended: .*live_instance_unfinished_check/);
  await world.sql('update live_instance set unfinished = 3 where id = $1', [other]);
  assert.deepEqual(
    (await doctorOf(world).repair('me')).map(({ rule, instanceId }) => [rule, instanceId]),
    [['unfinished-count', other]],
  );
});

test('the dearer rules look at as many tasks as they can in their time, and at one instance at least', async (t) => {
  const world = await openWorld(t);
  const applied = await world.apply(namedWorkflow('demo', 'etl', TASKS));
  for (let started = 0; started < 3; started++) await world.start(applied);
  const looked = async () => (await world.sql(oldestLive())).length;
  assert.equal(await looked(), 3);
  await world.sql('update workflow_version set task_count = 30000');
  assert.equal(await looked(), 2);
  await world.sql('update workflow_version set task_count = 300000');
  assert.equal(await looked(), 1);
});
