import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiHarness, YAML } from '../testing/harness.ts';

const SOURCE = `name: daily
project: demo
timezone: Europe/Berlin
triggers:
  - { id: night, cron: "30 2 * * *", calendars: [holidays] }
  - { id: poll, fixedDelay: 5s }
tasks: { a: { run: "true" } }
`;

test('a preview shows the next times of each trigger, with the calendars of the project', async (t) => {
  const { call } = await apiHarness(t);
  const workflow = '/api/v1/projects/demo/workflows/daily';
  await call('PUT', workflow, 'name: daily\nproject: demo\ntasks: { a: { run: "true" } }\n', YAML);
  const holidays = 'exclude: [{ date: 2026-12-25, name: Christmas Day }]';
  assert.equal((await call('PUT', '/api/v1/projects/demo/calendars/holidays', holidays, YAML)).statusCode, 200);
  assert.equal((await call('PUT', workflow, SOURCE, YAML)).statusCode, 200);
  const preview = `${workflow}/schedule-preview?from=2026-12-24T12:00:00%2B01:00`;
  const one = await call('GET', `${preview}&count=1&trigger=night`);
  assert.equal(one.statusCode, 200, one.body);
  const [night, ...others] = one.json().items;
  assert.deepEqual(others, []);
  assert.deepEqual(night.rows, [
    {
      dueAt: '2026-12-25T01:30:00.000Z',
      local: '2026-12-25T02:30:00+01:00',
      leftOut: 'calendar',
      message: 'Christmas Day (calendar holidays), until 2026-12-25',
    },
    { dueAt: '2026-12-26T01:30:00.000Z', local: '2026-12-26T02:30:00+01:00' },
  ]);
  assert.deepEqual(night.unknownCalendars, []);
  assert.equal((await call('GET', preview)).json().items.length, 2);
  for (const [query, status, code] of [
    ['&trigger=none', 404, 'unknown-schedule'],
    ['&count=0', 422, 'invalid-request'],
    ['&count=100000', 422, 'invalid-request'],
  ] as const) {
    const refused = await call('GET', `${preview}${query}`);
    assert.deepEqual([refused.statusCode, refused.json().code], [status, code], query);
  }
  const unknown = await call('GET', '/api/v1/projects/demo/workflows/nothing/schedule-preview');
  assert.deepEqual([unknown.statusCode, unknown.json().code], [404, 'unknown-workflow']);
  const list = await call('GET', '/api/v1/projects/demo/workflows');
  assert.deepEqual(list.json().items[0].triggers, ['30 2 * * * Europe/Berlin', '5s after each end']);
  assert.deepEqual(list.json().items[0].crons, ['30 2 * * *']);
});
