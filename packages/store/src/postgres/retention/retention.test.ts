import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { taskOf } from '@keelson/core/testing';
import { openBench } from '../../conformance/bench.ts';
import type { Bench } from '../../conformance/bench.ts';
import type { Subject } from '../../conformance/subject.ts';
import type { Removed, Retention, RetentionRunOptions } from '../../retention.ts';
import { namedWorkflow, openWorld } from '../../testing/world.ts';
import type { World } from '../../testing/world.ts';
import { postgresBlobs } from '../blobs.ts';
import { createDoctor } from '../invariants/doctor.ts';
import { createInstances } from '../instances/instances.ts';
import { createLogs } from '../logs.ts';
import { ensurePartition } from '../schema/partitions.ts';
import { openSession } from '../connection/session.ts';
import { createVerifier } from '../verify/verify.ts';
import { createRetention } from './retention.ts';

const DEFINITION = namedWorkflow('demo', 'etl', [taskOf('a'), taskOf('b', ['a'])]);
const SPAN = 1_000_000;

interface House {
  readonly world: World;
  readonly bench: Bench;
  readonly retention: Retention;
  /** Instances that end, with these ids, each with a log. */
  ended(ids: readonly number[], end?: 'succeeded' | 'failed'): Promise<void>;
  /** As if they had been made and ended so many days earlier. */
  age(ids: readonly number[], days: number): Promise<void>;
  run(options?: RetentionRunOptions): Promise<{ removed: Partial<Removed>; more: boolean }>;
  ids(): Promise<number[]>;
  /** Neither doctor nor verify find anything. */
  assertSound(): Promise<void>;
}

async function house(t: TestContext): Promise<House> {
  const world = await openWorld(t);
  const { pool, settings, sql } = world;
  await world.apply(DEFINITION);
  let next = 0;
  const subject = { open: () => openSession(settings), nextId: async () => String(next) } as unknown as Subject;
  const bench = await openBench(t, subject, DEFINITION);
  const retention = createRetention(settings, pool, undefined);
  t.after(() => retention.close());
  const logs = createLogs(settings);
  t.after(() => logs.close());
  const made = new Set<bigint>();
  const start = async (id: number): Promise<void> => {
    for (const index of [BigInt(Math.floor(id / SPAN)), BigInt(Math.floor(id / SPAN)) + 1n])
      if (!made.has(index)) {
        await ensurePartition(pool, index);
        made.add(index);
      }
    next = id;
    await bench.start();
  };
  return {
    world,
    bench,
    retention,
    ended: async (ids, end = 'succeeded') => {
      for (const id of ids) {
        await start(id);
        for (;;) {
          await bench.commands();
          const { bound } = await bench.engine.claim({
            workerGroup: 'default',
            capabilities: ['processor'],
            slots: [bench.incarnationId],
            nonce: 'n',
          });
          if (bound.length === 0) break;
          for (const { instanceId, attemptId } of bound)
            await logs.append({ instanceId, attemptId, start: 0, data: Buffer.from('a line\n') });
          const reason = end === 'failed' ? { reason: { code: 'x', message: 'x' } } : {};
          await bench.report(bound.map((one) => ({ ...one, ...reason, end, startedAgoMs: 1, endedAgoMs: 0 })));
        }
      }
    },
    age: async (ids, days) => {
      const client = await pool.connect();
      try {
        // Without the triggers that refuse it.
        await client.query('begin');
        await client.query('set local session_replication_role = replica');
        for (const [table, key, column] of [
          ['workflow_instance', 'id', 'created_at'],
          ['instance_end', 'instance_id', 'ended_at'],
        ])
          await client.query(
            `update ${table} set ${column} = ${column} - $2 * interval '1 day' where ${key} = any($1::bigint[])`,
            [ids, days],
          );
        await client.query('commit');
      } finally {
        client.release();
      }
    },
    run: async (options = {}) => {
      const outcome = await retention.run({ pause: async () => undefined, ...options });
      assert.equal(outcome.kind, 'done');
      assert.ok(outcome.kind === 'done');
      return { removed: outcome.removed, more: outcome.more };
    },
    ids: async () => (await sql('select id::int from workflow_instance order by id')).map(({ id }) => id),
    assertSound: async () => {
      const findings = await createDoctor(pool, world.open).check();
      const broken = findings.filter(({ rows, name }) => rows.length > 0 && name !== 'lease-not-expired');
      assert.deepEqual(broken, []);
      for await (const { violations } of createVerifier(pool).verify()) assert.deepEqual(violations, []);
    },
  };
}

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, index) => from + index);

