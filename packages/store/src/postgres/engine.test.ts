import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type pg from 'pg';
import { compileWorkflow, decide, runContext } from '@keelson/core';
import type { WorkflowDefinition } from '@keelson/core';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type { Placement, ReportedEnd, StepMind, StepOutcome } from '../engine.ts';
import { migratedDatabase } from '../testing/migrated.ts';
import { openPool } from './connection.ts';
import { createEngine } from './engine.ts';
import { ensurePartition, instanceIds } from './partitions.ts';
import { openSession, poolRunner } from './session.ts';
import { createStarts } from './starts.ts';
import { createTimers } from './timers.ts';
import { createWorkers } from './workers.ts';

const VERSION = '1';

/** The engine with one workflow and one worker, driven step by step. */
async function bench(t: TestContext, definition: WorkflowDefinition) {
  const { url } = await migratedDatabase(t);
  const settings = { url, applicationName: 'test' };
  const open = () => openSession(settings);
  const engine = createEngine(open);
  const workers = createWorkers(open);
  const timers = createTimers(open);
  const pool = openPool(settings, 2);
  const runner = poolRunner(pool);
  const starts = createStarts(
    runner,
    instanceIds(runner, (index) => ensurePartition(pool, index)),
  );
  t.after(async () => {
    await Promise.all([engine.close(), workers.close(), timers.close(), pool.end()]);
  });
  const plan = compileWorkflow(definition);
  const { id: incarnationId } = await workers.register({
    name: 'w1',
    group: 'default',
    slots: 10,
    capabilities: ['processor'],
    credentialHash: 'x',
    host: 'h',
    pid: 1,
    version: '0',
  });
  const state = { offers: 0 };
  const describe = (tasks: readonly { task: string; attempt: number; losses: number }[]): Placement[] =>
    tasks.map((one) => ({ ...one, workerGroup: 'default', capability: 'processor', priority: 0 }));
  const mind: StepMind = {
    knowsVersion: () => true,
    taskNames: () => [...plan.tasks.keys()],
    claims: () => [],
    describe: (_instance, tasks) => describe(tasks),
    decide: ({ live, facts, events, tasks, activeAttempts }) =>
      decide(
        {
          live,
          plan,
          tasks,
          scope: {
            params: facts.params,
            run: runContext({ id: facts.id, workflow: 'w', project: 'p', timeUtc: facts.runTime, zone: 'UTC' }),
          },
          ...(activeAttempts === undefined ? {} : { activeAttempts }),
        },
        events,
      ),
    place: (_instance, { ready }) =>
      describe(ready).map((one) =>
        state.offers-- > 0 ? { ...one, offer: { incarnationId, nonce: `n-${one.task}-${one.attempt}` } } : one,
      ),
  };
  const rows = async (text: string): Promise<pg.QueryResultRow[]> => (await pool.query(text)).rows;
  const commands = (): Promise<StepOutcome> => engine.step({ reports: [], demand: [], commandLimit: 100 }, mind);
  const report = (reports: readonly ReportedEnd[]): Promise<StepOutcome> =>
    engine.step({ reports, demand: [], commandLimit: 0 }, mind);
  const start = async (): Promise<string> => {
    const request = {
      workflowId: '1',
      versionId: VERSION,
      taskCount: plan.taskCount,
      params: {},
      runTime: '2026-01-02T03:04:05Z',
      priority: 0,
      createdBy: 'test',
    };
    const outcome = await starts.start(request);
    assert.equal(outcome.kind, 'created');
    return outcome.instanceId;
  };
  return { engine, workers, timers, pool, starts, incarnationId, state, rows, commands, report, start };
}

type Bench = Awaited<ReturnType<typeof bench>>;

async function claimAll({ engine, incarnationId }: Bench, count = 10): Promise<ReportedEnd[]> {
  const slots = Array.from({ length: count }, () => incarnationId);
  const { bound } = await engine.claim({ workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'c' });
  return bound.map((attempt) => ({ ...attempt, end: 'succeeded', startedAgoMs: 5, endedAgoMs: 1 }));
}

