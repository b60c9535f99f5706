import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiHarness, YAML } from '../testing/harness.ts';

const HOLIDAYS = 'exclude: [{ date: 2026-12-25, name: Christmas Day }]';
const daily = (trigger: string): string => `name: daily
project: demo
triggers: [${trigger}]
tasks: { a: { run: "echo hello" } }
`;

test('schedules are listed with their next time, paused by name, resumed, and say what became of their times', async (t) => {
  const { call, store } = await apiHarness(t);
  const put = (source: string) => call('PUT', '/api/v1/projects/demo/workflows/daily', source, YAML);
  assert.equal(
    (await put(daily(`{ id: nightly, cron: "30 2 * * *" }, { id: often, fixedRate: 30s }`))).statusCode,
    200,
  );
  const list = await call('GET', '/api/v1/schedules?project=demo');
  const items = list.json().items;
  assert.deepEqual(
    items.map(({ trigger, state }: Record<string, unknown>) => [trigger, state]),
    [
      ['nightly', 'active'],
      ['often', 'active'],
    ],
  );
  assert.ok(Date.parse(items[0].nextDue) > Date.now());
  const paused = await call('POST', '/api/v1/projects/demo/workflows/daily/schedules/pause', { trigger: 'nightly' });
  assert.deepEqual(paused.json().items, [{ id: items[0].id, trigger: 'nightly', changed: true, nextDue: null }]);
  const both = await call('POST', '/api/v1/projects/demo/workflows/daily/schedules/pause');
  assert.deepEqual(
    both.json().items.map(({ changed }: { changed: boolean }) => changed),
    [false, true],
  );
  const state = await call('GET', '/api/v1/projects/demo/workflows/daily/schedules?state=paused');
  assert.equal(state.json().items.length, 2);
  const resumed = await call('POST', '/api/v1/projects/demo/workflows/daily/schedules/resume', {});
  assert.ok(resumed.json().items.every(({ nextDue }: { nextDue: string | null }) => nextDue !== null));
  const fires = await call('GET', `/api/v1/schedules/${items[0].id}/fires?from=2026-01-01T00:00:00Z`);
  assert.deepEqual(fires.json().items, []);
  assert.deepEqual(
    fires.json().events.map(({ kind }: { kind: string }) => kind),
    ['resumed', 'paused', 'created'],
  );
  assert.equal((await call('GET', '/api/v1/schedules/404')).json().code, 'unknown-schedule');
  assert.equal((await call('GET', '/api/v1/schedules/404/fires')).statusCode, 404);
  const none = await call('POST', '/api/v1/projects/demo/workflows/daily/schedules/pause', { trigger: 'x' });
  assert.deepEqual([none.statusCode, none.json().code], [404, 'unknown-schedule']);
  await store.definitions.delete({ project: 'demo', name: 'daily' });
  const gone = await call('POST', '/api/v1/projects/demo/workflows/daily/schedules/resume');
  assert.deepEqual([gone.statusCode, gone.json().code], [404, 'unknown-workflow']);
  assert.equal((await call('GET', `/api/v1/schedules/${items[0].id}`)).json().state, 'ended', 'its fires stay');
});

test('calendars are set as text, refused where they are wrong, and kept while a schedule names them', async (t) => {
  const { call } = await apiHarness(t);
  const calendar = '/api/v1/projects/demo/calendars/holidays';
  const put = (source: string) => call('PUT', '/api/v1/projects/demo/workflows/daily', source, YAML);
  const missing = await put(daily('{ cron: "0 3 * * *", calendars: [holidays] }'));
  assert.deepEqual([missing.statusCode, missing.json().code], [409, 'missing-calendar']);
  const bad = await call('PUT', calendar, 'exclude: [{ date: 2026-02-30 }]', YAML);
  assert.deepEqual([bad.statusCode, bad.json().code], [422, 'invalid-calendar']);
  assert.match(bad.json().detail, /2026-02-30/);
  assert.deepEqual((await call('PUT', calendar, HOLIDAYS, YAML)).json(), { moved: 0 });
  assert.equal((await put(daily('{ cron: "0 3 25 12 *", calendars: [holidays] }'))).statusCode, 200);
  const [next] = (await call('GET', '/api/v1/schedules')).json().items;
  assert.equal(next.nextDue, '2027-12-25T03:00:00.000Z');
  assert.deepEqual((await call('PUT', calendar, 'exclude: []', YAML)).json(), { moved: 1 });
  const { name, schedules } = (await call('GET', calendar)).json();
  assert.deepEqual([name, schedules], ['holidays', 1]);
  const used = await call('DELETE', calendar);
  assert.deepEqual([used.statusCode, used.json().code], [409, 'calendar-in-use']);
  await put(daily(''));
  assert.equal((await call('DELETE', calendar)).statusCode, 204);
  assert.equal((await call('DELETE', calendar)).json().code, 'unknown-calendar');
  assert.deepEqual((await call('GET', '/api/v1/projects/demo/calendars')).json().items, []);
});

test('a viewer reads schedules and calendars, and changes none', async (t) => {
  const { call, tokenOf } = await apiHarness(t);
  const headers = { authorization: `Bearer ${await tokenOf('viewer')}` };
  assert.equal((await call('GET', '/api/v1/schedules', undefined, headers)).statusCode, 200);
  assert.equal((await call('GET', '/api/v1/projects/demo/calendars', undefined, headers)).statusCode, 200);
  for (const path of ['workflows/w/schedules/pause', 'workflows/w/schedules/resume'])
    assert.equal((await call('POST', `/api/v1/projects/demo/${path}`, {}, headers)).statusCode, 403);
  const put = await call('PUT', '/api/v1/projects/demo/calendars/c', HOLIDAYS, { ...YAML, ...headers });
  assert.equal(put.statusCode, 403);
});
