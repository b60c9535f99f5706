import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { apiHarness, DAILY, YAML } from '../testing/harness.ts';

const DEMO = '/api/v1/projects/demo/workflows';
const WORKFLOW = `${DEMO}/daily`;
const RANGE = { from: '2025-03-01', to: '2025-03-03' };

async function harness(t: TestContext) {
  const api = await apiHarness(t);
  const put = async (name: string, text: string): Promise<void> => {
    const answer = await api.call('PUT', `${DEMO}/${name}`, text, YAML);
    assert.equal(answer.statusCode, 200, answer.body);
  };
  await put('daily', DAILY);
  const post = async (path: string, body?: object, headers?: Record<string, string>) => {
    const answer = await api.call('POST', path, body, headers);
    return { status: answer.statusCode, body: answer.json() };
  };
  const create = async (body: object = RANGE, of = WORKFLOW) => {
    const answer = await post(`${of}/backfills`, body);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body;
  };
  const runs = async (id: string): Promise<Record<string, unknown>[]> =>
    (await api.call('GET', `/api/v1/backfills/${id}/runs`)).json().items;
  const sql = async (text: string, values: unknown[] = []): Promise<void> => {
    const client = new pg.Client({ connectionString: api.url, options: '-c search_path=keelson' });
    await client.connect();
    await client.query(text, values);
    await client.end();
  };
  /** An instance for this time that has ended, as a master would have left it. */
  const ended = async (runTime: string, state: string, of = WORKFLOW): Promise<string> => {
    const { id } = (await api.call('POST', `${of}/instances`, { runTime })).json();
    await sql('delete from live_instance where id = $1', [id]);
    await sql('delete from command where instance_id = $1', [id]);
    await sql('insert into instance_end (instance_id, generation, state) values ($1, 1, $2)', [id, state]);
    return id;
  };
  return { ...api, put, post, create, runs, sql, ended };
}

test('without a trigger: the beginning of each local date, both included', async (t) => {
  const { create, runs, post, call } = await harness(t);
  const made = await create();
  assert.deepEqual([made.state, made.counts.total, made.counts.pending, made.succeeded], ['running', 3, 3, null]);
  assert.deepEqual([made.priority, made.parallel, made.createdBy, made.request], [-10, 1, 'test admin', RANGE]);
  assert.deepEqual(
    (await runs(made.id)).map(({ runTime, state }) => `${String(runTime)} ${String(state)}`),
    ['2025-02-28T16:00:00.000Z pending', '2025-03-01T16:00:00.000Z pending', '2025-03-02T16:00:00.000Z pending'],
  );
  const listed = (await call('GET', '/api/v1/backfills?project=demo&workflow=daily&state=running')).json();
  assert.deepEqual(
    listed.items.map(({ id }: { id: string }) => id),
    [made.id],
  );
  const descending = (await post(`${WORKFLOW}/backfills/preview`, { ...RANGE, order: 'descending' })).body;
  assert.deepEqual(
    descending.first.map(({ runTime }: { runTime: string }) => runTime.slice(0, 10)),
    ['2025-03-02', '2025-03-01', '2025-02-28'],
  );
});

test('preview and backfill say what is there already, and why it is left out', async (t) => {
  const { post, create, call, ended } = await harness(t);
  const done = await ended('2025-02-28T16:00:00Z', 'succeeded');
  await ended('2025-03-01T16:00:00Z', 'failed');
  const live = (await call('POST', `${WORKFLOW}/instances`, { runTime: '2025-03-02T16:00:00Z' })).json().id;
  const { status, body } = await post(`${WORKFLOW}/backfills/preview`, RANGE);
  assert.equal(status, 200);
  assert.deepEqual([body.times, body.runs, body.leftOut], [3, 1, { 'already-succeeded': 1, 'running-now': 1 }]);
  assert.deepEqual(
    body.first.map((run: { leftOut: { message: string } | null }) => run.leftOut?.message ?? null),
    [`instance ${done} of this time has succeeded`, null, `instance ${live} of this time is under way already`],
  );
  assert.deepEqual((await call('GET', '/api/v1/backfills')).json().items, [], 'a preview makes nothing');
  assert.deepEqual((await create()).leftOut, { 'already-succeeded': 1, 'running-now': 1 });
  assert.deepEqual((await create({ ...RANGE, again: true })).leftOut, { 'running-now': 1 });
  const nothing = await create({ dates: ['2025-03-01'] });
  assert.deepEqual([nothing.state, nothing.succeeded, nothing.counts.skipped], ['done', true, 1]);
});

