import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceFilter, InstanceSummary } from '../../instances.ts';
import { taskOf } from '@keelson/core/testing';
import { addWorker, bind, finish, lineUp, namedWorkflow, openWorld } from '../../testing/world.ts';
import type { World } from '../../testing/world.ts';
import { createInstances } from './instances.ts';

const AT_ONCE = { limit: 100 };

test('a fresh instance shows what it was started with, and every task waiting in the order of the file', async (t) => {
  const world = await openWorld(t);
  const instances = createInstances(world.pool);
  const applied = await world.apply({
    ...namedWorkflow('demo', 'etl', [taskOf('zeta'), taskOf('alpha', ['zeta'])]),
    timezone: 'Asia/Tokyo',
  });
  const id = await world.start(applied);
  const { createdAt, begunAt, ...rest } = (await instances.get(id)) ?? assert.fail();
  assert.ok(Date.parse(createdAt) > 0);
  assert.equal(begunAt, createdAt);
  assert.deepEqual(rest, {
    id,
    project: 'demo',
    workflow: 'etl',
    version: 1,
    versionId: applied.versionId,
    state: 'running',
    generation: 1,
    trigger: 'manual',
    priority: 0,
    runTime: '2026-01-02T03:04:05.000Z',
    timezone: 'Asia/Tokyo',
    createdBy: 'test',
    endedAt: null,
    reason: null,
    taskCount: 2,
    unfinished: 2,
    params: { day: '2026-01-02' },
    counts: { waiting: 2 },
  });
  const [zeta, alpha] = await instances.tasks(id);
  assert.deepEqual(zeta, {
    id: `${id}.1.zeta`,
    instanceId: id,
    generation: 1,
    task: 'zeta',
    uses: 'shell',
    needs: [],
    state: 'waiting',
    attempt: 0,
    maxAttempts: 1,
    attemptId: null,
    worker: null,
    workerGroup: 'default',
    dueAt: null,
    readyAt: null,
    dispatchedAt: null,
    startedAt: null,
    endedAt: null,
    killReason: null,
    progress: null,
    reason: null,
    artifacts: [],
  });
  assert.deepEqual([alpha?.task, alpha?.needs], ['alpha', ['zeta']]);
  assert.deepEqual(await instances.workflowOf(id), { project: 'demo', name: 'etl' });
});

/** One task in each state; those after a retry have a failed attempt behind them. */
async function everyState(world: World): Promise<{ id: string; attempts: Record<string, string> }> {
  const retry = { retry: { max: 2, delayMs: 1, backoff: 'fixed', maxDelayMs: 1 } } as const;
  const names = ['waits', 'delayed', 'again', 'ready', 'bound', 'runs', 'good', 'bad', 'left_out'];
  const id = await world.start(
    await world.apply(
      namedWorkflow(
        'demo',
        'etl',
        names.map((name) => taskOf(name, [], retry)),
      ),
    ),
  );
  const worker = await addWorker(world, 'w1');
  const insert = `insert into delayed (instance_id, task, generation, attempt, worker_group, capability, priority, cause, due_at)
                  values ($1, $2, 1, $3, 'default', 'shell', 0, $4, '2999-01-01')`;
  await world.sql(insert, [id, 'delayed', 1, 'delay']);
  await world.sql(insert, [id, 'again', 2, 'retry']);
  await world.sql(
    `insert into earlier_attempt values ($1, 1, 'again', 1, 7001, $2, 'failed', now(), now(), now(), now(), '{"code": "exit-code", "message": "exit code 3"}')`,
    [id, worker],
  );
  await lineUp(world, id, 'ready');
  const bound = await bind(world, id, 'bound', worker, 'dispatched');
  const runs = await bind(world, id, 'runs', worker);
  await world.sql(`update active set progress = '{"fraction": 0.5}', kill_reason = 'stop' where task = 'runs'`);
  const good = await bind(world, id, 'good', worker);
  await finish(world, id, 'good', 'succeeded', {
    outputs: { rows: 3 },
    artifacts: [{ path: 'a.csv', sha256: 'f'.repeat(64), size: 1, mode: 420 }],
  });
  await finish(world, id, 'bad', 'failed', {
    attempt: 3,
    reason: { code: 'exit-code', message: 'exit code 1', exitCode: 1 },
  });
  await finish(world, id, 'left_out', 'skipped', { attempt: 0, reason: { code: 'need-not-met', message: 'because' } });
  return { id, attempts: { bound, runs, good } };
}

