import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openPool } from '../connection/connection.ts';
import { createInstances } from '../instances/instances.ts';
import { createOperations } from '../engine/operations.ts';
import { ensurePartition } from '../schema/partitions.ts';
import { openSession, poolRunner } from '../connection/session.ts';
import { createStarts } from '../engine/starts.ts';
import { namedWorkflow, openWorld } from '../../testing/world.ts';
import type { World } from '../../testing/world.ts';
import type { RetentionOutcome } from '../../retention.ts';
import { createRetention } from './retention.ts';

const SPAN = 1_000_000;

/** Who waits for a lock, and does so because of the removal. */
const WAITING = `
  select l.mode, coalesce(l.relation::regclass::text, l.locktype) as what, left(a.query, 80) as query
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
   where not l.granted and a.application_name <> 'removal'
     and exists (select from unnest(pg_blocking_pids(l.pid)) b(pid) join pg_stat_activity r on r.pid = b.pid where r.application_name = 'removal')`;

/** What the removal asked for, or has, on tables that everybody uses. */
const HELD = `
  select distinct l.mode from pg_locks l join pg_stat_activity a on a.pid = l.pid join pg_class c on c.oid = l.relation
   where a.application_name = 'removal' and c.relkind = 'p'`;

async function fill({ sql, apply }: World): Promise<{ workflowId: string; versionId: string }> {
  const { versionId } = await apply(namedWorkflow('p', 'w'));
  const [version] = await sql('select workflow_id from workflow_version where id = $1', [versionId]);
  for (const [index, count, days] of [
    [0, 3000, 100],
    [1, 3000, 100],
    [2, 3000, 100],
    [3, 500, 2],
  ] as const) {
    const first = index * SPAN + 1;
    // The second one has an instance that has not ended: it goes row by row.
    const values = [first, first + count - 1, days, version?.workflow_id, versionId];
    await sql(
      `insert into workflow_instance (id, workflow_id, version_id, params, run_time, trigger, priority, created_by, created_at)
       select id, $4, $5, '{}', now(), 'manual', 0, 'test', now() - $3 * interval '1 day' from generate_series($1::bigint, $2::bigint) id`,
      values,
    );
    await sql(
      `insert into instance_end (instance_id, generation, state, ended_at)
       select id, 1, 'succeeded', now() - $3 * interval '1 day' from generate_series($1::bigint, $2::bigint) id
        where $4::bigint is not null and $5::bigint is not null and id <> 1000007`,
      values,
    );
    for (const table of ['history (instance_id, events)', 'log_chunk (instance_id, attempt_id, start, size, data)'])
      await sql(
        `insert into ${table} select id, ${table.startsWith('history') ? "'[]'" : "id, 0, 100, repeat('x', 100)::bytea"} from generate_series($1::bigint, $2::bigint) id`,
        values.slice(0, 2),
      );
  }
  await sql(
    "insert into live_instance (id, workflow_id, version_id, generation, state, unfinished, priority) values (1000007, $1, $2, 1, 'paused', 1, 0)",
    [version?.workflow_id, versionId],
  );
  return { workflowId: version?.workflow_id, versionId };
}

test('a removal under load holds nobody up', async (t) => {
  const world = await openWorld(t);
  const { pool, settings, sql } = world;
  for (let index = 0n; index < 5n; index++) await ensurePartition(pool, index);
  const { workflowId, versionId } = await fill(world);
  const retention = createRetention({ ...settings, applicationName: 'removal' }, pool, undefined);
  t.after(() => retention.close());
  const load = openPool({ ...settings, applicationName: 'load' }, 6);
  t.after(() => load.end());
  const session = openSession(settings);
  t.after(() => session.close());

  let running = true;
  const waits: unknown[] = [];
  const modes = new Set<string>();
  const watch = async (): Promise<void> => {
    while (running) {
      waits.push(...(await sql(WAITING)));
      for (const { mode } of await sql(HELD)) modes.add(mode);
    }
  };
  let next = 3 * SPAN + 10_000;
  const starts = createStarts(poolRunner(load), async () => String(++next));
  const start = async (): Promise<void> => {
    while (running)
      await starts.start({
        workflowId,
        versionId,
        taskCount: 1,
        params: {},
        runTime: '2026-01-01T00:00:00Z',
        priority: 0,
        createdBy: 'load',
      });
  };
  const instances = createInstances(load);
  const read = async (): Promise<void> => {
    while (running) {
      await instances.list({ project: 'p', state: 'succeeded' }, { limit: 20 });
      await instances.history(String(1 + Math.floor(Math.random() * 3000)), { limit: 20 });
    }
  };
  // Reads everything, slowly, in one snapshot: what a removal has to wait for.
  let snapshots = 0;
  const readSlowly = async (): Promise<void> => {
    const client = await load.connect();
    try {
      while (running) {
        await client.query('begin isolation level repeatable read read only');
        const [one] = (await client.query('select count(*)::int as count from workflow_instance where id <= 3000'))
          .rows;
        for (let turn = 0; turn < 10; turn++) await client.query('select count(*) from history, pg_sleep(0.01)');
        const [other] = (await client.query('select count(*)::int as count from workflow_instance where id <= 3000'))
          .rows;
        assert.deepEqual(other, one, 'a snapshot does not change');
        await client.query('commit');
        snapshots++;
      }
    } finally {
      client.release();
    }
  };
  const addPartitions = async (): Promise<void> => {
    for (let index = 5n; running; index++) {
      await ensurePartition(load, index);
      await sql('select pg_sleep(0.2)');
    }
  };
  const others = [watch(), start(), read(), read(), readSlowly(), addPartitions()];
  let removed = 0;
  try {
    for (let more = true; more;) {
      const outcome = await retention.run();
      assert.ok(outcome.kind === 'done');
      removed += outcome.removed.partitions;
      ({ more } = outcome);
    }
  } finally {
    running = false;
    await Promise.all(others);
  }
  assert.ok(snapshots > 0);
  assert.deepEqual(waits, []);
  assert.equal(removed, 2);
  for (const mode of ['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock'])
    assert.equal(modes.has(mode), false, `${mode} on a table that everybody uses`);
  const left = await sql('select id::int from workflow_instance where id <= 3 * 1000000');
  assert.deepEqual(left, [{ id: 1_000_007 }]);
  t.diagnostic(
    `${next - 3 * SPAN - 10_000} starts meanwhile; locks on partitioned tables: ${[...modes].toSorted().join(', ')}`,
  );
});

