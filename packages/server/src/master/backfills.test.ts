import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { migrate, openStore } from '@keelson/store';
import type { BackfillDraft } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import pg from 'pg';
import pino from 'pino';
import { startMaster } from './master.ts';

const LIMIT_MS = 60_000;

async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + LIMIT_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    assert.ok(performance.now() < end, what);
    await sleep(20);
  }
}

/** Masters at work without a worker: an instance goes on until it is stopped. */
async function house(t: TestContext, masters: number) {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'backfill-test', secretKey: randomBytes(32) });
  const pool = new pg.Pool({ connectionString: url, options: '-c search_path=keelson', max: 2 });
  const log = pino({ level: 'silent' });
  const running = Array.from({ length: masters }, () => startMaster({ store, signals: store.signals, log }));
  t.after(async () => {
    await Promise.all(running.map((master) => master.stop()));
    await pool.end();
    await store.close();
  });
  const definition = workflowOf([taskOf('a')], {
    name: 'w',
    timezone: 'Asia/Shanghai',
    params: { day: { type: 'date', default: "${{ shift(run.time, '-1d') }}" }, who: { type: 'string' } },
  });
  const source = JSON.stringify(definition);
  const [applied] = await store.definitions.apply([
    { project: 'p', name: 'w', definition, source, files: [], hash: 'h', createdBy: 't' },
  ]);
  assert.ok(applied);
  const sql = async (text: string) => (await pool.query<pg.QueryResultRow>(text)).rows;
  const draft = (
    times: readonly string[],
    more: Partial<BackfillDraft> = {},
    versionId = applied.versionId,
  ): BackfillDraft => {
    const member = {
      workflowId: '1',
      version: 1,
      taskCount: 1,
      project: 'p',
      workflow: 'w',
      projectParams: {},
      needs: [],
    };
    return {
      workflowId: '1',
      members: [{ ...member, versionId }],
      parallel: 2,
      priority: -10,
      onFailure: 'continue',
      again: false,
      params: { who: 'me' },
      request: {},
      createdBy: 'me',
      runs: times.map((runTime) => ({ workflowId: '1', runTime, state: 'pending' })),
      ...more,
    };
  };
  const create = async (of: BackfillDraft): Promise<string> => {
    const { id } = await store.backfills.create(of);
    store.signals.send('followup', 'backfill');
    return id;
  };
  const look = async (id: string) => (await store.backfillViews.get(id)) ?? assert.fail('it is there');
  return { store, sql, draft, create, look };
}

const DAYS = Array.from({ length: 6 }, (_, index) => `2026-01-0${index + 1}T16:00:00.000Z`);

test('several masters run a backfill to its end; each run has the parameters of its own time', async (t) => {
  const { store, sql, draft, create, look } = await house(t, 3);
  const id = await create(draft(DAYS));
  let most = 0;
  await until('the backfill ends', async () => {
    const live = await sql('select id from live_instance');
    most = Math.max(most, live.length);
    for (const { id: instance } of live) await store.operations.operate(instance, { type: 'stop' }, 'me');
    if (live.length > 0) store.signals.send('command');
    return (await look(id)).endedAt ?? undefined;
  });
  assert.ok(most >= 1 && most <= 2, `${most} at once`);
  assert.equal((await look(id)).counts.stopped, DAYS.length);
  const made = await sql('select run_time, params, trigger, priority from workflow_instance order by run_time');
  assert.deepEqual(
    made.map(({ run_time, params }) => `${(run_time as Date).toISOString()} ${params.day} ${params.who}`),
    DAYS.map((day, index) => `${day} 2026-01-0${index + 1} me`),
    'midnight of the next day in Shanghai, and the day before that',
  );
  assert.ok(made.every(({ trigger, priority }) => trigger === 'backfill' && priority === -10));
  assert.deepEqual(await sql('select * from followup'), []);
});

test('one that cannot go on says why and keeps no other from it; a run without its parameters fails', async (t) => {
  const { draft, create, look, sql } = await house(t, 1);
  const broken = await create(draft(DAYS, {}, '99'));
  const poor = await create(draft(DAYS.slice(0, 2), { params: {} }));
  const good = await create(draft(DAYS.slice(0, 1)));
  await until('the good one starts', async () => ((await look(good)).counts.running === 1 ? true : undefined));
  await until('the poor one ends', async () => (await look(poor)).endedAt ?? undefined);
  assert.equal((await look(poor)).counts.failed, 2);
  const [run] = await sql(
    `select reason->>'message' as message from backfill_run where backfill_id = ${poor} and seq = 1`,
  );
  assert.match(run?.message, /who/);
  const { lastError } = await until('it says why', async () => {
    const found = await look(broken);
    return found.lastError === null ? undefined : found;
  });
  assert.match(lastError ?? '', /workflow version 99 does not exist/);
});