test('each task shows the state that its row says, with its times, worker and reason', async (t) => {
  const world = await openWorld(t);
  const instances = createInstances(world.pool);
  const { id, attempts } = await everyState(world);
  const tasks = new Map((await instances.tasks(id)).map((task) => [task.task, task]));
  const shown = [...tasks.values()].map(({ task, state, attempt, attemptId, worker }) => [
    task,
    state,
    attempt,
    attemptId,
    worker,
  ]);
  assert.deepEqual(shown, [
    ['waits', 'waiting', 0, null, null],
    ['delayed', 'delayed', 0, null, null],
    ['again', 'delayed', 1, null, null],
    ['ready', 'ready', 0, null, null],
    ['bound', 'dispatched', 1, attempts.bound, 'w1'],
    ['runs', 'running', 1, attempts.runs, 'w1'],
    ['good', 'succeeded', 1, attempts.good, 'w1'],
    ['bad', 'failed', 3, '9999', null],
    ['left_out', 'skipped', 0, null, null],
  ]);
  assert.equal(tasks.get('again')?.reason?.message, 'exit code 3', 'why the attempt before failed');
  assert.equal(tasks.get('again')?.dueAt, '2999-01-01T00:00:00.000Z');
  assert.equal(tasks.get('bad')?.reason?.exitCode, 1);
  assert.deepEqual([tasks.get('runs')?.progress, tasks.get('runs')?.killReason], [{ fraction: 0.5 }, 'stop']);
  assert.deepEqual(
    [tasks.get('good')?.artifacts.length, tasks.get('good')?.outputs, tasks.get('good')?.maxAttempts],
    [1, undefined, 3],
  );
  const times = (name: string) => {
    const { readyAt, dispatchedAt, startedAt, endedAt } = tasks.get(name) ?? assert.fail();
    return [readyAt, dispatchedAt, startedAt, endedAt].map((time) => time !== null);
  };
  assert.deepEqual(
    [times('ready'), times('bound'), times('runs'), times('good')],
    [
      [true, false, false, false],
      [true, true, false, false],
      [true, true, true, false],
      [true, true, true, true],
    ],
  );
  const { counts } = (await instances.get(id)) ?? assert.fail();
  assert.deepEqual(counts, {
    waiting: 1,
    delayed: 2,
    ready: 1,
    dispatched: 1,
    running: 1,
    succeeded: 1,
    failed: 1,
    skipped: 1,
  });
  assert.deepEqual((await instances.tasks(id, { outputs: true })).find(({ task }) => task === 'good')?.outputs, {
    rows: 3,
  });
});

test('one task is found by its key, with its outputs and attempts', async (t) => {
  const world = await openWorld(t);
  const instances = createInstances(world.pool);
  const { id, attempts } = await everyState(world);
  const key = (task: string, generation = 1) => ({ instanceId: id, generation, task });
  assert.deepEqual((await instances.task(key('good')))?.outputs, { rows: 3 });
  assert.equal((await instances.task(key('waits')))?.state, 'waiting');
  assert.equal(await instances.task(key('nosuch')), undefined);
  assert.equal(await instances.task(key('good', 2)), undefined, 'a generation that has not been');
  assert.equal(await instances.task({ ...key('good'), instanceId: '123456' }), undefined);
  assert.deepEqual(await instances.findTask(id, 'good'), key('good'));
  assert.equal(await instances.findTask(id, 'constructor'), undefined);
  await world.sql('delete from delayed where task = $1', ['again']);
  const [worker] = await world.sql('select id from worker_incarnation');
  const second = await bind(world, id, 'again', worker?.id, 'running', 2);
  const tried = await instances.attempts(key('again'));
  assert.deepEqual(
    tried.map(({ attempt, attemptId, state, worker: name }) => [attempt, attemptId, state, name]),
    [
      [1, '7001', 'failed', 'w1'],
      [2, second, 'running', 'w1'],
    ],
  );
  assert.deepEqual(
    (await instances.attempts(key('good'))).map(({ attemptId, endedAt }) => [attemptId, endedAt !== null]),
    [[attempts.good, true]],
  );
  assert.deepEqual(await instances.attempts(key('left_out')), []);
});

test('an ended instance shows its end; tasks that nobody came to are stopped', async (t) => {
  const world = await openWorld(t);
  const instances = createInstances(world.pool);
  const id = await world.start(await world.apply(namedWorkflow('demo', 'etl', [taskOf('a'), taskOf('b', ['a'])])));
  await world.sql(
    `update live_instance set failure = '{"task": "a", "reason": {"code": "exit-code", "message": "exit code 1"}}'`,
  );
  assert.deepEqual(
    (await instances.get(id))?.reason,
    { code: 'task-failed', message: 'a: exit code 1' },
    'the first failure, while it lives',
  );
  const reason = { code: 'command-parked', message: 'broken' };
  await world.end(id, 'failed', reason);
  const { state, endedAt, counts, unfinished } = (await instances.get(id)) ?? assert.fail();
  assert.deepEqual([state, endedAt !== null, counts, unfinished], ['failed', true, { stopped: 2 }, 0]);
  assert.deepEqual(
    (await instances.tasks(id)).map((task) => [task.state, task.reason, task.endedAt]),
    [
      ['stopped', reason, endedAt],
      ['stopped', reason, endedAt],
    ],
  );
});

