import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { apiHarness, DAILY, YAML } from '../testing/harness.ts';

const WORKFLOW = '/api/v1/projects/demo/workflows/daily';

async function harness(t: TestContext) {
  const api = await apiHarness(t);
  assert.equal((await api.call('PUT', WORKFLOW, DAILY, YAML)).statusCode, 200);
  const start = async (body: object = {}): Promise<string> =>
    (await api.call('POST', `${WORKFLOW}/instances`, body)).json().id;
  const post = async (path: string, body?: object) => {
    const answer = await api.call('POST', `/api/v1/instances/${path}`, body);
    return { status: answer.statusCode, body: answer.json() };
  };
  /** As a master would have left it. */
  const end = async (id: string, state: 'succeeded' | 'failed' | 'stopped', tasks: Record<string, string> = {}) => {
    const client = new pg.Client({ connectionString: api.url, options: '-c search_path=keelson' });
    await client.connect();
    const { rows } = await client.query('delete from live_instance where id = $1 returning generation', [id]);
    await client.query('delete from command where instance_id = $1', [id]);
    await client.query('insert into instance_end (instance_id, generation, state) values ($1, $2, $3)', [
      id,
      rows[0]?.generation ?? 1,
      state,
    ]);
    for (const [task, taskState] of Object.entries(tasks))
      await client.query(
        `insert into finished_task (instance_id, generation, task, state, attempt, ended_at) values ($1, $2, $3, $4, 0, now())`,
        [id, rows[0]?.generation ?? 1, task, taskState],
      );
    await client.end();
  };
  return { ...api, start, post, end };
}

type Harness = Awaited<ReturnType<typeof harness>>;

async function refused({ post }: Harness, path: string, status: number, code: string, body?: object): Promise<string> {
  const answer = await post(path, body);
  assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(answer.body));
  return answer.body.detail;
}

test('the buttons of a living instance: asked for once, already so when pressed again, the opposite one last', async (t) => {
  const { start, post, wakes } = await harness(t);
  const id = await start();
  const before = wakes();
  const press = async (operation: string) => {
    const { status, body } = await post(`${id}/${operation}`, {});
    return `${status} ${body.outcome}`;
  };
  assert.equal(await press('resume'), '202 already');
  assert.equal(await press('pause'), '202 requested');
  assert.equal(await press('pause'), '202 already');
  assert.equal(await press('resume'), '202 requested');
  assert.equal(await press('pause'), '202 requested');
  assert.equal(await press('stop'), '202 requested');
  assert.equal(await press('stop'), '202 already');
  assert.equal(wakes() - before, 7);
  assert.equal((await post(`${id}/resume`)).body.code, 'instance-stopping');
});

test('what makes no sense in a state is refused with its code and words that name the instance', async (t) => {
  const it = await harness(t);
  const id = await it.start();
  assert.match(await refused(it, `${id}/rerun`, 409, 'instance-live'), new RegExp(`^instance ${id} has not ended`));
  await refused(it, `${id}/recover`, 409, 'instance-live');
  await refused(it, `${id}/tasks/load/force-success`, 409, 'instance-live');
  await it.end(id, 'succeeded', { extract: 'succeeded', load: 'succeeded' });
  for (const operation of ['pause', 'resume', 'stop']) await refused(it, `${id}/${operation}`, 409, 'instance-ended');
  await refused(it, `${id}/priority`, 409, 'instance-ended', { priority: 3 });
  await refused(it, `${id}/tasks/load/skip`, 409, 'instance-ended');
  await refused(it, `${id}/recover`, 409, 'nothing-to-recover');
  await refused(it, `${id}/tasks/load/force-success`, 409, 'task-not-failed');
  for (const operation of [
    'pause',
    'resume',
    'stop',
    'rerun',
    'recover',
    'tasks/load/skip',
    'tasks/load/force-success',
  ])
    for (const unknown of ['999', 'x', '0']) await refused(it, `${unknown}/${operation}`, 404, 'unknown-instance');
});

test('a rerun begins the next generation; repeated under the generation that was seen it is already so', async (t) => {
  const it = await harness(t);
  const id = await it.start({ params: { dryRun: true } });
  await it.end(id, 'failed', { extract: 'failed', load: 'skipped' });
  const body = { from: 'load', params: { day: '2026-02-03' }, generation: 1 };
  assert.deepEqual((await it.post(`${id}/rerun`, body)).body, {
    id,
    operation: 'rerun',
    outcome: 'requested',
    generation: 2,
  });
  assert.equal((await it.post(`${id}/rerun`, body)).body.outcome, 'already');
  await refused(it, `${id}/rerun`, 409, 'generation-changed', { generation: 1 });
  await refused(it, `${id}/rerun`, 409, 'instance-live');
  await refused(it, `${id}/rerun`, 409, 'generation-changed', { generation: 7 });
  const { items } = (await it.call('GET', `/api/v1/instances/${id}/generations`)).json();
  assert.deepEqual(
    items.map(({ generation, mode, task, state, params, createdBy }: Record<string, unknown>) => ({
      generation,
      mode,
      task,
      state,
      params,
      createdBy,
    })),
    [
      {
        generation: 1,
        mode: 'first',
        task: null,
        state: 'failed',
        params: { day: items[0].params.day, dryRun: true },
        createdBy: 'test admin',
      },
      {
        generation: 2,
        mode: 'from',
        task: 'load',
        state: null,
        // What was not given stays as it was.
        params: { day: '2026-02-03', dryRun: true },
        createdBy: 'test admin',
      },
    ],
  );
  const { begunAt, createdAt } = (await it.call('GET', `/api/v1/instances/${id}`)).json();
  assert.equal(begunAt, items[1].createdAt);
  assert.ok(createdAt < begunAt);
  assert.equal((await it.call('GET', '/api/v1/instances/999/generations')).statusCode, 404);
});