interface Rerunnable {
  readonly world: World;
  readonly retention: ReturnType<typeof createRetention>;
  begin(instanceId: string): Promise<string>;
}

async function rerunnable(t: TestContext): Promise<Rerunnable> {
  const world = await openWorld(t);
  const { pool, settings } = world;
  for (let index = 0n; index < 5n; index++) await ensurePartition(pool, index);
  const { versionId } = await fill(world);
  const retention = createRetention({ ...settings, applicationName: 'removal' }, pool, undefined);
  t.after(() => retention.close());
  const operations = createOperations(poolRunner(pool));
  const request = { after: 1, mode: 'rerun', versionId, taskCount: 1, params: {}, by: 'test' } as const;
  return {
    world,
    retention,
    begin: async (instanceId) => (await operations.beginGeneration({ ...request, instanceId })).kind,
  };
}

async function assertWholeOrGone({ sql }: World, instanceId: string, there: boolean): Promise<void> {
  const [row] = await sql(
    `select exists (select from workflow_instance where id = $1) as instance, exists (select from live_instance where id = $1) as live,
            exists (select from history where instance_id = $1) as history, exists (select from instance_generation where instance_id = $1) as generation`,
    [instanceId],
  );
  assert.deepEqual(row, { instance: there, live: there, history: there, generation: there }, `instance ${instanceId}`);
}

test('reruns race with the removal of single instances: each is there or gone, never half', async (t) => {
  const { world, retention, begin } = await rerunnable(t);
  // One that failed and is kept, and its partition with it.
  await world.sql("update retention_rule set keep_ms = null where subject = 'unsuccessful'");
  await world.sql('delete from instance_end where instance_id = 3000');
  await world.sql("insert into instance_end (instance_id, generation, state) values (3000, 1, 'failed')");
  const outcomes = new Map<string, Promise<string>>();
  let next = 5;
  // A little ahead of the removal and a little behind it, while it goes on.
  const pause = async (): Promise<void> => {
    for (const id of [next, next + 150].map(String)) if (!outcomes.has(id)) outcomes.set(id, begin(id));
    next = (next + 17) % 2900;
  };
  await retention.run({ pause });
  const kinds = new Map<string, number>();
  for (const [id, asked] of outcomes) {
    const kind = await asked;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    if (Number(id) < 3000) await assertWholeOrGone(world, id, kind === 'begun');
  }
  assert.ok((kinds.get('begun') ?? 0) > 0 && (kinds.get('unknown') ?? 0) > 0, JSON.stringify([...kinds]));
});

test('a rerun that is not committed yet keeps its partition, and the removal does not wait for it', async (t) => {
  const { world, retention, begin } = await rerunnable(t);
  const client = await world.pool.connect();
  try {
    await client.query('begin');
    await client.query('set local idle_in_transaction_session_timeout = 0');
    await client.query('select id from workflow_instance where id = 77 for key share');
    const { removed, more } = await assertDone(retention.run({ pause: async () => undefined }));
    assert.deepEqual([removed.partitions, more], [0, true]);
    await client.query('rollback');
  } finally {
    client.release();
  }
  assert.equal(await begin('77'), 'begun');
  await retention.run({ pause: async () => undefined });
  await assertWholeOrGone(world, '77', true);
  await assertWholeOrGone(world, '78', false);
});

test('what is about to go with its partition is not begun again', async (t) => {
  const { world, begin } = await rerunnable(t);
  await world.sql('insert into removal (first_id, last_id, whole_partition) values (0, 999999, true)');
  assert.notEqual(await begin('77'), 'begun');
  assert.deepEqual(await world.sql('select 1 from live_instance where id = 77'), []);
});

async function assertDone(outcome: Promise<RetentionOutcome>) {
  const done = await outcome;
  assert.ok(done.kind === 'done');
  return done;
}