test('unknown ids and texts that are no ids answer alike', async (t) => {
  const { pool } = await openWorld(t);
  const instances = createInstances(pool);
  for (const id of ['404', '0', 'x', '-1', '1.5', '99999999999999999999', "1' or 1=1"]) {
    assert.equal(await instances.get(id), undefined, id);
    assert.deepEqual(await instances.tasks(id), []);
    assert.deepEqual(await instances.history(id, AT_ONCE), { items: [], next: null });
    assert.deepEqual(await instances.commandErrors(id), []);
    assert.deepEqual(await instances.attempts({ instanceId: id, generation: 1, task: 'a' }), []);
    assert.equal(await instances.workflowOf(id), undefined);
  }
});

test('lists are newest first, in pages, and narrowed by project, workflow and state', async (t) => {
  const world = await openWorld(t);
  const instances = createInstances(world.pool);
  const [etl, report, other] = await Promise.all(
    [namedWorkflow('demo', 'etl'), namedWorkflow('demo', 'report'), namedWorkflow('else', 'etl')].map(world.apply),
  );
  assert.ok(etl && report && other);
  const made: Record<string, string> = {};
  const states = ['running', 'succeeded', 'failed', 'stopped', 'paused', 'succeeded', 'failed'] as const;
  for (const [index, workflow] of [etl, report, etl, other, etl, etl, other].entries()) {
    const id = await world.start(workflow);
    const state = states[index];
    if (state === 'paused') await world.sql('update live_instance set state = $2 where id = $1', [id, state]);
    else if (state !== undefined && state !== 'running') await world.end(id, state);
    made[`${index}`] = id;
  }
  const list = async (filter: InstanceFilter): Promise<string> => {
    const { items, next } = await instances.list(filter, AT_ONCE);
    assert.equal(next, null);
    return items.map(({ id }) => Object.keys(made).find((index) => made[index] === id)).join(' ');
  };
  assert.equal(await list({}), '6 5 4 3 2 1 0');
  assert.equal(await list({ project: 'demo' }), '5 4 2 1 0');
  assert.equal(await list({ workflow: 'etl' }), '6 5 4 3 2 0');
  assert.equal(await list({ project: 'demo', workflow: 'etl' }), '5 4 2 0');
  assert.equal(await list({ state: 'failed' }), '6 2');
  assert.equal(await list({ state: 'succeeded' }), '5 1');
  assert.equal(await list({ state: 'running' }), '0');
  assert.equal(await list({ state: 'paused', project: 'demo' }), '4');
  assert.equal(await list({ state: 'failed', project: 'demo' }), '2');
  assert.equal(await list({ state: 'stopped', workflow: 'etl' }), '3');
  assert.equal(await list({ state: 'stopped', workflow: 'report' }), '');
  assert.equal(await list({ project: 'nosuch' }), '');
  for (const filter of [{}, { workflow: 'etl' }, { state: 'failed' }] as const) {
    const paged: string[] = [];
    for (let cursor: string | undefined, more = true; more;) {
      const page = await instances.list(filter, { limit: 1, cursor });
      paged.push(...page.items.map(({ id }) => id));
      more = page.next !== null;
      cursor = page.next ?? undefined;
    }
    assert.deepEqual(
      paged,
      (await instances.list(filter, AT_ONCE)).items.map(({ id }) => id),
    );
  }
  await assert.rejects(instances.list({}, { limit: 1, cursor: 'WyJ4Il0' }), { code: 'invalid-cursor' });
});

