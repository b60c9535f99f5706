import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { compileWorkflow, decide, explain, runContext } from '@keelson/core';
import type { BroadcastDefinition, QueuedTask, TaskDefinition } from '@keelson/core';
import { taskOf } from '@keelson/core/testing';
import pg from 'pg';
import type { BoundAttempt, Engine, Placement, ReportedEnd, StepMind, StepOutcome } from '../../engine.ts';
import { addWorker, namedWorkflow, openWorld } from '../../testing/world.ts';
import { createDoctor } from '../invariants/doctor.ts';
import { createEngine } from './engine.ts';
import { createInstances } from '../instances/instances.ts';
import { createTimers } from './timers.ts';
import { createVerifier } from '../verify/verify.ts';
import { createWhy } from '../instances/why.ts';
import { createWorkers } from '../workers/workers.ts';

const STEP = { uses: 'shell', with: {}, env: {} };

/** Two masters' engines over one database, in it one broadcast `b` behind nothing, and who would decide about it. */
async function house(t: TestContext, broadcast: Partial<BroadcastDefinition> = {}, more: Partial<TaskDefinition> = {}) {
  const world = await openWorld(t);
  const one = createEngine(world.open, 1);
  const other = createEngine(world.open, 1);
  const workers = createWorkers(world.open);
  const timers = createTimers(world.open);
  t.after(() => Promise.all([one.close(), other.close(), workers.close(), timers.close()]).then(() => undefined));
  await world.sql(
    "create or replace function server_up_since() returns timestamptz language sql as $$ select '-infinity'::timestamptz $$",
  );
  const definition = namedWorkflow('p', 'w', [
    taskOf('b', [], { ...more, broadcast: { maxFailed: 0, ...broadcast } }),
    taskOf('next', ['b']),
  ]);
  const plan = compileWorkflow(definition);
  let nonces = 0;
  const describe = (tasks: readonly QueuedTask[]): Placement[] =>
    tasks.map((queued) => ({ ...queued, workerGroup: 'default', capability: 'shell', priority: 0 }));
  const mind: StepMind = {
    knowsVersion: () => true,
    taskNames: () => [...plan.tasks.keys()],
    newNonce: () => `n${++nonces}`,
    claims: () => [],
    describe: (_instance, tasks) => describe(tasks),
    decide: ({ facts, events, ...loaded }) => {
      const run = runContext({ id: facts.id, workflow: 'w', project: 'p', timeUtc: facts.runTime, zone: 'UTC' });
      return decide({ ...loaded, plan, scope: { params: {}, run } }, events);
    },
    place: (_instance, { ready }) => describe(ready),
  };
  const applied = await world.apply(definition);
  const doctor = createDoctor(world.pool, world.open);
  const verifier = createVerifier(world.pool);
  const step = (reports: readonly ReportedEnd[], by: Engine = one): Promise<StepOutcome> =>
    by.step({ reports, demand: [], commandLimit: reports.length > 0 ? 0 : 100 }, mind);
  return {
    world,
    one,
    workers,
    timers,
    step,
    other,
    instances: createInstances(world.pool),
    sql: world.sql,
    /** Nothing is without a driver, or against its history. */
    check: async () => {
      const findings = await doctor.check();
      assert.deepEqual(
        findings.flatMap(({ name, rows }) => rows.map(({ message }) => `${name}: ${message}`)),
        [],
      );
      for await (const { violations } of verifier.verify({})) assert.deepEqual(violations, []);
    },
    start: () => world.start(applied),
    commands: (by: Engine = one) => step([], by),
    claim: async (incarnation: string): Promise<BoundAttempt> => {
      const request = { workerGroup: 'default', capabilities: ['shell'], slots: [incarnation], nonce: `c${++nonces}` };
      const [bound] = (await one.claim(request)).bound;
      assert.ok(bound !== undefined, 'something is in line');
      return bound;
    },
    /** Subtasks as `worker state` or `worker state attempt`. */
    subtasks: async (id: string) =>
      (await createInstances(world.pool).subtasks({ instanceId: id, generation: 1, task: 'b' })).map(
        ({ worker, state }) => `${worker} ${state}`,
      ),
    state: async (id: string, task = 'b') => {
      const found = await createInstances(world.pool).task({ instanceId: id, generation: 1, task });
      return `${found?.state} ${found?.reason?.code ?? ''}`.trim();
    },
  };
}