async function countAll({ sql }: World): Promise<Record<string, number>> {
  const tables = ['workflow_instance', 'instance_end', 'finished_task', 'history', 'log_chunk', 'removal'];
  const [row = {}] = await sql(
    `select ${tables.map((table) => `(select count(*)::int from ${table}) as ${table}`).join(', ')}`,
  );
  return row;
}

test('what is past its time goes, instance by instance, by the rules of its project and its end', async (t) => {
  const it = await house(t);
  await it.ended(range(1, 6));
  await it.ended(range(7, 3), 'failed');
  await it.age(range(1, 8), 100);
  await it.retention.set('demo', { unsuccessful: null }, 'test');
  const due = await it.retention.due();
  assert.equal(due.instances, 6);
  const { removed, more } = await it.run();
  assert.equal(more, false);
  assert.deepEqual(
    [removed.instances, removed.partitions, removed.logs],
    [6, 0, 14],
    'logs of the kept ones are old, too',
  );
  assert.deepEqual(await it.ids(), [7, 8, 9]);
  assert.deepEqual(await countAll(it.world), {
    workflow_instance: 3,
    instance_end: 3,
    finished_task: 6,
    history: Number((await it.world.sql('select count(*)::int from history where instance_id in (7, 8, 9)'))[0]?.count),
    log_chunk: 1,
    removal: 0,
  });
  await it.assertSound();
  assert.deepEqual(await Promise.all(['3', '8', '10', '77777', 'x'].map((id) => it.retention.isArchived(id))), [
    true,
    false,
    false,
    false,
    false,
  ]);
  assert.equal((await it.run()).removed.instances, 0, 'a second run finds nothing');
});

test('nothing goes that lives again, and a rerun that begins meanwhile is not met', async (t) => {
  const it = await house(t);
  await it.ended([1, 2]);
  await it.age([1, 2], 100);
  const client = await it.world.pool.connect();
  try {
    // As a rerun does it.
    await client.query('begin');
    await client.query('set local idle_in_transaction_session_timeout = 0');
    await client.query('select id from workflow_instance where id = 1 for key share');
    await client.query(
      "insert into live_instance (id, workflow_id, version_id, generation, state, unfinished, priority) select id, workflow_id, version_id, 2, 'running', 2, 0 from workflow_instance where id = 1",
    );
    assert.equal((await it.run()).removed.instances, 1);
    await client.query('commit');
  } finally {
    client.release();
  }
  assert.deepEqual(await it.ids(), [1]);
  assert.equal((await it.run()).removed.instances, 0);
  await it.world.sql('delete from live_instance');
  assert.equal((await it.run()).removed.instances, 1);
});

test('for ever is for ever, and a project may say otherwise', async (t) => {
  const it = await house(t);
  await it.ended([1, 2]);
  await it.age([1, 2], 10_000);
  await it.retention.set(undefined, { succeeded: null, unsuccessful: null, logs: null }, 'test');
  assert.deepEqual((await it.run()).removed.instances, 0);
  await it.retention.set('demo', { succeeded: 86_400_000 }, 'test');
  assert.deepEqual((await it.retention.policy()).projects, { demo: { succeeded: 86_400_000 } });
  assert.equal((await it.run()).removed.instances, 2);
  await it.retention.set('demo', { succeeded: 'inherit' }, 'test');
  assert.deepEqual((await it.retention.policy()).projects, {});
  await assert.rejects(it.retention.set('none', { succeeded: null }, 'test'), { code: 'unknown-project' });
  await assert.rejects(it.retention.set(undefined, { succeeded: 1000 }, 'test'), { code: 'invalid-retention' });
  await assert.rejects(it.retention.set('demo', { blobs: null }, 'test'), { code: 'invalid-retention' });
});

async function threePartitions(it: House): Promise<void> {
  await it.ended(range(5, 4));
  await it.ended(range(SPAN + 1, 4));
  await it.ended(range(2 * SPAN + 1, 3));
  await it.age([...range(5, 4), ...range(SPAN + 1, 4)], 100);
  await it.age(range(2 * SPAN + 1, 3), 1);
}

