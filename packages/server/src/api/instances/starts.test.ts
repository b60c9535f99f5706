import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiHarness, DAILY, YAML } from '../testing/harness.ts';

const STARTS = '/api/v1/projects/demo/workflows/daily/instances';

async function harness(t: Parameters<typeof apiHarness>[0]) {
  const api = await apiHarness(t);
  assert.equal((await api.call('PUT', '/api/v1/projects/demo/workflows/daily', DAILY, YAML)).statusCode, 200);
  return api;
}

test('a start answers with its id and resolved parameters, and wakes the masters', async (t) => {
  const { call, wakes } = await harness(t);
  const answer = await call('POST', STARTS, {
    runTime: '2026-03-02T01:00:00+08:00',
    params: { dryRun: 'true' },
    priority: 7,
  });
  assert.equal(answer.statusCode, 201, answer.body);
  const started = answer.json();
  assert.equal(answer.headers['location'], `/api/v1/instances/${started.id}`);
  assert.equal(started.runTime, '2026-03-01T17:00:00.000Z');
  assert.deepEqual(started.params, { day: '2026-03-01', dryRun: true });
  assert.equal(wakes(), 1);
  const { state, priority, createdBy, trigger, tasks } = (await call('GET', `/api/v1/instances/${started.id}`)).json();
  assert.deepEqual(
    { state, priority, createdBy, trigger },
    { state: 'running', priority: 7, createdBy: 'test admin', trigger: 'manual' },
  );
  assert.deepEqual(
    tasks.map(({ task, state }: { task: string; state: string }) => `${task} ${state}`),
    ['extract waiting', 'load waiting'],
  );
});

test('a start needs no body at all', async (t) => {
  const { call } = await harness(t);
  assert.equal((await call('POST', STARTS)).statusCode, 201);
});

test('an idempotency key starts one instance, also when many calls race', async (t) => {
  const { call } = await harness(t);
  const headers = { 'idempotency-key': 'nightly-1' };
  const answers = await Promise.all(Array.from({ length: 20 }, () => call('POST', STARTS, { priority: 1 }, headers)));
  assert.equal(answers.filter(({ statusCode }) => statusCode === 201).length, 1);
  assert.equal(answers.filter(({ statusCode }) => statusCode === 200).length, 19);
  assert.equal(new Set(answers.map((answer) => answer.json().id)).size, 1);
  const reordered = await call('POST', STARTS, '{ "priority":1 }', { ...headers, 'content-type': 'application/json' });
  assert.equal(reordered.statusCode, 200);
  const other = await call('POST', STARTS, { priority: 2 }, headers);
  assert.equal(other.statusCode, 422);
  assert.equal(other.json().code, 'idempotency-key-conflict');
  assert.equal((await call('GET', '/api/v1/instances')).json().items.length, 1);
  assert.equal((await call('POST', STARTS, {}, { 'idempotency-key': 'x'.repeat(256) })).statusCode, 422);
});

test('parameters that do not fit are each named, and nothing is started', async (t) => {
  const { call } = await harness(t);
  const answer = await call('POST', STARTS, { params: { day: 'yesterday', dryRum: true } });
  assert.equal(answer.statusCode, 422);
  const { code, errors } = answer.json();
  assert.equal(code, 'invalid-params');
  assert.deepEqual(errors.map(({ path, code }: { path: string; code: string }) => `${path} ${code}`).toSorted(), [
    'params.day bad-param',
    'params.dryRum unknown-param',
  ]);
  assert.equal((await call('GET', '/api/v1/instances')).json().items.length, 0);
});

test('a request outside its schema names the field', async (t) => {
  const { call } = await harness(t);
  for (const [body, path] of [
    [{ runTime: 'now' }, 'body.runTime'],
    [{ priority: 101 }, 'body.priority'],
    [{ prams: {} }, 'body'],
    [[], 'body'],
  ] as const) {
    const answer = await call('POST', STARTS, JSON.stringify(body), { 'content-type': 'application/json' });
    assert.equal(answer.statusCode, 422, answer.body);
    assert.equal(answer.json().code, 'invalid-request');
    assert.equal(answer.json().errors[0].path, path);
  }
});

test('a start uses what was applied before it, even while other starts are under way', async (t) => {
  const { call } = await harness(t);
  for (let round = 2; round < 8; round++) {
    const before = Array.from({ length: 5 }, () => call('POST', STARTS));
    await call('PUT', '/api/v1/projects/demo/workflows/daily', DAILY.replace('hello', `round ${round}`), YAML);
    assert.equal((await call('POST', STARTS)).json().version, round);
    await Promise.all(before);
  }
  assert.equal((await call('POST', STARTS, { version: 1 })).json().version, 1);
  assert.equal((await call('POST', STARTS, { version: 99 })).json().code, 'unknown-version');
  assert.equal(
    (await call('POST', '/api/v1/projects/demo/workflows/nothing/instances')).json().code,
    'unknown-workflow',
  );
});

test("a project's parameter stands in for one that the workflow leaves open", async (t) => {
  const { call } = await apiHarness(t);
  await call('PUT', '/api/v1/projects/demo/params', { params: { region: 'north' } });
  const source = 'name: regional\nproject: demo\nparams: { region: { type: string } }\ntasks: { a: { run: "true" } }\n';
  assert.equal((await call('PUT', '/api/v1/projects/demo/workflows/regional', source, YAML)).statusCode, 200);
  const url = '/api/v1/projects/demo/workflows/regional/instances';
  assert.equal((await call('POST', url)).json().params.region, 'north');
  assert.equal((await call('POST', url, { params: { region: 'south' } })).json().params.region, 'south');
});