function ended(attempt: BoundAttempt, end: ReportedEnd['end'], more: Partial<ReportedEnd> = {}): ReportedEnd {
  const { instanceId, generation, task, attemptId, incarnationId, nonce } = attempt;
  return {
    instanceId,
    generation,
    task,
    attemptId,
    incarnationId,
    nonce,
    end,
    startedAgoMs: 5,
    endedAgoMs: 1,
    ...(end === 'failed' ? { reason: { code: 'exit-code', message: 'exit code 1' } } : {}),
    ...more,
  };
}

async function connection(t: TestContext, { settings }: { settings: { url: string } }): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: settings.url });
  await client.connect();
  await client.query('set search_path to keelson, public');
  t.after(() => client.end());
  return client;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await pause(10)) if (await holds()) return;
  throw new Error(`waited in vain: ${what}`);
}

test('the snapshot takes each live worker that can run it, once, and nobody who comes later', async (t) => {
  const it = await house(t);
  const [w1, w2] = [await addWorker(it.world, 'w1'), await addWorker(it.world, 'w2')];
  await addWorker(it.world, 'w1', { state: 'dead' });
  await addWorker(it.world, 'w2', { state: 'draining' });
  await addWorker(it.world, 'late', { leaseMs: -1 });
  await addWorker(it.world, 'elsewhere', { group: 'other' });
  await addWorker(it.world, 'unable', { capabilities: ['http'] });
  const id = await it.start();
  const { subtasks } = await it.commands();
  assert.deepEqual(
    subtasks.map(({ incarnationId, subtaskIndex }) => [incarnationId, subtaskIndex]),
    [
      [w1, 0],
      [w2, 1],
    ],
  );
  await addWorker(it.world, 'joins');
  assert.deepEqual(await it.subtasks(id), ['w1 dispatched', 'w2 dispatched']);
  assert.equal(await it.state(id), 'running');
  const events = (await it.sql('select events from history order by id')).flatMap((row) => row.events);
  assert.deepEqual(
    events.find(({ type }) => type === 'broadcast-started'),
    {
      type: 'broadcast-started',
      task: 'b',
      workers: [
        { incarnation: w1, worker: 'w1' },
        { incarnation: w2, worker: 'w2' },
      ],
    },
  );
  assert.equal(events.filter(({ type }) => type === 'task-dispatched').length, 2);
  // For life: neither a second one for the same worker, nor another worker for the same one.
  await assert.rejects(
    it.sql('update active set incarnation_id = $1, subtask = $1 where incarnation_id = $2', [w2, w1]),
    /belongs to incarnation/,
  );
  await assert.rejects(
    it.sql(`insert into active (instance_id, task, generation, attempt, incarnation_id, nonce, ready_at, subtask, subtask_index)
            select instance_id, task, generation, attempt, incarnation_id, nonce, ready_at, subtask, subtask_index from active limit 1`),
    /active_instance_id_task_subtask_key/,
  );
  await it.check();
});