test('a chain runs from start to end, by claim and by direct hand-over', async (t) => {
  const it = await bench(t, workflowOf([taskOf('a'), taskOf('b', ['a']), taskOf('c', ['b'])]));
  const id = await it.start();
  assert.deepEqual((await it.commands()).decided, [id]);
  assert.deepEqual((await it.commands()).decided, [], 'a command is applied once');
  const [a] = await claimAll(it);
  assert.equal(a?.task, 'a');
  it.state.offers = 1;
  const outcome = await it.report([a]);
  assert.deepEqual(
    outcome.bound.map(({ task: name }) => name),
    ['b'],
  );
  const b = outcome.bound[0];
  assert.ok(b);
  await it.engine.started([
    { attemptId: b.attemptId, incarnationId: b.incarnationId, nonce: b.nonce, startedAgoMs: 3 },
  ]);
  assert.deepEqual(await it.rows('select state from active'), [{ state: 'running' }]);
  assert.deepEqual((await it.report([{ ...b, end: 'succeeded', startedAgoMs: 9, endedAgoMs: 0 }])).waiting, [
    { workerGroup: 'default', capability: 'processor' },
  ]);
  const [c] = await claimAll(it);
  assert.ok(c);
  assert.deepEqual((await it.report([c])).ended, [id]);
  assert.deepEqual(await it.rows('select task, state, attempt from finished_task order by task'), [
    { task: 'a', state: 'succeeded', attempt: 1 },
    { task: 'b', state: 'succeeded', attempt: 1 },
    { task: 'c', state: 'succeeded', attempt: 1 },
  ]);
  assert.deepEqual(await it.rows('select state, reason from instance_end'), [{ state: 'succeeded', reason: null }]);
  for (const hot of ['command', 'live_instance', 'need_counter', 'delayed', 'ready', 'active']) {
    assert.deepEqual(await it.rows(`select * from ${hot}`), [], `${hot} is empty`);
  }
});

test('a report is applied once, whoever repeats it, and a wrong nonce is never applied', async (t) => {
  const it = await bench(t, workflowOf([taskOf('a'), taskOf('b', ['a'])]));
  await it.start();
  await it.commands();
  const [a] = await claimAll(it);
  assert.ok(a);
  assert.deepEqual((await it.report([{ ...a, nonce: 'forged' }])).settled.length, 1);
  assert.deepEqual((await it.report([{ ...a, incarnationId: '999' }])).settled.length, 1);
  assert.equal((await it.report([a])).decided.length, 1);
  const again = await it.report([a]);
  assert.deepEqual([again.decided, again.settled.length], [[], 1]);
  assert.equal((await it.rows('select * from ready')).length, 1, 'b stands in line once');
});

test('a join waits for all of its needs, whatever batches they come in', async (t) => {
  const it = await bench(t, workflowOf([taskOf('a'), taskOf('b'), taskOf('c'), taskOf('j', ['a', 'b', 'c'])]));
  await it.start();
  await it.commands();
  const ends = await claimAll(it);
  assert.equal(ends.length, 3);
  await it.report(ends.slice(0, 1));
  assert.deepEqual(await it.rows('select task, met from need_counter'), [{ task: 'j', met: 1 }]);
  await it.report(ends.slice(1));
  assert.deepEqual(await it.rows('select task from ready'), [{ task: 'j' }]);
  assert.deepEqual(await it.rows('select * from need_counter'), []);
});

