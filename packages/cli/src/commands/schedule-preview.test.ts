import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCli } from '../program.ts';
import { testFolder } from '../testing/folder.ts';
import { testApi } from '../testing/test-api.ts';
import { testTerminal } from '../testing/test-terminal.ts';

const FLOW = `name: daily
project: demo
timezone: Europe/Berlin
triggers:
  - { id: night, cron: "30 2 * * *", calendars: [works, nobody], jitter: 30s, end: 2026-03-31 }
  - { id: poll, fixedDelay: 5s, enabled: false }
tasks:
  a: { run: "true" }
`;

const CALENDAR = {
  project: 'demo',
  name: 'works',
  title: null,
  description: null,
  definition: { name: 'works', exclude: [{ weekdays: [1], name: 'day off' }], include: [] },
  updatedAt: '2026-01-01T00:00:00.000Z',
  updatedBy: 'ann',
  schedules: 1,
};

test('preview of a file: zone, UTC, and why a time is left out', async (context) => {
  const cwd = await testFolder(context, { 'flow.yaml': FLOW });
  const api = await testApi(context, { 'GET projects/*/calendars': () => ({ items: [CALENDAR], next: null }) });
  const terminal = testTerminal({ cwd, env: api.env });
  const code = await runCli(
    ['schedule', 'preview', 'flow.yaml', '--from', '2026-03-28T00:00:00Z', '-n', '9'],
    terminal,
  );
  assert.equal(code, 0, terminal.err());
  const lines = terminal.out().split('\n');
  assert.deepEqual(
    lines.map((line) => line.replace(/ {2,}/g, '  ').trim()),
    [
      'night: 30 2 * * * Europe/Berlin',
      'each starts up to 30s later (jitter)',
      'there is no calendar nobody: its days are not left out here',
      'EUROPE/BERLIN  UTC',
      'Sat 2026-03-28 02:30:00 +01:00  2026-03-28T01:30:00Z',
      'Sun 2026-03-29 03:00:00 +02:00  2026-03-29T01:00:00Z  makes up for what lies between 02:00 and 03:00: the clocks skip it',
      'Mon 2026-03-30 02:30:00 +02:00  2026-03-30T00:30:00Z  left out: day off (calendar works), until 2026-03-30',
      'Tue 2026-03-31 02:30:00 +02:00  2026-03-31T00:30:00Z',
      'Wed 2026-04-01 02:30:00 +02:00  2026-04-01T00:30:00Z  left out: the trigger ends 2026-03-31',
      '',
      'poll: 5s after each end',
      'it is disabled: none of these fires',
      'EUROPE/BERLIN  UTC',
      'Sat 2026-03-28 01:00:05 +01:00  2026-03-28T00:00:05Z  then 5s after the end of each instance',
      '',
    ],
  );
});

test('preview of a workflow asks the server', async (context) => {
  const item = {
    trigger: 'night',
    definition: { id: 'night', cron: '0 0 1 1 *', timezone: 'UTC' },
    timezone: 'UTC',
    enabled: true,
    jitterMs: 0,
    unknownCalendars: [],
    rows: [{ dueAt: '2027-01-01T00:00:00.000Z', local: '2027-01-01T00:00:00Z' }],
  };
  const api = await testApi(context, {
    'GET projects/*/workflows/*/schedule-preview': () => ({ items: [item] }),
  });
  const terminal = testTerminal({ env: api.env });
  assert.equal(await runCli(['schedule', 'preview', 'demo/daily', '--from', '2026-12-01T00:00:00Z'], terminal), 0);
  assert.match(
    terminal.out(),
    /^night: 0 0 1 1 \*\nUTC +UTC\s*\nFri 2027-01-01 00:00:00 \+00:00 +2027-01-01T00:00:00Z\s*\n$/,
  );
  assert.deepEqual(Object.fromEntries(api.calls[0]?.query ?? []), { from: '2026-12-01T00:00:00.000Z', count: '10' });
  const wrong = testTerminal({ env: api.env });
  assert.equal(await runCli(['schedule', 'preview', 'demo/daily', '--from', 'soon'], wrong), 2);
});