test('before, subtasks, after: outputs go along, and the rows say what the history says', async (t) => {
  const it = await house(
    t,
    { before: STEP, after: STEP },
    { retry: { max: 1, delayMs: 0, backoff: 'fixed', maxDelayMs: 0 } },
  );
  const [w1, w2] = [await addWorker(it.world, 'w1'), await addWorker(it.world, 'w2')];
  const id = await it.start();
  await it.commands();
  const before = await it.claim(w1);
  const key = { instanceId: id, generation: 1, task: 'b' };
  assert.equal((await it.one.broadcasts([key]))[0]?.phase, 'before');
  const { subtasks } = await it.step([ended(before, 'succeeded', { outputs: { day: 'monday' } })]);
  assert.equal(subtasks.length, 2);
  assert.equal((await it.instances.task(key))?.attemptId, before.attemptId, 'its log is that of before for now');
  const [first, second] = subtasks;
  assert.ok(first !== undefined && second !== undefined);
  const [fan] = await it.one.broadcasts([key]);
  assert.deepEqual([fan?.phase, fan?.total, fan?.outputs], ['fan', 2, { day: 'monday' }]);
  const [again] = (await it.step([ended(first, 'failed')])).subtasks;
  assert.ok(again !== undefined);
  assert.deepEqual([again.incarnationId, again.attempt, again.subtaskIndex], [w1, 2, 0]);
  await it.step([ended(again, 'succeeded', { outputs: { n: 1 } }), ended(second, 'succeeded', { outputs: { n: 2 } })]);
  const [late] = await it.one.broadcasts([key]);
  assert.deepEqual(late?.results, [
    { worker: 'w1', incarnation: w1, state: 'succeeded', outputs: { n: 1 } },
    { worker: 'w2', incarnation: w2, state: 'succeeded', outputs: { n: 2 } },
  ]);
  const last = await it.claim(w2);
  assert.deepEqual([last.task, last.attempt], ['b', 2]);
  await it.step([ended(last, 'succeeded', { outputs: { sum: 3 } })]);
  assert.equal(await it.state(id), 'succeeded');
  assert.equal(await it.state(id, 'next'), 'ready');
  assert.deepEqual(await it.sql('select 1 from broadcast union all select 1 from active'), []);
  const { attempts, subtaskAttempts } = it.instances;
  assert.deepEqual(
    (await attempts(key)).map(({ attempt, state }) => `${attempt} ${state}`),
    ['1 succeeded', '2 succeeded'],
  );
  assert.deepEqual(
    (await subtaskAttempts(key, 'w1')).map(({ attempt, state }) => `${attempt} ${state}`),
    ['1 failed', '2 succeeded'],
  );
});

test('a worker that expires while the snapshot is taken is not in it', async (t) => {
  const it = await house(t);
  await addWorker(it.world, 'w1');
  const w2 = await addWorker(it.world, 'w2');
  const id = await it.start();
  const expiry = await connection(t, it.world);
  await expiry.query('begin');
  await expiry.query('select 1 from worker_incarnation where id = $1 for update', [w2]);
  const stepping = it.commands();
  await until('the snapshot waits for it', async () => {
    const rows = await it.sql(
      "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%worker_incarnation w%'",
    );
    return rows.length > 0;
  });
  await expiry.query("update worker_incarnation set state = 'dead' where id = $1", [w2]);
  await expiry.query('commit');
  await stepping;
  assert.deepEqual(await it.subtasks(id), ['w1 dispatched']);
  await it.check();
});

test('a worker whose lease ends while the snapshot commits loses its subtask, which nobody else gets', async (t) => {
  const it = await house(t, { parallel: 1, maxFailed: 1 });
  const [w1, w2] = [await addWorker(it.world, 'w1'), await addWorker(it.world, 'w2')];
  const id = await it.start();
  const blocker = await connection(t, it.world);
  await blocker.query('begin');
  await blocker.query('lock table broadcast in exclusive mode');
  const stepping = it.commands();
  await until('the step waits with its locks', async () => {
    const rows = await it.sql(
      "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%into broadcast%'",
    );
    return rows.length > 0;
  });
  await it.sql("update worker_incarnation set lease_until = clock_timestamp() - interval '1 second' where id = $1", [
    w2,
  ]);
  assert.deepEqual(await it.workers.expire(1e9), [], 'it is locked: later');
  await blocker.query('commit');
  await stepping;
  assert.deepEqual(
    (await it.workers.expire(1e9)).map((worker) => worker.id),
    [w2],
  );
  // The lost one had not been handed over.
  await it.commands();
  assert.deepEqual(await it.subtasks(id), ['w1 dispatched', 'w2 lost']);
  const [first] = await it.one.activeOf([w1]);
  assert.ok(first !== undefined);
  await addWorker(it.world, 'w3');
  await it.step([ended(first, 'succeeded')]);
  assert.equal(await it.state(id), 'succeeded');
  assert.deepEqual((await it.instances.task({ instanceId: id, generation: 1, task: 'b' }))?.outputs, {
    total: 2,
    succeeded: 1,
    failed: 0,
    lost: 1,
  });
  await it.check();
});

