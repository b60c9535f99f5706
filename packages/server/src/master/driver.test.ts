import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { TaskDefinition } from '@keelson/core';
import { systemClock, systemRandom } from '@keelson/core/system';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { migrate, openStore } from '@keelson/store';
import type { BoundAttempt, LiveIncarnation, Store } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import Fastify from 'fastify';
import pg from 'pg';
import pino from 'pino';
import { startClaims } from './claims.ts';
import type { MasterContext } from './context.ts';
import { createLine } from './line.ts';
import { startMaster } from './master.ts';
import { newMasterMetrics } from './metrics.ts';
import { createSessions } from './sessions.ts';

const silent = pino({ level: process.env['LOUD'] === undefined ? 'silent' : 'debug' });
const until = async (what: string, done: () => Promise<boolean> | boolean, ms = 8000): Promise<void> => {
  const giveUp = performance.now() + ms;
  while (!(await done())) {
    assert.ok(performance.now() < giveUp, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

function incarnation(id: string, capabilities: string[]): LiveIncarnation {
  return { id, name: `w${id}`, group: 'default', slots: 4, capabilities, state: 'live', leaseMs: 60_000 };
}

/** The claims loop with an engine that only claims. */
function claimsBench(claim: (slots: readonly string[]) => Promise<BoundAttempt[]>) {
  const context = {
    clock: systemClock,
    random: systemRandom,
    store: {
      engine: {
        claim: async ({ slots }: { slots: readonly string[] }) => ({
          bound: await claim(slots),
          liveSlots: slots.length,
        }),
      },
    },
    sessions: createSessions(systemClock, systemRandom),
    line: createLine(),
    metrics: newMasterMetrics(),
    log: silent,
  } as unknown as MasterContext;
  return { context, start: () => startClaims(context, { bound: async () => undefined }) };
}

test('a line that grew while a claim was under way is not taken for empty', async (t) => {
  const kind = { workerGroup: 'default', capability: 'shell' };
  let claims = 0;
  const { context, start } = claimsBench(async () => {
    // A step of this master commits tasks that this claim's snapshot has not seen.
    if (claims++ === 0) context.line.grew(kind);
    return [];
  });
  context.sessions.hasAsked(context.sessions.add(incarnation('1', ['shell']), 'x'), true);
  context.line.grew(kind);
  const loop = start();
  t.after(() => loop.stop());
  await until('a first claim', () => claims >= 1);
  loop.wake();
  await until('a second claim', () => claims >= 2, 3000);
});

test('an error of one claim gives back the slots that were promised to the others', async (t) => {
  let claims = 0;
  const { context, start } = claimsBench(async () => {
    if (claims++ === 0) throw new Error('the connection was lost');
    return [];
  });
  const [one, two] = [['shell'], ['http']].map((capabilities, index) => {
    context.line.grew({ workerGroup: 'default', capability: capabilities[0] ?? '' });
    const session = context.sessions.add(incarnation(String(index + 1), capabilities), 'x');
    context.sessions.hasAsked(session, true);
    return session;
  });
  const loop = start();
  t.after(() => loop.stop());
  await until('a claim after the error', () => claims >= 2);
  await loop.stop();
  assert.deepEqual([one?.reserved, two?.reserved], [0, 0]);
});

async function house(t: TestContext) {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'driver-test', secretKey: randomBytes(32) });
  const pool = new pg.Pool({ connectionString: url, options: '-c search_path=keelson', max: 2 });
  const join = (await store.tokens.create({ name: 'w', role: 'worker' })).token;
  t.after(async () => {
    await pool.end();
    await store.close();
  });
  const sql = async (text: string, values: unknown[] = []) => (await pool.query(text, values)).rows;
  const workflow = async (name: string, tasks: TaskDefinition[]) => {
    const definition = workflowOf(tasks, { name });
    const source = JSON.stringify(definition);
    const hash = createHash('sha256').update(source).digest('hex');
    const [applied] = await store.definitions.apply([
      { project: 'p', name, definition, source, files: [], hash, createdBy: 't' },
    ]);
    assert.ok(applied);
    const [row] = await sql('select workflow_id, task_count from workflow_version where id = $1', [applied.versionId]);
    return async () => {
      const { instanceId } = await store.starts.start({
        workflowId: row.workflow_id,
        versionId: applied.versionId,
        taskCount: row.task_count,
        params: {},
        runTime: '2026-01-02T03:04:05Z',
        priority: 0,
        createdBy: 't',
      });
      return instanceId;
    };
  };
  return { store, url, sql, workflow, join };
}

async function master(t: TestContext, store: Store) {
  const running = startMaster({ store, signals: store.signals, log: silent });
  const app = Fastify({ logger: false });
  await app.register(running.routes, { prefix: '/worker/v1' });
  await app.ready();
  let stopped: Promise<void> | undefined;
  const stop = () =>
    (stopped ??= running
      .stop()
      .then(() => app.close())
      .then(() => undefined));
  // One that is stuck must not hold up the others' verdicts.
  t.after(() => Promise.race([stop(), new Promise((resolve) => setTimeout(resolve, 3000))]));
  const post = async (path: string, bearer: string, payload: object) => {
    const answer = await app.inject({
      method: 'POST',
      url: `/worker/v1/${path}`,
      payload,
      headers: { authorization: `Bearer ${bearer}` },
    });
    return { status: answer.statusCode, body: answer.body === '' ? {} : JSON.parse(answer.body) };
  };
  const register = async (join: string, name = 'w1', slots = 2) =>
    (
      await post('register', join, {
        protocol: 1,
        name,
        group: 'default',
        slots,
        capabilities: ['shell'],
        host: 'h',
        pid: 1,
        version: '0',
      })
    ).body;
  return { running, post, register, stop };
}

test('tasks that stood in line before a master came up are handed out', async (t) => {
  const { store, sql, workflow, join } = await house(t);
  const start = await workflow('w', [taskOf('a')]);
  const first = await master(t, store);
  await start();
  store.signals.send('command');
  await until('the task is in line', async () => (await sql('select 1 from ready')).length === 1);
  await first.stop();
  const second = await master(t, store);
  const { credential } = await second.register(join);
  const { body } = await second.post('poll', credential, { held: [], waitMs: 4000, draining: false });
  assert.equal(body.assignments.length, 1);
});

test('what another gateway bound to an idle worker after it moved here reaches it', async (t) => {
  const { store, sql, workflow, join } = await house(t);
  const start = await workflow('w', [taskOf('a')]);
  const here = await master(t, store);
  const { credential, incarnation: id } = await here.register(join);
  // This gateway is to leave the task alone; to the other one the worker does not drain.
  await here.post('poll', credential, { held: [], waitMs: 0, draining: true });
  await sql("update worker_incarnation set state = 'live' where id = $1", [id]);
  await start();
  store.signals.send('command');
  await until('the task is in line', async () => (await sql('select 1 from ready')).length === 1);
  const { bound } = await store.engine.claim({
    workerGroup: 'default',
    capabilities: ['shell'],
    slots: [id],
    nonce: 'n',
  });
  assert.equal(bound.length, 1);
  for (let renewal = 0; renewal < 3; renewal++) await here.post('renew', credential, { held: [] });
  const { body } = await here.post('poll', credential, { held: [], waitMs: 500, draining: false });
  assert.equal(body.assignments.length, 1);
});

test('an end that cannot be stored does not hold up the ends of others', async (t) => {
  const { store, workflow, join, sql } = await house(t);
  const start = await workflow('w', [taskOf('a')]);
  const here = await master(t, store);
  const { credential } = await here.register(join);
  const ids = [await start(), await start()];
  store.signals.send('command');
  const { body } = await here.post('poll', credential, { held: [], waitMs: 4000, draining: false });
  const assignments = [...body.assignments];
  if (assignments.length < 2)
    assignments.push(
      ...(await here.post('poll', credential, { held: assignments.map((a) => a.token), waitMs: 4000, draining: false }))
        .body.assignments,
    );
  assert.equal(assignments.length, ids.length);
  const end = (token: string, message: string) =>
    here.post('report', credential, {
      reports: [
        { kind: 'ended', token, end: 'failed', reason: { code: 'x', message }, startedAgoMs: 1, endedAgoMs: 0 },
      ],
    });
  void end(assignments[0].token, 'holds \0 inside');
  const answered = await Promise.race([
    end(assignments[1].token, 'fine'),
    new Promise<undefined>((resolve) => setTimeout(resolve, 5000, undefined)),
  ]);
  assert.equal(answered?.status, 200, 'the good report is answered');
  const live = await sql('select id from live_instance where id = $1', [assignments[1].instanceId]);
  assert.deepEqual(live, []);
});

test('a command of an instance that another transaction holds is not counted as tried', async (t) => {
  const { store, sql, workflow, url } = await house(t);
  const start = await workflow('w', [taskOf('a')]);
  const [busy, bad] = [await start(), await start()];
  const holder = new pg.Client({ connectionString: url, options: '-c search_path=keelson' });
  await holder.connect();
  t.after(() => holder.end());
  await holder.query('begin');
  await holder.query('select from live_instance where id = $1 for no key update', [busy]);
  await sql("update command set kind = 'withdrawn', payload = '{}' where instance_id = $1", [bad]);
  await master(t, store);
  await until('the bad command was tried three times', async () => {
    const [row] = await sql('select tries from command where instance_id = $1', [bad]);
    return row === undefined || row.tries >= 3;
  });
  assert.deepEqual(await sql('select tries from command where instance_id = $1', [busy]), [{ tries: 0 }]);
});

test('a version that cannot be loaded keeps no instance of another version waiting', async (t) => {
  const { sql, workflow, url } = await house(t);
  const [good, bad] = [await workflow('good', [taskOf('a')]), await workflow('bad', [taskOf('a')])];
  const goods = await Promise.all(Array.from({ length: 20 }, good));
  const broken = await bad();
  await sql(
    `update workflow_version set definition = '{"name":"bad"}' where id = (select version_id from live_instance where id = $1)`,
    [broken],
  );
  const another = await openStore({ url, applicationName: 'driver-test', secretKey: randomBytes(32) });
  t.after(() => another.close());
  await master(t, another);
  await until(
    'the good instances go on',
    async () => (await sql('select 1 from ready where instance_id = any($1)', [goods])).length === goods.length,
    25_000,
  ).catch(async (error: unknown) => {
    const parked = await sql(
      "select count(*)::int as parked from instance_end where reason->>'code' = 'command-parked'",
    );
    throw new Error(`${String(error)}; parked: ${parked[0]?.parked}`);
  });
});

test('a stop of an instance whose tasks report all the time is applied soon', async (t) => {
  const { store, sql, workflow, join } = await house(t);
  const start = await workflow(
    'w',
    Array.from({ length: 3000 }, (_, index) => taskOf(`t${index}`)),
  );
  const here = await master(t, store);
  const { credential } = await here.register(join, 'w1', 8);
  const id = await start();
  store.signals.send('command');
  const seen: { asked: number; answered?: number } = { asked: 0 };
  const held = new Map<string, Promise<unknown>>();
  const take = (assignments: { token: string }[]): void => {
    for (const { token } of assignments) {
      if (held.has(token)) continue;
      const ended = { kind: 'ended', token, end: 'succeeded', startedAgoMs: 1, endedAgoMs: 0 };
      held.set(
        token,
        here.post('report', credential, { reports: [ended] }).then(({ body }) => take(body.assignments)),
      );
    }
  };
  const polling = (async () => {
    while (seen.answered === undefined) {
      const { body } = await here.post('poll', credential, { held: [], waitMs: 50, draining: false });
      take(body.assignments ?? []);
    }
  })();
  await until('it is on its way', () => held.size > 200);
  await store.operations.operate(id, { type: 'stop' }, 'test');
  store.signals.send('command');
  seen.asked = held.size;
  await until(
    'it is stopping',
    async () => {
      const [row] = await sql('select state from live_instance where id = $1', [id]);
      return row?.state !== 'running';
    },
    20_000,
  );
  seen.answered = held.size;
  await polling;
  const begun = seen.answered - seen.asked;
  assert.ok(begun < 500, `${begun} more tasks were begun`);
});

test('a progress note that cannot be stored does not cost the worker its lease', async (t) => {
  const { store, workflow, join } = await house(t);
  const start = await workflow('w', [taskOf('a')]);
  const here = await master(t, store);
  const { credential } = await here.register(join);
  await start();
  store.signals.send('command');
  const { body } = await here.post('poll', credential, { held: [], waitMs: 4000, draining: false });
  const token = body.assignments[0].token;
  const { status } = await here.post('renew', credential, {
    held: [token],
    progress: [{ token, fraction: 0.5, message: 'half of a pair: \ud83d' }],
  });
  assert.equal(status, 200);
});