test('times, triggers and ids narrow a list as they would narrow the whole one', async (t) => {
  const world = await openWorld(t);
  const instances = createInstances(world.pool);
  const [etl, report] = await Promise.all(
    [namedWorkflow('demo', 'etl'), namedWorkflow('demo', 'report')].map(world.apply),
  );
  assert.ok(etl && report);
  const states = ['running', 'succeeded', 'failed', 'stopped', 'paused', 'succeeded', 'failed', 'running'] as const;
  for (const [index, state] of states.entries()) {
    const id = await world.start(index % 3 === 0 ? report : etl);
    if (state === 'paused') await world.sql('update live_instance set state = $2 where id = $1', [id, state]);
    else if (state !== 'running') await world.end(id, state);
  }
  const { items: all } = await instances.list({}, AT_ONCE);
  const [moment = ''] = all.slice(3).map(({ createdAt }) => createdAt);
  const [runTime = ''] = all.map((item) => item.runTime);
  const chosen = all.filter((_, index) => index % 2 === 0).map(({ id }) => id);
  const criteria: readonly (readonly [InstanceFilter, (item: InstanceSummary) => boolean])[] = [
    [{ createdFrom: moment }, (item) => item.createdAt >= moment],
    [{ createdTo: moment }, (item) => item.createdAt < moment],
    [{ runFrom: runTime }, (item) => item.runTime >= runTime],
    [{ runTo: runTime }, (item) => item.runTime < runTime],
    [{ trigger: 'manual' }, (item) => item.trigger === 'manual'],
    [{ trigger: 'schedule' }, () => false],
    [{ ids: [...chosen, '999', 'x'] }, (item) => chosen.includes(item.id)],
    [{ ids: chosen, createdFrom: moment }, (item) => chosen.includes(item.id) && item.createdAt >= moment],
    [{ ids: [] }, () => false],
  ];
  for (const state of [undefined, 'running', 'paused', 'succeeded', 'failed', 'stopped', 'queued'] as const) {
    for (const scope of [{}, { project: 'demo' }, { project: 'demo', workflow: 'etl' }, { workflow: 'nosuch' }]) {
      const base = (await instances.list({ ...scope, state }, AT_ONCE)).items;
      for (const [filter, fits] of criteria) {
        const { items } = await instances.list({ ...scope, state, ...filter }, AT_ONCE);
        assert.deepEqual(items, base.filter(fits), JSON.stringify({ ...scope, state, ...filter }));
      }
    }
  }
});

test('an instance that lives again is not listed by how an earlier generation ended', async (t) => {
  const world = await openWorld(t);
  const instances = createInstances(world.pool);
  const id = await world.start(await world.apply(namedWorkflow('demo', 'etl')));
  await world.end(id, 'failed');
  await world.sql("insert into instance_end (instance_id, generation, state) values ($1, 2, 'succeeded')", [id]);
  const found = async (state: 'failed' | 'succeeded') => (await instances.list({ state }, AT_ONCE)).items.length;
  assert.deepEqual([await found('failed'), await found('succeeded')], [0, 1]);
  assert.deepEqual([(await instances.get(id))?.state, (await instances.get(id))?.generation], ['succeeded', 2]);
});

test('the history is read oldest first, in pages', async (t) => {
  const world = await openWorld(t);
  const instances = createInstances(world.pool);
  const applied = await world.apply(namedWorkflow('demo', 'etl'));
  const [id, other] = [await world.start(applied), await world.start(applied)];
  await world.sql('delete from history');
  for (const [instance, task] of [
    [id, 'one'],
    [other, 'x'],
    [id, 'two'],
    [id, 'three'],
  ]) {
    await world.sql('insert into history (instance_id, events) values ($1, $2)', [
      instance,
      JSON.stringify([{ type: 'task-ready', task, attempt: 1 }]),
    ]);
  }
  const first = await instances.history(id, { limit: 2 });
  const second = await instances.history(id, { limit: 2, cursor: first.next ?? undefined });
  assert.deepEqual(
    [...first.items, ...second.items].flatMap(({ events }) =>
      events.map((event) => ('task' in event ? event.task : '')),
    ),
    ['one', 'two', 'three'],
  );
  assert.equal(second.next, null);
});

test('commands that were given up are listed with their reason', async (t) => {
  const world = await openWorld(t);
  const id = await world.start(await world.apply(namedWorkflow('demo', 'etl')));
  await world.sql(
    "insert into command_error (command_id, instance_id, kind, payload, tries, error) values (5, $1, 'start', '{\"a\": 1}', 4, 'no such version')",
    [id],
  );
  const [{ parkedAt, ...rest } = assert.fail()] = await createInstances(world.pool).commandErrors(id);
  assert.ok(Date.parse(parkedAt) > 0);
  assert.deepEqual(rest, { commandId: '5', kind: 'start', payload: { a: 1 }, tries: 4, error: 'no such version' });
});

test('ten thousand tasks are read with as many statements as one', async (t) => {
  const world = await openWorld(t);
  const instances = createInstances(world.pool);
  const names = Array.from({ length: 10_000 }, (_, index) => `t${index}`);
  const id = await world.start(
    await world.apply(
      namedWorkflow(
        'demo',
        'wide',
        names.map((name) => taskOf(name)),
      ),
    ),
  );
  await world.sql(
    `insert into finished_task (instance_id, generation, task, state, attempt, ended_at)
     select $1, 1, 't' || n, 'skipped', 0, now() from generate_series(0, 8999) n`,
    [id],
  );
  await instances.tasks(id);
  const query = t.mock.method(world.pool, 'query');
  const tasks = await instances.tasks(id);
  assert.equal(query.mock.callCount(), 2);
  assert.deepEqual(
    tasks.map(({ task }) => task),
    names,
  );
  assert.equal(tasks.filter(({ state }) => state === 'waiting').length, 1000);
});
