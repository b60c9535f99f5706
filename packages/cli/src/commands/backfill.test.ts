import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { BackfillDetail, BackfillPreview, BackfillRun } from '@keelson/protocol';
import { runCli } from '../program.ts';
import type { Handler } from '../testing/test-api.ts';
import { refuse, testApi } from '../testing/test-api.ts';
import { testTerminal } from '../testing/test-terminal.ts';

const COUNTS = { total: 3, waiting: 0, pending: 0, running: 0, succeeded: 3, failed: 0, stopped: 0, skipped: 0 };

function sample(more: Partial<BackfillDetail> = {}): BackfillDetail {
  return {
    id: '12',
    project: 'demo',
    workflow: 'daily',
    version: 3,
    state: 'done',
    succeeded: true,
    counts: COUNTS,
    parallel: 1,
    priority: -10,
    onFailure: 'continue',
    again: false,
    params: {},
    request: { from: '2026-01-01', to: '2026-01-03' },
    lastError: null,
    createdBy: 'me',
    createdAt: '2026-02-01T00:00:00Z',
    endedAt: '2026-02-01T00:01:04Z',
    members: [{ project: 'demo', workflow: 'daily', version: 3, dependsOn: [] }],
    leftOut: {},
    events: [{ at: '2026-02-01T00:00:00Z', kind: 'created', by: 'me', detail: null }],
    ...more,
  };
}

const FAILED_RUN: BackfillRun = {
  seq: 2,
  project: 'demo',
  workflow: 'daily',
  runTime: '2026-01-02T00:00:00Z',
  state: 'failed',
  instanceId: '77',
  startedAt: '2026-02-01T00:00:10Z',
  endedAt: '2026-02-01T00:00:12Z',
  reason: { code: 'task-failed', message: 'task load failed' },
};

async function run(context: TestContext, args: readonly string[], handlers: Readonly<Record<string, Handler>> = {}) {
  const api = await testApi(context, handlers);
  const terminal = testTerminal({ env: api.env });
  return { code: await runCli(args, terminal), out: terminal.out(), err: terminal.err(), calls: api.calls };
}

const CREATE = 'POST projects/*/workflows/*/backfills';
const RANGE = ['--from', '2026-01-01', '--to', '2026-01-03'];

test('options become the request; without --wait it is made, and that is that', async (context) => {
  const { code, out, calls } = await run(
    context,
    [
      'backfill',
      'demo/daily',
      ...RANGE,
      '--parallel',
      '4',
      '--descending',
      '--dependents',
      '--again',
      '-p',
      'region=eu',
      '--priority',
      '5',
      '--version',
      '3',
      '--on-failure',
      'stop',
      '--trigger',
      'nightly',
      '--idempotency-key',
      'k1',
    ],
    { [CREATE]: () => sample({ state: 'running', succeeded: null, endedAt: null }) },
  );
  assert.equal(code, 0);
  const [call] = calls;
  assert.equal(call?.path, 'projects/demo/workflows/daily/backfills');
  assert.equal(call?.headers['idempotency-key'], 'k1');
  assert.deepEqual(call?.body, {
    from: '2026-01-01',
    to: '2026-01-03',
    trigger: 'nightly',
    parallel: 4,
    order: 'descending',
    dependents: true,
    params: { region: 'eu' },
    priority: 5,
    version: 3,
    again: true,
    onFailure: 'stop',
  });
  assert.match(out, /^Backfill 12 of demo\/daily v3: running for/);
  assert.match(out, /3 succeeded of 3/);
});

test('dates are needed, and one way of giving them', async (context) => {
  for (const [args, words] of [
    [['daily'], /which dates\?/],
    [['daily', '--from', '2026-01-01'], /which dates\?/],
    [['daily', ...RANGE, '--date', '2026-01-01'], /exclude each other/],
    [['show'], /which backfill\? keelson backfill show ID/],
    [['sow', '12'], /must be one of show, pause, resume, cancel/],
    [['daily', ...RANGE, '--parallel', '101'], /from 1 to 100/],
    [['daily', ...RANGE, '--on-failure', 'stopp'], /must be one of stop, continue/],
  ] as const) {
    const { code, err } = await run(context, ['backfill', ...args]);
    assert.equal(code, 2, args.join(' '));
    assert.match(err, words);
  }
});

test('--wait: 0 only if all succeeded; else the runs that did not', async (context) => {
  let looks = 0;
  const ended = (detail: Partial<BackfillDetail>) => ({
    [CREATE]: () => sample({ state: 'running', succeeded: null, endedAt: null }),
    'GET backfills/*': () =>
      looks++ % 2 === 0 ? sample({ state: 'running', succeeded: null, endedAt: null }) : sample(detail),
    'GET backfills/*/runs': ({ query }: Parameters<Handler>[0]) => ({
      items: query.get('state') === 'failed' ? [FAILED_RUN] : [],
      next: null,
    }),
  });
  const args = ['backfill', 'demo/daily', '--date', '2026-01-01', '--wait'];
  const good = await run(context, args, ended({}));
  assert.equal(good.code, 0, good.err);
  assert.match(good.err, /running: 3 succeeded of 3/);
  const counts = { ...COUNTS, succeeded: 2, failed: 1 };
  const bad = await run(context, args, ended({ succeeded: false, counts }));
  assert.equal(bad.code, 1);
  assert.match(bad.out, /done, not all succeeded after 1m 04s/);
  assert.match(bad.out, /2 +demo\/daily +2026-01-02T00:00:00Z +failed +77 +2.0s +task load failed/);
  const json = await run(context, [...args, '--json'], ended({ state: 'cancelled', succeeded: false }));
  assert.equal(json.code, 1);
  assert.equal(JSON.parse(json.out).state, 'cancelled');
});