test('a failure is retried, then fails its task and skips what needs it', async (t) => {
  const retry = { max: 1, delayMs: 1, backoff: 'fixed', maxDelayMs: 10 } as const;
  const it = await bench(
    t,
    workflowOf([taskOf('a', [], { retry }), taskOf('b', ['a']), taskOf('c', ['b']), taskOf('d', ['a', 'c'])]),
  );
  const id = await it.start();
  await it.commands();
  const [first] = await claimAll(it);
  assert.ok(first);
  const reason = { code: 'exit-code', message: 'exit code 3', exitCode: 3 };
  assert.equal((await it.report([{ ...first, end: 'failed', reason }])).delayed, true);
  const deadline = Date.now() + 5000;
  while ((await it.timers.releaseDelayed(10)).length === 0) assert.ok(Date.now() < deadline, 'the retry falls due');
  const [second] = await claimAll(it);
  assert.ok(second);
  assert.deepEqual((await it.report([{ ...second, end: 'failed', reason }])).ended, [id]);
  const ends = await it.rows('select task, state, attempt, reason from finished_task order by task');
  assert.deepEqual(
    ends.map(({ task: name, state }) => `${name} ${state}`),
    ['a failed', 'b skipped', 'c skipped', 'd skipped'],
  );
  assert.deepEqual(ends[0]?.['reason'], reason);
  assert.deepEqual(await it.rows('select attempt, state from earlier_attempt'), [{ attempt: 1, state: 'failed' }]);
  assert.deepEqual((await it.rows('select state, reason from instance_end'))[0]?.['state'], 'failed');
  assert.deepEqual(await it.rows('select kind from alert'), [{ kind: 'instance-failed' }]);
});

test('onFailure: end withdraws the line, kills what runs and starts only what accepts the failure', async (t) => {
  const notify = taskOf('notify', [], { needs: { a: ['failed'] } });
  const it = await bench(
    t,
    workflowOf([taskOf('a'), taskOf('b'), taskOf('c'), taskOf('d', ['b']), notify], { onFailure: 'end' }),
  );
  const id = await it.start();
  await it.commands();
  const [a, b] = await claimAll(it, 2);
  assert.ok(a !== undefined && b !== undefined);
  await it.report([{ ...a, end: 'failed' }]);
  assert.deepEqual(await it.rows('select task, kill_reason from active'), [{ task: 'b', kill_reason: 'stop' }]);
  await it.commands();
  assert.deepEqual(await it.rows('select task from ready'), [{ task: 'notify' }]);
  await it.report([{ ...b, end: 'stopped' }]);
  const [last] = await claimAll(it);
  assert.equal(last?.task, 'notify');
  assert.deepEqual((await it.report([last])).ended, [id]);
  assert.deepEqual(
    (await it.rows('select task, state from finished_task order by task')).map(
      ({ task: name, state }) => `${name} ${state}`,
    ),
    ['a failed', 'b stopped', 'c skipped', 'd skipped', 'notify succeeded'],
  );
});

test('stop withdraws, kills, waits for what runs and then ends every task', async (t) => {
  const it = await bench(
    t,
    workflowOf([taskOf('a'), taskOf('b'), taskOf('c', ['a', 'b']), taskOf('d', [], { delayMs: 60_000 })]),
  );
  const id = await it.start();
  await it.commands();
  const [a] = await claimAll(it, 1);
  assert.ok(a);
  assert.equal(await it.starts.stop(id, 'me'), 'requested');
  assert.equal(await it.starts.stop(id, 'me'), 'already-stopping');
  assert.deepEqual((await it.commands()).killing, [id]);
  assert.deepEqual((await it.commands()).ended, [], 'an attempt still runs');
  assert.deepEqual(
    (await it.report([a])).ended,
    [id],
    'a success reported meanwhile is recorded, and releases nothing',
  );
  assert.deepEqual(
    (await it.rows('select task, state from finished_task order by task')).map(
      ({ task: name, state }) => `${name} ${state}`,
    ),
    ['a succeeded', 'b stopped', 'c stopped', 'd stopped'],
  );
  assert.equal(await it.starts.stop(id, 'me'), 'ended');
  assert.equal(await it.starts.stop('999999', 'me'), 'unknown');
  for (const hot of ['command', 'live_instance', 'need_counter', 'delayed', 'ready', 'active']) {
    assert.deepEqual(await it.rows(`select * from ${hot}`), [], `${hot} is empty`);
  }
});