test('a retry whose worker has died meanwhile is lost with it', async (t) => {
  const it = await house(t, {}, { retry: { max: 3, delayMs: 0, backoff: 'fixed', maxDelayMs: 0 } });
  await addWorker(it.world, 'w1');
  const id = await it.start();
  const [first] = (await it.commands()).subtasks;
  assert.ok(first !== undefined);
  await it.workers.leave(first.incarnationId);
  // The report is older than the loss, and is heard first.
  const outcome = await it.step([ended(first, 'failed')]);
  assert.deepEqual([outcome.subtasks, outcome.moreCommands], [[], true]);
  await it.commands();
  assert.deepEqual(await it.subtasks(id), ['w1 lost']);
  assert.equal(await it.state(id), 'failed broadcast-failed');
  await it.check();
});

test('two last ends at once, at two masters: after is put in line once', async (t) => {
  for (let round = 0; round < 5; round++) {
    const it = await house(t, { after: STEP, maxFailed: 9 });
    for (const name of ['w1', 'w2', 'w3', 'w4']) await addWorker(it.world, name);
    const id = await it.start();
    const { subtasks } = await it.commands();
    let open = subtasks.map((attempt, index) => ended(attempt, index % 2 === 0 ? 'succeeded' : 'failed'));
    while (open.length > 0) {
      const half = Math.ceil(open.length / 2);
      const outcomes = await Promise.all([
        it.step(open.slice(0, half)),
        open.length > half ? it.step(open.slice(half), it.other) : undefined,
      ]);
      open = outcomes.flatMap((outcome) => outcome?.postponed ?? []);
    }
    assert.equal(await it.state(id), 'ready');
    assert.deepEqual(await it.sql('select task, attempt from ready'), [{ task: 'b', attempt: 1 }]);
    const [row] = await it.sql('select phase, waiting, running, succeeded, failed from broadcast');
    assert.deepEqual(row, { phase: 'after', waiting: 0, running: 0, succeeded: 2, failed: 2 });
    await it.check();
  }
});

test('a stop against a promotion: whichever comes first, nothing is left running that nobody ends', async (t) => {
  for (let round = 0; round < 8; round++) {
    const it = await house(t, { parallel: 1 });
    for (const name of ['w1', 'w2', 'w3']) await addWorker(it.world, name);
    const id = await it.start();
    const [first] = (await it.commands()).subtasks;
    assert.ok(first !== undefined);
    await it.sql('insert into command (instance_id, kind, payload) values ($1, \'stop\', \'{"by": "test"}\')', [id]);
    const report = ended(first, 'succeeded');
    const [told] = await Promise.all([it.step([report]), it.commands(it.other)]);
    for (let open = told.postponed; open.length > 0;) open = (await it.step(open)).postponed;
    await it.commands();
    const active = await it.sql('select state, kill_reason from active');
    assert.ok(
      active.every((row) => row.state !== 'bound' && row.kill_reason === 'stop'),
      JSON.stringify(active),
    );
    for (const { id: worker } of await it.sql('select id from worker_incarnation'))
      for (const attempt of await it.one.activeOf([worker])) await it.step([ended(attempt, 'stopped')]);
    await it.commands();
    assert.deepEqual(await it.sql('select state from instance_end'), [{ state: 'stopped' }]);
    assert.equal((await it.subtasks(id)).length, 3);
    assert.deepEqual(await it.sql('select 1 from broadcast union all select 1 from active'), []);
    await it.check();
  }
});