test('a partition whose instances are all past their time goes whole', async (t) => {
  const it = await house(t);
  await threePartitions(it);
  const { removed, more } = await it.run();
  assert.deepEqual([removed.partitions, more], [2, false]);
  assert.deepEqual(await it.ids(), range(2 * SPAN + 1, 3));
  const left = await it.world.sql("select relname from pg_class where relname ~ '_[01]$' and relkind = 'r'");
  assert.deepEqual(left, []);
  assert.equal(await it.retention.isArchived('6'), true);
  await it.assertSound();
});

test('one that lives keeps its partition, and the others in it go one by one', async (t) => {
  const it = await house(t);
  await threePartitions(it);
  await it.world.sql(
    "insert into live_instance (id, workflow_id, version_id, generation, state, unfinished, priority) select id, workflow_id, version_id, 2, 'running', 2, 0 from workflow_instance where id = 6",
  );
  const { removed } = await it.run();
  assert.deepEqual([removed.partitions, await it.ids()], [1, [6, ...range(2 * SPAN + 1, 3)]]);
});

test('logs go before their instances, a whole partition of them at once, and a rerun may write new ones', async (t) => {
  const it = await house(t);
  await threePartitions(it);
  await it.retention.set(undefined, { succeeded: null, unsuccessful: null }, 'test');
  await it.run();
  assert.equal((await it.ids()).length, 11);
  const logged = await it.world.sql('select distinct instance_id::int as id from log_chunk order by 1');
  assert.deepEqual(
    logged.map(({ id }) => id),
    range(2 * SPAN + 1, 3),
  );
  await it.world.sql("insert into log_chunk (instance_id, attempt_id, start, size, data) values (5, 999, 0, 1, 'x')");
  await it.assertSound();
});

test('a run that is cut off anywhere is gone on with', async (t) => {
  const it = await house(t);
  await threePartitions(it);
  await it.ended(range(2 * SPAN + 10, 3));
  await it.age(range(2 * SPAN + 1, 3), 99);
  let cuts = 0;
  for (;;) {
    let left = 0;
    const cut = async (): Promise<void> => {
      if (left-- === 0) throw new Error('cut off');
    };
    const done = await it.run({ pause: cut }).then(
      () => true,
      () => false,
    );
    await it.assertSound();
    if (done) break;
    cuts++;
    assert.ok(cuts < 200, 'it comes to an end');
  }
  assert.ok(cuts > 10, `${cuts} cuts`);
  assert.deepEqual(await it.ids(), range(2 * SPAN + 10, 3));
  assert.equal((await countAll(it.world)).removal, 0);
  const strays = await it.world.sql("select relname from pg_class where relname ~ '_[01]$' and relkind = 'r'");
  assert.deepEqual(strays, []);
});

test('a reader of a partition is not disturbed, and the partition goes when it has done', async (t) => {
  const it = await house(t);
  await threePartitions(it);
  const reader = await it.world.pool.connect();
  try {
    await reader.query('begin isolation level repeatable read');
    await reader.query('set local idle_in_transaction_session_timeout = 0');
    const before = await reader.query('select count(*)::int from workflow_instance');
    const first = await it.run();
    assert.deepEqual([first.removed.partitions, first.more], [0, true]);
    const after = await reader.query('select count(*)::int from workflow_instance');
    assert.deepEqual(after.rows, before.rows, 'its snapshot stays whole');
    assert.deepEqual(await it.ids(), [...range(SPAN + 1, 4), ...range(2 * SPAN + 1, 3)], 'for others it is gone');
    await it.assertSound();
    await reader.query('commit');
  } finally {
    reader.release();
  }
  assert.equal((await it.run()).removed.partitions, 2);
  await it.assertSound();
});