test('dependents are found, ordered, and checked', async (t) => {
  const { put, post, create, runs, ended } = await harness(t);
  const workflow = (name: string, more: string) =>
    put(name, `name: ${name}\nproject: demo\n${more}\ntasks: { a: { run: "true" } }\n`);
  await workflow('mart', 'dependsOn: [daily]');
  await workflow('report', 'dependsOn: [mart, demo/daily]');
  await ended('2025-02-28T16:00:00Z', 'succeeded');
  const made = await create({ from: '2025-03-01', to: '2025-03-02', dependents: true });
  assert.deepEqual(
    made.members.map(({ workflow: name, dependsOn }: { workflow: string; dependsOn: string[] }) => [name, dependsOn]),
    [
      ['daily', []],
      ['mart', ['demo/daily']],
      ['report', ['demo/mart', 'demo/daily']],
    ],
  );
  assert.deepEqual(
    (await runs(made.id)).map(({ workflow: name, state }) => `${String(name)} ${String(state)}`),
    ['daily skipped', 'mart pending', 'report waiting', 'daily pending', 'mart waiting', 'report waiting'],
  );
  await workflow('needy', 'dependsOn: [daily]\nparams: { who: { type: string } }');
  const refused = await post(`${WORKFLOW}/backfills`, { ...RANGE, dependents: true });
  assert.deepEqual([refused.status, refused.body.code], [422, 'invalid-params']);
  assert.match(refused.body.detail, /^demo\/needy, which depends on it, runs with its defaults: .*who/);
  assert.equal((await post(`${WORKFLOW}/backfills/preview`, RANGE)).status, 200, 'alone it needs nothing of them');
});

test('triggers: their times and params, and a question where it is not clear whose', async (t) => {
  const { put, post, create } = await harness(t);
  const triggered = (triggers: string) =>
    put(
      'fed',
      `name: fed\nproject: demo\nparams: { region: { type: string, default: eu } }\ntriggers: ${triggers}\ntasks: { a: { run: "true" } }\n`,
    );
  const at = `${DEMO}/fed`;
  const preview = async (body: object) => (await post(`${at}/backfills/preview`, body)).body;
  await triggered('[{ cron: "0 6,18 * * *", timezone: Europe/Berlin, params: { region: us } }]');
  const one = await preview({ from: '2025-03-29', to: '2025-03-30' });
  assert.deepEqual([one.timezone, one.triggers.length, one.times], ['Europe/Berlin', 1, 4]);
  assert.deepEqual((await create({ ...RANGE, params: {} }, at)).params, { region: 'us' });
  await triggered(
    '[{ id: eu, cron: "0 6 * * *" }, { id: us, cron: "0 6 * * *", params: { region: us } }, { id: gap, fixedDelay: 10s }]',
  );
  assert.equal((await preview(RANGE)).code, 'backfill-which-trigger');
  assert.match((await preview(RANGE)).detail, /differ in their zone or params: eu \(0 6 \* \* \*\), us/);
  assert.match((await preview({ ...RANGE, trigger: 'none' })).detail, /has no trigger "none": it has eu/);
  assert.match((await preview({ ...RANGE, trigger: 'gap' })).detail, /no times of its own/);
  assert.deepEqual((await preview({ ...RANGE, trigger: 'us' })).times, 3);
});

test('what cannot be a backfill is refused, and nothing is made', async (t) => {
  const { post, call } = await harness(t);
  const cases: readonly [object, number, string, RegExp?][] = [
    [{}, 422, 'invalid-request'],
    [{ from: '2025-01-01' }, 422, 'invalid-request', /needs `from` and `to`, or `dates`/],
    [{ ...RANGE, dates: ['2025-01-01'] }, 422, 'contradictory-request'],
    [{ from: '2025-01-02', to: '2025-01-01' }, 422, 'backfill-bad-range'],
    [{ from: '2025-02-29', to: '2025-03-01' }, 422, 'backfill-bad-date'],
    [{ from: '2025-01-01', to: '2999-01-01' }, 422, 'backfill-in-future'],
    [
      { from: '1500-01-01', to: '2025-01-01' },
      422,
      'backfill-too-large',
      /191,754 times; a backfill has at most 100,000 runs/,
    ],
    [{ ...RANGE, parallel: 0 }, 422, 'invalid-request'],
    [{ ...RANGE, parallel: 101 }, 422, 'invalid-request'],
    [{ ...RANGE, params: { dday: 'x' } }, 422, 'invalid-params', /did you mean "day"/],
    [{ ...RANGE, version: 9 }, 404, 'unknown-version'],
    [{ ...RANGE, colour: 'red' }, 422, 'invalid-request'],
  ];
  for (const [body, status, code, detail] of cases) {
    const answer = await post(`${WORKFLOW}/backfills`, body);
    assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(answer.body));
    if (detail !== undefined) assert.match(answer.body.detail, detail);
  }
  assert.equal((await call('DELETE', WORKFLOW)).statusCode, 204);
  assert.equal((await post(`${WORKFLOW}/backfills`, RANGE)).body.code, 'unknown-workflow');
  assert.deepEqual((await call('GET', '/api/v1/backfills')).json().items, []);
});