test('stop is asked for once, and again without harm', async (t) => {
  const { call } = await harness(t);
  const { id } = (await call('POST', STARTS)).json();
  assert.deepEqual((await call('POST', `/api/v1/instances/${id}/stop`)).json(), {
    id,
    operation: 'stop',
    outcome: 'requested',
  });
  assert.deepEqual((await call('POST', `/api/v1/instances/${id}/stop`)).json(), {
    id,
    operation: 'stop',
    outcome: 'already',
  });
  for (const unknown of ['999999', 'abc', '1; drop table command', '0']) {
    const answer = await call('POST', `/api/v1/instances/${encodeURIComponent(unknown)}/stop`);
    assert.equal(answer.json().code, 'unknown-instance');
  }
});

test('lists come in pages, and a cursor of another list is refused', async (t) => {
  const { call } = await harness(t);
  for (let count = 0; count < 5; count++) await call('POST', STARTS);
  const seen: string[] = [];
  let cursor = '';
  do {
    const { items, next } = (await call('GET', `/api/v1/instances?project=demo&limit=2${cursor}`)).json();
    seen.push(...items.map(({ id }: { id: string }) => id));
    cursor = next === null ? '' : `&cursor=${encodeURIComponent(next)}`;
  } while (cursor !== '');
  assert.equal(new Set(seen).size, 5);
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => Number(b) - Number(a)),
  );
  assert.equal((await call('GET', '/api/v1/instances?cursor=nonsense')).json().code, 'invalid-cursor');
  assert.equal((await call('GET', '/api/v1/instances?limit=0')).json().code, 'invalid-request');
  assert.equal((await call('GET', '/api/v1/instances?stat=running')).json().code, 'invalid-request');
});

test('why names the reason of each unfinished task', async (t) => {
  const { call } = await harness(t);
  const { id } = (await call('POST', STARTS)).json();
  const { tasks } = (await call('GET', `/api/v1/instances/${id}/why`)).json();
  assert.deepEqual(
    tasks.map((task: { task: string; reasons: { code: string }[] }) => `${task.task} ${task.reasons[0]?.code}`),
    ['extract command-waiting', 'load waiting-for-upstream'],
  );
  assert.equal((await call('GET', '/api/v1/instances/424242/why')).json().code, 'unknown-instance');
  assert.equal(
    (await call('GET', `/api/v1/instances/${id}/history`)).json().items[0].events[0].type,
    'instance-created',
  );
});

test('a start that is refused is logged and counted by its code', async (t) => {
  const { call, lines } = await harness(t);
  await call('POST', STARTS);
  await call('POST', STARTS, { params: { day: 'yesterday' } });
  await call('POST', '/api/v1/projects/demo/workflows/nothing/instances');
  assert.deepEqual(
    lines.filter(({ msg }) => msg === 'a start was refused').map(({ code }) => code),
    ['invalid-params', 'unknown-workflow'],
  );
  const { body } = await call('GET', '/metrics');
  assert.match(body, /^keelson_starts_refused_total\{code="invalid-params"\} 1$/m);
  assert.match(body, /^keelson_starts_refused_total\{code="unknown-workflow"\} 1$/m);
});

test('a key answers with what it began, also when the workflow has changed since or is gone', async (t) => {
  const { call } = await harness(t);
  const headers = { 'idempotency-key': 'nightly-2' };
  const body = { params: { dryRun: true } };
  const { id } = (await call('POST', STARTS, body, headers)).json();
  const workflow = '/api/v1/projects/demo/workflows/daily';
  const other = 'name: daily\nproject: demo\nparams: { must: { type: string } }\ntasks: { a: { run: "true" } }\n';
  assert.equal((await call('PUT', workflow, other, YAML)).statusCode, 200);
  const repeated = await call('POST', STARTS, body, headers);
  assert.deepEqual([repeated.statusCode, repeated.json().id], [200, id]);
  assert.equal((await call('POST', STARTS, body)).json().code, 'invalid-params');
  assert.equal((await call('POST', STARTS, { params: { x: 1 } }, headers)).json().code, 'idempotency-key-conflict');
  assert.equal((await call('POST', STARTS, body, { 'idempotency-key': 'another' })).statusCode, 422);
});

test('versions and times that the database cannot name are refused as such', async (t) => {
  const { call } = await harness(t);
  const bodies = [
    { version: 3_000_000_000 },
    { runTime: '0000-01-01T00:00:00Z' },
    { runTime: '2026-01-01T00:00:00+16:00' },
  ];
  for (const body of bodies) {
    const answer = await call('POST', STARTS, body);
    assert.deepEqual([answer.statusCode, answer.json().code], [422, 'invalid-request'], JSON.stringify(body));
  }
  for (const query of ['createdFrom=2026-01-01T00:00:00%2B16:00', 'runTo=0000-12-31T00:00:00Z'])
    assert.equal((await call('GET', `/api/v1/instances?${query}`)).statusCode, 422, query);
  assert.equal((await call('GET', '/api/v1/projects/demo/workflows/daily?version=3000000000')).statusCode, 422);
});
