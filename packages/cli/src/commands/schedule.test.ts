import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { runCli } from '../program.ts';
import { testFolder } from '../testing/folder.ts';
import type { Handler } from '../testing/test-api.ts';
import { noContent, testApi } from '../testing/test-api.ts';
import { testTerminal } from '../testing/test-terminal.ts';

const FIRE = {
  dueAt: '2026-11-20T02:30:00.000Z',
  outcome: 'failed',
  reason: { code: 'invalid-params', message: 'parameter day (date) has no default: give it a value' },
  instanceId: null,
  decidedAt: '2026-11-20T02:30:00.010Z',
};
const SCHEDULE = {
  id: '7',
  project: 'demo',
  workflow: 'daily',
  trigger: 'nightly',
  definition: { id: 'nightly', cron: '30 2 * * *', timezone: 'Europe/Berlin', misfire: 'fire-once', params: {} },
  state: 'active',
  nextDue: '2026-11-21T01:30:00.000Z',
  nextAt: '2026-11-21T01:30:00.000Z',
  awaiting: null,
  pausedAt: null,
  pausedBy: null,
  lastError: null,
  createdAt: '2026-11-19T00:00:00.000Z',
  lastFire: FIRE,
};
const listed: Handler = () => ({ items: [SCHEDULE], next: null });

async function keelson(
  t: TestContext,
  args: readonly string[],
  handlers: Readonly<Record<string, Handler>>,
  cwd = '.',
) {
  const api = await testApi(t, handlers);
  const terminal = testTerminal({ env: api.env, cwd });
  return { code: await runCli(args, terminal), out: terminal.out(), err: terminal.err(), calls: api.calls };
}

test('schedules are listed with their trigger, next time and last fire', async (t) => {
  const { code, out } = await keelson(t, ['schedule', 'list', 'demo/daily'], { 'GET schedules': listed });
  assert.equal(code, 0);
  assert.match(out, /demo\/daily +nightly: 30 2 \* \* \* Europe\/Berlin +active +2026-11-2\d .* +failed 2026-11-/);
});

test('pause and resume name one trigger or all, and say what is next', async (t) => {
  const changed =
    (nextDue: string | null): Handler =>
    () => ({ items: [{ id: '7', trigger: 'nightly', changed: true, nextDue }] });
  const path = 'projects/*/workflows/*/schedules';
  const handlers = {
    [`POST ${path}/pause`]: changed(null),
    [`POST ${path}/resume`]: changed('2026-11-21T01:30:00.000Z'),
  };
  const paused = await keelson(t, ['schedule', 'pause', 'demo/daily', '--trigger', 'nightly'], handlers);
  assert.equal(paused.out, 'Trigger nightly of demo/daily is paused\n');
  assert.deepEqual(
    paused.calls.map(({ body }) => body),
    [{ trigger: 'nightly' }],
  );
  const resumed = await keelson(t, ['schedule', 'resume', 'demo/daily'], handlers);
  assert.match(resumed.out, /^Trigger nightly of demo\/daily is resumed, next 2026-11-2/);
});

test('fires say why there was no instance, and who changed what', async (t) => {
  const events = [{ at: '2026-11-19T00:00:00.000Z', kind: 'paused', by: 'ann', detail: null }];
  const fires: Handler = () => ({ items: [FIRE], next: null, events });
  const handlers = { 'GET schedules': listed, 'GET schedules/*/fires': fires };
  const { code, out } = await keelson(t, ['schedule', 'fires', 'demo/daily', '--outcome', 'failed'], handlers);
  assert.equal(code, 0);
  assert.match(out, /failed +parameter day \(date\) has no default/);
  assert.match(out, /paused +ann/);
  const bad = await keelson(t, ['schedule', 'fires', 'demo/daily', '--from', 'soon'], handlers);
  assert.deepEqual([bad.code, bad.calls.length], [2, 0]);
  const none: Handler = () => ({ items: [], next: null });
  const unknown = await keelson(t, ['schedule', 'fires', 'demo/daily'], { 'GET schedules': none });
  assert.match(unknown.err, /demo\/daily has no such trigger/);
});

test('a calendar is set from a file, shown day by day, and deleted', async (t) => {
  const cwd = await testFolder(t, { 'holidays.yaml': 'exclude: [{ yearly: 12-25, name: Christmas Day }]' });
  const path = 'projects/*/calendars/*';
  const definition = {
    name: 'holidays',
    exclude: [{ yearly: '12-25', name: 'Christmas Day' }, { weekdays: [6, 7] }],
    include: [{ date: '2026-12-27' }],
  };
  const handlers: Readonly<Record<string, Handler>> = {
    [`PUT ${path}`]: () => ({ moved: 2 }),
    [`GET ${path}`]: () => ({
      project: 'demo',
      name: 'holidays',
      title: null,
      description: null,
      definition,
      updatedAt: FIRE.dueAt,
      updatedBy: 'ann',
      schedules: 2,
    }),
    [`DELETE ${path}`]: (_call, response) => noContent(response),
  };
  const set = await keelson(t, ['calendar', 'set', 'holidays', `${cwd}/holidays.yaml`, '-p', 'demo'], handlers);
  assert.equal(set.out, 'Calendar holidays of project demo is set; 2 schedules got another next time\n');
  const show = await keelson(t, ['calendar', 'show', 'holidays', '-p', 'demo'], handlers);
  assert.match(show.out, /no fires +every 12-25 +Christmas Day/);
  assert.match(show.out, /no fires +SAT, SUN/);
  assert.match(show.out, /fires all the same +2026-12-27/);
  const missing = await keelson(t, ['calendar', 'set', 'holidays', '/no/such/file', '-p', 'demo'], handlers);
  assert.match(missing.err, /cannot be read: ENOENT/);
  assert.equal((await keelson(t, ['calendar', 'delete', 'holidays', '-p', 'demo'], handlers)).code, 0);
});