test('a delay ends with a look at the workers of that moment', async (t) => {
  const it = await house(t, {}, { delayMs: 1 });
  const id = await it.start();
  await it.commands();
  assert.equal(await it.state(id), 'delayed');
  await addWorker(it.world, 'w1');
  await until('the delay is over', async () => (await it.timers.releaseDelayed(10)).includes(null));
  await it.commands();
  assert.deepEqual(await it.subtasks(id), ['w1 dispatched']);
  await it.check();
});

test('an instance that is given up leaves nothing of a broadcast behind', async (t) => {
  const it = await house(t, { parallel: 1 });
  await addWorker(it.world, 'w1');
  await addWorker(it.world, 'w2');
  const id = await it.start();
  await it.commands();
  assert.equal(await it.one.park(id, { code: 'command-parked', message: 'test' }), true);
  assert.deepEqual(await it.subtasks(id), ['w1 stopped', 'w2 stopped']);
  assert.deepEqual(await it.sql('select 1 from broadcast union all select 1 from active'), []);
  assert.equal(await it.state(id), 'stopped command-parked');
  await it.check();
});

test('why says which workers a broadcast waits for, and what keeps the others', async (t) => {
  const it = await house(t, { parallel: 2, maxFailed: 1 });
  for (const name of ['w1', 'w2', 'w3']) await addWorker(it.world, name);
  const id = await it.start();
  const [first] = (await it.commands()).subtasks;
  assert.ok(first !== undefined);
  await it.step([ended(first, 'failed')]);
  await it.sql("update worker_incarnation set lease_until = clock_timestamp() where name = 'w2'");
  const facts = await createWhy(it.world.pool).facts(id);
  assert.ok(facts !== undefined);
  const [said] = explain(facts);
  assert.equal(said?.code, 'broadcast-running');
  assert.match(
    said.message,
    /^broadcast for \d+ s: 0 of 3 subtasks have succeeded, 1 failed, 2 at w2, w3, w2 does not renew the lease$/,
  );
});

test('a step over tasks that are no broadcasts asks nothing about broadcasts', async (t) => {
  const world = await openWorld(t);
  const seen: string[] = [];
  const spied = createEngine((bounds) => {
    const session = world.open(bounds);
    return {
      ...session,
      begin: () => {
        const transaction = session.begin();
        const note = (calls: readonly { statement: { name: string } }[]): void =>
          calls.forEach(({ statement }) => void seen.push(statement.name));
        return {
          ...transaction,
          flight: (calls) => (note(calls), transaction.flight(calls)),
          commit: (calls) => (note(calls), transaction.commit(calls)),
        };
      },
    };
  }, 1);
  t.after(() => spied.close());
  const definition = namedWorkflow('p', 'plain', [taskOf('a'), taskOf('z', ['a'])]);
  const plan = compileWorkflow(definition);
  await world.start(await world.apply(definition));
  await spied.step(
    { reports: [], demand: [], commandLimit: 10 },
    {
      knowsVersion: () => true,
      taskNames: () => ['a', 'z'],
      newNonce: () => 'n',
      claims: () => [],
      describe: () => [],
      place: (_instance, { ready }) =>
        ready.map((one) => ({ ...one, workerGroup: 'default', capability: 'shell', priority: 0 })),
      decide: ({ facts, events, ...loaded }) => {
        const run = runContext({ id: facts.id, workflow: 'w', project: 'p', timeUtc: facts.runTime, zone: 'UTC' });
        return decide({ ...loaded, plan, scope: { params: {}, run } }, events);
      },
    },
  );
  assert.deepEqual(
    seen.filter((name) => /broadcast|subtask|snapshot/.test(name)),
    [],
  );
  assert.ok(seen.includes('write-ready'));
});