test('pause, resume, cancel: each in every state, and who it was', async (t) => {
  const { create, post, call, tokenOf } = await harness(t);
  const { id } = await create();
  const press = async (operation: string, body?: object) => {
    const answer = await post(`/api/v1/backfills/${id}/${operation}`, body);
    return answer.status === 202
      ? `${answer.body.outcome} ${answer.body.state}`
      : `${answer.status} ${answer.body.code}`;
  };
  assert.deepEqual(
    [await press('resume'), await press('pause'), await press('pause'), await press('resume')],
    ['already running', 'applied paused', 'already paused', 'applied running'],
  );
  const operator = { authorization: `Bearer ${await tokenOf('operator')}` };
  const cancelled = await post(`/api/v1/backfills/${id}/cancel`, { stop: true }, operator);
  assert.deepEqual([cancelled.status, cancelled.body.outcome, cancelled.body.stopping], [202, 'applied', 0]);
  assert.deepEqual(
    [await press('cancel'), await press('cancel', { stop: true }), await press('pause'), await press('resume')],
    ['already cancelled', 'already cancelled', '409 backfill-ended', '409 backfill-ended'],
  );
  const shown = (await call('GET', `/api/v1/backfills/${id}`)).json();
  assert.deepEqual([shown.counts.skipped, shown.succeeded, shown.leftOut], [3, false, { 'backfill-cancelled': 3 }]);
  assert.deepEqual(
    shown.events.map(({ kind, by }: { kind: string; by: string }) => `${kind} ${by}`),
    ['created test admin', 'paused test admin', 'resumed test admin', 'cancelled test operator'],
  );
  for (const path of ['77', 'x', '99999999999999999999']) {
    assert.equal((await call('GET', `/api/v1/backfills/${path}`)).json().code, 'unknown-backfill');
    assert.equal((await call('GET', `/api/v1/backfills/${path}/runs`)).json().code, 'unknown-backfill');
    assert.equal((await post(`/api/v1/backfills/${path}/pause`)).body.code, 'unknown-backfill');
  }
});

test('a repeated call with its key makes one; another body under the key is refused; viewers only look', async (t) => {
  const { post, tokenOf, call } = await harness(t);
  const key = { 'idempotency-key': 'k' };
  const first = await post(`${WORKFLOW}/backfills`, RANGE, key);
  const second = await post(`${WORKFLOW}/backfills`, RANGE, key);
  assert.deepEqual([first.status, second.status, second.body.id], [201, 200, first.body.id]);
  const other = await post(`${WORKFLOW}/backfills`, { ...RANGE, parallel: 2 }, key);
  assert.deepEqual([other.status, other.body.code], [422, 'idempotency-key-conflict']);
  const viewer = { authorization: `Bearer ${await tokenOf('viewer')}` };
  assert.equal((await post(`${WORKFLOW}/backfills`, RANGE, viewer)).status, 403);
  assert.equal((await post(`/api/v1/backfills/${first.body.id}/cancel`, undefined, viewer)).status, 403);
  assert.equal((await post(`${WORKFLOW}/backfills/preview`, RANGE, viewer)).status, 200);
  assert.equal((await call('GET', `/api/v1/backfills/${first.body.id}`, undefined, viewer)).statusCode, 200);
});

test('the largest one is made at once', async (t) => {
  const { put, create, call } = await harness(t);
  await put(
    'minutely',
    'name: minutely\nproject: demo\ntriggers: [{ cron: "* * * * *" }]\ntasks: { a: { run: "true" } }\n',
  );
  const made = await create({ from: '2025-01-01', to: '2025-03-10', parallel: 100 }, `${DEMO}/minutely`);
  assert.equal(made.counts.pending, 99_360);
  const page = (await call('GET', `/api/v1/backfills/${made.id}/runs?limit=500`)).json();
  assert.equal(page.items.length, 500);
  const next = (await call('GET', `/api/v1/backfills/${made.id}/runs?limit=1&cursor=${page.next}`)).json();
  assert.deepEqual([next.items[0].seq, next.items[0].runTime], [501, '2025-01-01T08:20:00.000Z']);
});
