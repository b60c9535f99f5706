import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { migrate, openStore } from '@keelson/store';
import type { ReportedEnd, Store } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import pg from 'pg';
import pino from 'pino';
import { startMaster } from './master.ts';

const LIMIT_MS = 60_000;

interface House {
  readonly store: Store;
  readonly worker: string;
  sql(text: string): Promise<pg.QueryResultRow[]>;
}

/** A master at work, one worker whose lease is long, and an instance whose damage it is. */
async function house(t: TestContext): Promise<House & { start(): Promise<string> }> {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'sweeper-test', secretKey: randomBytes(32) });
  const pool = new pg.Pool({ connectionString: url, options: '-c search_path=keelson', max: 2 });
  t.after(async () => {
    await pool.end();
    await store.close();
  });
  const definition = workflowOf([taskOf('a'), taskOf('b', ['a']), taskOf('c', ['a', 'b'])], { name: 'w' });
  const source = JSON.stringify(definition);
  const [applied] = await store.definitions.apply([
    { project: 'p', name: 'w', definition, source, files: [], hash: 'h', createdBy: 't' },
  ]);
  assert.ok(applied);
  const { id: worker } = await store.workers.register({
    name: 'w1',
    group: 'default',
    slots: 4,
    capabilities: ['shell'],
    credentialHash: 'x',
    host: 'h',
    pid: 1,
    version: '0',
  });
  const sql = async (text: string) => (await pool.query<pg.QueryResultRow>(text)).rows;
  await sql("update worker_incarnation set lease_until = now() + interval '1 hour'");
  const request = {
    versionId: applied.versionId,
    workflowId: '1',
    taskCount: 3,
    params: {},
    priority: 0,
    createdBy: 't',
  };
  const start = async () => (await store.starts.start({ ...request, runTime: '2026-01-02T03:04:05Z' })).instanceId;
  return { store, worker, sql, start };
}

function master(t: TestContext, store: Store) {
  const running = startMaster({ store, signals: store.signals, log: pino({ level: 'silent' }) });
  t.after(() => running.stop());
  return running.metrics;
}

async function until(what: string, done: () => Promise<boolean>): Promise<void> {
  const giveUp = performance.now() + LIMIT_MS;
  while (!(await done())) {
    assert.ok(performance.now() < giveUp, `in vain: ${what}`);
    await sleep(50);
  }
}

/** What a worker does: takes what is in line, and reports that it succeeded. */
async function runAll({ store, worker }: House): Promise<void> {
  const slots = [worker, worker];
  await store.engine.claim({ workerGroup: 'default', capabilities: ['shell'], slots, nonce: 'n' });
  const held = await store.engine.activeOf([worker]);
  await store.engine.deferReports(
    held.map((one): ReportedEnd => ({ ...one, end: 'succeeded', startedAgoMs: 5, endedAgoMs: 1 })),
    'told by the test',
  );
  if (held.length > 0) store.signals.send('command');
}

/** The rule → what breaks it while the master runs and the first task is in line. */
const DAMAGES: Readonly<Record<string, string>> = {
  'task-without-driver': 'delete from ready',
  'need-count': "insert into need_counter values (1, 'c', 1)",
  'unfinished-count': 'update live_instance set unfinished = 1',
  'instance-lost': 'delete from live_instance',
  'task-in-two-places': `insert into delayed (instance_id, task, generation, attempt, worker_group, capability, priority, cause, due_at)
                           select instance_id, task, 1, 1, 'default', 'shell', 0, 'delay', now() + interval '1 hour' from ready`,
};

// Each of them waits for a sweep, on a database of its own.
describe('the sweeper', { concurrency: true }, () => {
  for (const [rule, sql] of Object.entries(DAMAGES)) {
    test(`of a running master mends ${rule}, and the instance ends as it should`, async (t) => {
      const it = await house(t);
      const metrics = master(t, it.store);
      const id = await it.start();
      it.store.signals.send('command');
      await until('it is in line', async () => (await it.sql('select from ready')).length === 1);
      await it.sql(sql);
      await until('it is mended', async () => (metrics.sweeperRedrives[rule] ?? 0) > 0);
      await until('it ends', async () => {
        await runAll(it);
        return (await it.sql('select from instance_end')).length === 1;
      });
      assert.equal((await it.store.instances.get(id))?.state, 'succeeded');
      const noted = await it.sql(
        `select events->0->>'rule' as rule, events->0->>'by' as by from history where events->0->>'type' = 'repaired'`,
      );
      assert.deepEqual(noted[0], { rule, by: 'sweeper' });
      for await (const { violations } of it.store.verifier.verify()) assert.deepEqual(violations, []);
      const broken = (await it.store.doctor.check()).filter(({ rows }) => rows.length > 0);
      assert.deepEqual(broken, []);
    });
  }

  test('a start whose command was lost is driven again, and nothing is counted where nothing is broken', async (t) => {
    const it = await house(t);
    await it.start();
    await it.sql('delete from command');
    const metrics = master(t, it.store);
    await until('it begins', async () => (await it.sql('select from ready')).length === 1);
    assert.deepEqual(metrics.sweeperRedrives, { 'instance-without-driver': 1 });
    assert.deepEqual(metrics.sweeperFindings, {});
  });
});