test('an expired lease loses its attempts, which run again elsewhere under new tokens', async (t) => {
  const it = await bench(t, workflowOf([taskOf('a')]));
  await it.start();
  await it.commands();
  const [a] = await claimAll(it);
  assert.ok(a);
  await it.pool.query(
    "update worker_incarnation set lease_until = clock_timestamp() - interval '1 second', lease_ms = 1",
  );
  assert.deepEqual(await it.workers.renew([it.incarnationId]), [], 'a lease that is over cannot be renewed');
  const deadline = Date.now() + 5000;
  while ((await it.workers.expire(1e9)).length === 0) assert.ok(Date.now() < deadline, 'the lease expires');
  await it.commands();
  assert.deepEqual(await it.rows('select task, attempt, losses from ready'), [{ task: 'a', attempt: 2, losses: 1 }]);
  assert.deepEqual((await it.report([a])).settled.length, 1, 'the old token is dead');
  assert.deepEqual(await claimAll(it), [], 'a dead incarnation is given nothing');
});

test('an idempotency key starts once', async (t) => {
  const it = await bench(t, workflowOf([taskOf('a')]));
  const request = {
    workflowId: '1',
    versionId: VERSION,
    taskCount: 1,
    params: {},
    runTime: '2026-01-02T03:04:05Z',
    priority: 0,
    createdBy: 'test',
    idempotency: { key: 'k', bodyHash: 'h' },
  };
  const outcomes = await Promise.all(Array.from({ length: 8 }, () => it.starts.start(request)));
  assert.equal(outcomes.filter(({ kind }) => kind === 'created').length, 1);
  assert.equal(new Set(outcomes.map(({ instanceId }) => instanceId)).size, 1);
  assert.equal(
    (await it.starts.start({ ...request, idempotency: { key: 'k', bodyHash: 'other' } })).kind,
    'key-conflict',
  );
  assert.equal((await it.rows('select * from live_instance')).length, 1);
});

test('two engines never apply the same command', async (t) => {
  const it = await bench(t, workflowOf([taskOf('a')]));
  for (let index = 0; index < 30; index++) await it.start();
  const outcomes = await Promise.all([it.commands(), it.commands(), it.commands(), it.commands()]);
  const decided = outcomes.flatMap(({ decided: ids }) => ids);
  assert.equal(new Set(decided).size, decided.length);
  while ((await it.commands()).decided.length > 0);
  assert.equal((await it.rows('select * from ready')).length, 30);
});

test('the schema refuses a second active attempt and a change of what has ended', async (t) => {
  const it = await bench(t, workflowOf([taskOf('a')]));
  await it.start();
  await it.commands();
  const [a] = await claimAll(it);
  assert.ok(a);
  const twin = `insert into active (instance_id, task, generation, attempt, incarnation_id, nonce, ready_at)
                select instance_id, task, generation, attempt + 1, incarnation_id, 'x', now() from active`;
  await assert.rejects(it.pool.query(twin), /active_instance_id_task_key/);
  await it.report([a]);
  await assert.rejects(it.pool.query("update finished_task set state = 'failed'"), /append-only/);
  await assert.rejects(it.pool.query("update instance_end set state = 'failed'"), /append-only/);
});

test('parking ends an instance that cannot be moved, with its reason', async (t) => {
  const it = await bench(t, workflowOf([taskOf('a'), taskOf('b')]));
  const id = await it.start();
  await it.commands();
  await claimAll(it, 1);
  assert.equal(await it.starts.stop(id, 'me'), 'requested');
  assert.equal(await it.engine.park(id, { code: 'command-parked', message: 'broken' }), true);
  assert.equal(await it.engine.park(id, { code: 'command-parked', message: 'broken' }), false);
  assert.deepEqual(await it.rows('select kind, error from command_error'), [{ kind: 'stop', error: 'broken' }]);
  assert.equal((await it.rows("select * from instance_end where state = 'failed'")).length, 1);
  for (const hot of ['command', 'live_instance', 'ready', 'active'])
    assert.deepEqual(await it.rows(`select * from ${hot}`), [], hot);
});