test('--dry-run shows the first and last runs in their zone, and why others are left out', async (context) => {
  const at = (day: number): string => `2026-01-${String(day).padStart(2, '0')}T05:00:00Z`;
  const one = (day: number, message?: string): BackfillPreview['first'][number] => ({
    project: 'demo',
    workflow: 'daily',
    runTime: at(day),
    leftOut: message === undefined ? null : { code: 'already-succeeded', message },
  });
  const preview: BackfillPreview = {
    project: 'demo',
    workflow: 'daily',
    version: 3,
    timezone: 'Europe/Berlin',
    triggers: ['nightly'],
    members: [{ project: 'demo', workflow: 'daily', version: 3, dependsOn: [] }],
    parallel: 1,
    order: 'ascending',
    priority: -10,
    onFailure: 'continue',
    times: 31,
    runs: 30,
    leftOut: { 'already-succeeded': 1 },
    first: [one(1), one(2, 'instance 7 of this time has succeeded')],
    last: [one(31)],
    leftOutDates: [{ date: '2026-01-06', code: 'calendar', message: 'Epiphany (calendar bank)' }],
    notes: ['times of today that are still to come are left to the schedule: 2'],
  };
  const { code, out } = await run(context, ['backfill', 'demo/daily', ...RANGE, '--dry-run'], {
    'POST projects/*/workflows/*/backfills/preview': () => preview,
  });
  assert.equal(code, 0);
  assert.match(out, /demo\/daily v3: 30 runs would be started; left out: 1 had succeeded already/);
  assert.match(out, /the times of nightly in Europe\/Berlin; 1 at once, ascending, priority -10/);
  assert.match(out, /note: times of today/);
  assert.match(out, /no run on 2026-01-06: Epiphany/);
  assert.match(out, /2026-01-01 06:00:00 +2026-01-01T05:00:00Z +would run/);
  assert.match(out, /2026-01-02 06:00:00 .*left out: instance 7 of this time has succeeded/);
  assert.match(out, /… 28 more/);
});

test('show, pause, resume, cancel, and the list', async (context) => {
  const asked = (operation: 'pause' | 'resume' | 'cancel', outcome: 'applied' | 'already', stopping = 0): Handler => {
    const state = ({ pause: 'paused', resume: 'running', cancel: 'cancelled' } as const)[operation];
    return () => ({ id: '12', operation, outcome, state, stopping });
  };
  const said = async (args: readonly string[], handlers: Readonly<Record<string, Handler>>) => {
    const { out, calls } = await run(context, args, handlers);
    return [out.trim(), calls.at(-1)?.body];
  };
  const pause = { 'POST backfills/*/pause': asked('pause', 'already') };
  assert.deepEqual((await said(['backfill', 'pause', '12'], pause))[0], 'Backfill 12 is paused already');
  const resume = { 'POST backfills/*/resume': asked('resume', 'applied') };
  assert.deepEqual((await said(['backfill', 'resume', '12'], resume))[0], 'Backfill 12 is running');
  const cancel = { 'POST backfills/*/cancel': asked('cancel', 'applied', 2) };
  assert.deepEqual(await said(['backfill', 'cancel', '12', '--stop'], cancel), [
    'Backfill 12 is cancelled; 2 instances are being stopped',
    { stop: true },
  ]);
  const shown = await run(context, ['backfill', 'show', '12', '--state', 'failed'], {
    'GET backfills/*': () => sample({ leftOut: { 'running-now': 1 }, lastError: 'the version is gone' }),
    'GET backfills/*/runs': () => ({ items: [FAILED_RUN], next: 'more' }),
  });
  assert.equal(shown.code, 0);
  assert.match(shown.out, /left out: 1 under way already/);
  assert.match(shown.out, /cannot go on at the moment: the version is gone/);
  assert.match(shown.out, /created by me/);
  assert.match(shown.err, /first 1 runs/);
  const { members: _members, leftOut: _leftOut, events: _events, ...summary } = sample();
  const listed = await run(context, ['backfills', '--workflow', 'demo/daily', '--state', 'done'], {
    'GET backfills': () => ({ items: [summary], next: null }),
  });
  assert.match(listed.out, /12 +demo\/daily +succeeded +3 succeeded of 3/);
  assert.deepEqual(Object.fromEntries(listed.calls[0]?.query ?? []), {
    project: 'demo',
    workflow: 'daily',
    state: 'done',
  });
  const gone = await run(context, ['backfill', 'resume', '12'], {
    'POST backfills/*/resume': (_call, response) => refuse(response, 'backfill-ended', 'backfill 12 was cancelled'),
  });
  assert.equal(gone.code, 1);
  assert.match(gone.err, /was cancelled/);
});
