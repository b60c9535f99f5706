import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseDefinition } from './parse.ts';
import { sampleTaskTypes } from './testing/task-types.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z');
const parse = (triggers: string) =>
  parseDefinition(`name: a\ntriggers:\n${triggers.replace(/^/gm, '  ')}\ntasks: { a: { run: x } }\n`, {
    taskTypes: sampleTaskTypes,
    nowMs: NOW,
  });
const problems = (triggers: string): string[] =>
  parse(triggers).issues.map(
    ({ code, line, path, severity }) => `${severity === 'error' ? '' : 'warning '}${line} ${code} ${path}`,
  );

test('each kind becomes the model, and says no more than it has to', () => {
  const { definition, issues } =
    parse(`- { id: c, cron: " 0  30 2 ? * MON-FRI ", timezone: Asia/Shanghai, enabled: true, misfireThreshold: 1m, jitter: 0s }
- { id: r, fixedRate: 30s, start: 2026-12-01, end: 2026-12-31T18:00, enabled: false }
- { id: d, fixedDelay: 100ms, misfire: skip, misfireThreshold: 5m, jitter: 2s }
- { id: o, at: 2026-12-01T08:00, calendars: [b, a, b] }
- { id: i, dailyInterval: { from: "09:00", to: "18:00:30", every: 30m, weekdays: [sat-Mon, WED] }, x-note: y }
- { id: e, dailyInterval: { from: "22:00", to: "06:00", every: 2h, weekdays: [MON-SUN], x-a: 1 } }`);
  assert.deepEqual(issues, []);
  const common = { timezone: 'UTC', misfire: 'fire-once', params: {} };
  assert.deepEqual(definition?.triggers, [
    { ...common, id: 'c', cron: '0 30 2 ? * MON-FRI', timezone: 'Asia/Shanghai' },
    { ...common, id: 'r', fixedRateMs: 30_000, start: '2026-12-01', end: '2026-12-31T18:00', enabled: false },
    { ...common, id: 'd', fixedDelayMs: 100, misfire: 'skip', misfireThresholdMs: 300_000, jitterMs: 2000 },
    { ...common, id: 'o', at: '2026-12-01T08:00', calendars: ['a', 'b'] },
    {
      ...common,
      id: 'i',
      dailyInterval: { from: '09:00', to: '18:00:30', everyMs: 1_800_000, weekdays: [1, 3, 6, 7] },
    },
    { ...common, id: 'e', dailyInterval: { from: '22:00', to: '06:00', everyMs: 7_200_000 } },
  ]);
});

test('a trigger without an id keeps the one that it had in earlier releases', () => {
  assert.equal(parse('- cron: "30 2 * * *"').definition?.triggers[0]?.id, ID_OF_FIRST_RELEASE);
});
const ID_OF_FIRST_RELEASE = '28b01ee0ae158d9c';

test('a trigger is of exactly one kind', () => {
  assert.deepEqual(
    problems('- { timezone: UTC }\n- { cron: "@daily", at: 2026-12-01T08:00 }\n- 5\n- { corn: "@daily" }'),
    [
      '3 no-trigger-kind triggers[0]',
      '4 several-trigger-kinds triggers[1].at',
      '5 bad-type triggers[2]',
      '6 unknown-key triggers[3].corn',
    ],
  );
});

test('bad input: each at its place', () => {
  assert.deepEqual(
    problems(`- { fixedRate: 99ms }
- { fixedDelay: 1 }
- { fixedRate: 9999d }
- { at: 2026-12-01 }
- { at: 2026-02-30T08:00 }
- { at: 2026-12-01T25:00 }
- { dailyInterval: { from: "9:00", to: "18:00", every: 30m } }
- { dailyInterval: { from: "09:00", to: "09:00", every: 30m } }
- { dailyInterval: { from: "09:00", to: "10:00", every: 10ms, weekdays: [] } }
- { dailyInterval: { from: "09:00", to: "10:00", every: 1h, weekdays: [MO] } }
- { cron: "0 0 30 2 *" }
- { cron: "@daily", start: 2026-12-02, end: 2026-12-01 }
- { cron: "@daily", start: soon }
- { cron: "@daily", end: 2026-02-29 }
- { cron: "@daily", timezone: Mars/Base }
- { cron: "@daily", jitter: 2d }
- { cron: "@daily", misfireThreshold: 5 }
- { cron: "@daily", calendars: [Not_A_Name] }
- { cron: "@daily", misfire: never }`),
    [
      '3 interval-too-short triggers[0].fixedRate',
      '4 bad-type triggers[1].fixedDelay',
      '5 bad-duration triggers[2].fixedRate',
      '6 bad-time triggers[3].at',
      '7 bad-time triggers[4].at',
      '8 bad-time triggers[5].at',
      '9 bad-time triggers[6].dailyInterval.from',
      '10 empty-interval triggers[7].dailyInterval.to',
      '11 out-of-range triggers[8].dailyInterval.weekdays',
      '12 bad-weekday triggers[9].dailyInterval.weekdays[0]',
      '13 bad-cron triggers[10].cron',
      '14 end-before-start triggers[11].end',
      '15 bad-time triggers[12].start',
      '16 bad-time triggers[13].end',
      '17 bad-timezone triggers[14].timezone',
      '18 out-of-range triggers[15].jitter',
      '19 bad-type triggers[16].misfireThreshold',
      '20 bad-name triggers[17].calendars[0]',
      '21 bad-value triggers[18].misfire',
    ],
  );
});

test('what is never due is refused; what is over is warned of', () => {
  const never = (trigger: string): string[] => problems(`- ${trigger}`);
  assert.deepEqual(never('{ cron: "0 0 1 1 *", start: 2026-12-01, end: 2026-12-31 }'), [
    '3 never-fires triggers[0].end',
  ]);
  assert.deepEqual(never('{ cron: "0 0 0 1 1 ? 2026", start: 2026-12-01 }'), ['3 never-fires triggers[0].start']);
  assert.deepEqual(never('{ at: 2026-12-01T08:00, end: 2026-11-30 }'), ['3 never-fires triggers[0].end']);
  assert.deepEqual(never('{ at: 2026-11-01T08:00 }'), ['warning 3 already-over triggers[0]']);
  assert.deepEqual(never('{ cron: "0 0 0 1 1 ? 2020" }'), ['warning 3 already-over triggers[0]']);
  assert.deepEqual(never('{ fixedRate: 1m, end: 2026-11-20 }'), ['warning 3 already-over triggers[0]']);
  assert.deepEqual(never('{ fixedRate: 1m, end: 2026-11-21 }'), []);
});