test('blobs that nobody names go after their time; one that is asked for again stays', async (t) => {
  const it = await house(t);
  const blobs = postgresBlobs(it.world.pool);
  const put = async (text: string): Promise<string> => {
    const name = createHash('sha256').update(text).digest('hex');
    await blobs.put(name, Buffer.from(text));
    return name;
  };
  const [file, artifact, asked, again, unused] = await Promise.all(
    ['file', 'artifact', 'asked', 'again', 'unused'].map(put),
  );
  const young = await put('young');
  const ref = (sha256 = '') => JSON.stringify([{ path: 'x', sha256, size: 1, mode: 420 }]);
  await it.world.sql('update workflow_version set files = $1', [ref(file)]);
  await it.ended([1]);
  await it.world.sql(
    `insert into finished_task (instance_id, generation, task, state, attempt, ended_at, artifacts) values (1, 2, 'a', 'stopped', 0, now(), $1)`,
    [ref(artifact)],
  );
  await it.world.sql("update blob set used_at = now() - interval '8 days' where sha256 <> $1", [young]);
  await blobs.has([asked ?? '']);
  await put('again');
  const { removed } = await it.run();
  assert.deepEqual([removed.blobs, removed.blobBytes], [1, 6]);
  const left = await it.world.sql('select sha256 from blob order by sha256');
  assert.deepEqual(new Set(left.map(({ sha256 }) => sha256)), new Set([file, artifact, asked, again, young]));
  assert.equal(await blobs.get(unused ?? ''), undefined);
  assert.deepEqual(await it.world.sql('select 1 from blob_chunk where sha256 not in (select sha256 from blob)'), []);
});

test('alerts, parked commands and workers of the past go', async (t) => {
  const it = await house(t);
  const { sql } = it.world;
  await sql(
    `insert into alert (kind, payload, created_at, delivered_at) values
       ('x', '{}', now() - interval '100 days', now()), ('x', '{}', now() - interval '100 days', null), ('x', '{}', now(), now())`,
  );
  await sql(
    `insert into command_error (command_id, instance_id, kind, payload, tries, error, parked_at) values
       (1, 1, 'start', '{}', 5, 'x', now() - interval '100 days'), (2, 2, 'start', '{}', 5, 'x', now())`,
  );
  await sql(
    `insert into worker_incarnation (name, worker_group, slots, capabilities, credential_hash, host, pid, version, state, lease_ms, lease_until, ended_at)
     values ('w', 'g', 1, '{}', 'x', 'h', 1, '0', 'dead', 10000, now(), now() - interval '100 days')`,
  );
  const { removed } = await it.run();
  assert.deepEqual([removed.alerts, removed.commandErrors, removed.workers], [1, 1, 1]);
});

test('old fires go, but for the last of a schedule and those whose instance is kept', async (t) => {
  const it = await house(t);
  const { sql } = it.world;
  await it.ended([1]);
  await sql(
    `insert into schedule (workflow_id, version_id, trigger_id, trigger, enabled) values (1, 1, 'a', '{}', false), (1, 1, 'b', '{}', false)`,
  );
  await sql(
    `insert into fire (schedule_id, due_at, outcome, reason, instance_id, decided_at)
     select s, now() - d * interval '1 day', case when s = 1 then 'fired' else 'skipped' end, case when s = 2 then '{}'::jsonb end,
            case when s = 1 then d - 100 end, now() - d * interval '1 day' from (values (1, 102), (1, 101), (1, 3), (2, 120), (2, 110)) f(s, d)`,
  );
  await sql(
    `insert into backfill (id, workflow_id, state, parallel, priority, on_failure, again, members, params, request,
                           waiting, pending, running, succeeded, failed, stopped, skipped, created_by, ended_at)
     values (1, 1, 'done', 1, 0, 'stop', false, '[]', '{}', '{}', 0, 0, 0, 1, 0, 0, 0, 'x', now() - interval '200 days')`,
  );
  await sql(
    "insert into backfill_run (backfill_id, seq, workflow_id, run_time, state, instance_id) values (1, 1, 1, now(), 'succeeded', 77)",
  );
  assert.equal((await it.retention.due()).fires, 2);
  assert.equal((await it.run()).removed.fires, 2);
  const left = await sql(
    'select schedule_id::int as schedule, instance_id::int as instance from fire order by 1, due_at',
  );
  assert.deepEqual(
    left.map(({ schedule, instance }) => `${schedule} ${instance}`),
    ['1 1', '1 -97', '2 null'],
  );
  assert.deepEqual(await sql('select 1 from backfill union all select 1 from backfill_run'), []);
});

test('instances that a list shows never lose their rows under it', async (t) => {
  const it = await house(t);
  await threePartitions(it);
  const instances = createInstances(it.world.pool);
  const seen = await instances.list({}, { limit: 100 });
  await it.run();
  for (const { id } of seen.items) {
    const found = await instances.get(id);
    assert.equal(found === undefined, Number(id) < 2 * SPAN);
    assert.equal(await it.retention.isArchived(id), found === undefined);
  }
});