test('bad requests to begin again are refused with nothing begun', async (t) => {
  const it = await harness(t);
  const id = await it.start();
  await it.end(id, 'failed', { extract: 'failed' });
  await refused(it, `${id}/rerun`, 422, 'contradictory-request', { from: 'load', only: 'load' });
  assert.match(await refused(it, `${id}/rerun`, 404, 'unknown-task', { from: 'lode' }), /load/);
  await refused(it, `${id}/rerun`, 404, 'unknown-task', { only: 'toString' });
  await refused(it, `${id}/rerun`, 422, 'invalid-params', { params: { day: 'yesterday' } });
  await refused(it, `${id}/rerun`, 422, 'invalid-params', { params: { dai: '2026-01-01' } });
  await refused(it, `${id}/rerun`, 422, 'invalid-request', { form: 'load' });
  await refused(it, `${id}/priority`, 422, 'invalid-request', { priority: 101 });
  await refused(it, `${id}/tasks/lode/force-success`, 404, 'unknown-task');
  assert.equal((await it.post(`${id}/tasks/extract/force-success`)).body.generation, 2);
});

test('with the latest version parameters that it has dropped are left out, and new ones are filled in', async (t) => {
  const it = await harness(t);
  const id = await it.start({ params: { dryRun: true } });
  await it.end(id, 'failed', { extract: 'failed' });
  const changed = DAILY.replace(/ {2}dryRun: .*\n/, '  size: { type: integer, default: 3 }\n');
  assert.equal((await it.call('PUT', WORKFLOW, changed, YAML)).statusCode, 200);
  assert.equal((await it.post(`${id}/recover`, { latest: true })).body.outcome, 'requested');
  const { version, params } = (await it.call('GET', `/api/v1/instances/${id}`)).json();
  assert.equal(version, 2);
  assert.deepEqual(Object.keys(params).toSorted(), ['day', 'size']);
});

test('tasks: skipped once, unknown ones named', async (t) => {
  const it = await harness(t);
  const id = await it.start();
  assert.equal((await it.post(`${id}/tasks/load/skip`)).body.outcome, 'requested');
  assert.equal((await it.post(`${id}/tasks/load/skip`)).body.outcome, 'already');
  await refused(it, `${id}/tasks/lode/skip`, 404, 'unknown-task');
  assert.equal((await it.post(`${id}/priority`, { priority: 5 })).body.outcome, 'requested');
  assert.equal((await it.post(`${id}/priority`, { priority: 5 })).body.outcome, 'already');
});

test('in bulk each instance is answered for itself, and a dry run does nothing', async (t) => {
  const it = await harness(t);
  const ids = [await it.start(), await it.start(), await it.start()];
  const [ended = '', second = '', third = ''] = ids;
  await it.end(ended, 'failed', { extract: 'failed' });
  const bulk = async (body: object) => {
    const answer = await it.post('operations', body);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    const { items, next, dryRun } = answer.body as {
      items: { id: string; outcome: string; code: string | null }[];
      next: string | null;
      dryRun: boolean;
    };
    return {
      next,
      dryRun,
      lines: items.map(({ id, outcome, code }) => [id, outcome, ...(code === null ? [] : [code])]),
    };
  };
  const asked = { operation: 'stop', filter: { workflow: 'daily' } };
  const wanted = [
    [third, 'requested'],
    [second, 'requested'],
    [ended, 'refused', 'instance-ended'],
  ];
  assert.deepEqual(await bulk({ ...asked, dryRun: true }), { next: null, dryRun: true, lines: wanted });
  assert.deepEqual((await bulk({ ...asked, dryRun: true })).lines, wanted, 'a dry run has changed something');
  const first = await bulk({ ...asked, limit: 1 });
  assert.deepEqual(first.lines, [[third, 'requested']]);
  assert.deepEqual((await bulk({ ...asked, cursor: first.next })).lines, wanted.slice(1));
  assert.deepEqual((await bulk({ operation: 'stop', filter: { ids: [...ids, '999', 'x'] } })).lines, [
    [third, 'already'],
    [second, 'already'],
    [ended, 'refused', 'instance-ended'],
    ['999', 'refused', 'unknown-instance'],
    ['x', 'refused', 'unknown-instance'],
  ]);
  assert.deepEqual((await bulk({ operation: 'rerun', filter: { state: 'failed' }, dryRun: true })).lines, [
    [ended, 'requested'],
  ]);
  assert.deepEqual((await bulk({ operation: 'recover', filter: { ids: [ended], state: 'running' } })).lines, []);
  assert.deepEqual((await bulk({ operation: 'pause', filter: { createdTo: '2020-01-01T00:00:00Z' } })).lines, []);
  await refused(it, 'operations', 422, 'empty-filter', { operation: 'stop', filter: {} });
  await refused(it, 'operations', 422, 'invalid-request', { operation: 'stop', filter: { sate: 'failed' } });
  await refused(it, 'operations', 422, 'invalid-request', { operation: 'explode', filter: { state: 'failed' } });
  const viewer = { authorization: `Bearer ${await it.tokenOf('viewer')}` };
  assert.equal((await it.call('POST', '/api/v1/instances/operations', asked, viewer)).statusCode, 403);
});

test('a field that an operation does not know is refused, and nothing is done', async (t) => {
  const { call } = await apiHarness(t);
  for (const path of ['pause', 'resume', 'stop', 'tasks/a/skip']) {
    const answer = await call('POST', `/api/v1/instances/1/${path}`, { dryRun: true });
    assert.deepEqual([answer.statusCode, answer.json().code], [422, 'invalid-request'], path);
  }
});
