import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { parseCalendar } from '../definition/calendar.ts';
import type { TriggerDefinition } from '../definition/model.ts';
import { compileCalendar } from './calendar.ts';
import { datesOf, occurrences } from './occurrences.ts';
import { ZONES } from './testing/zone-walls.ts';
import type { FireContext } from './trigger.ts';
import { compileTrigger, nextFire } from './trigger.ts';
import { wallAt, zoneClock } from './zone-clock.ts';

const none: FireContext = { calendars: new Map() };
const common = { id: 't', timezone: 'UTC', misfire: 'fire-once', params: {} } as const;

type Given = Record<string, unknown>;
const trigger = (given: Given): TriggerDefinition => ({ ...common, ...given }) as TriggerDefinition;

/** The next times as the zone's clock shows them. */
function next(given: Given, after: string, count: number, context = none): string[] {
  const compiled = compileTrigger(trigger(given));
  const texts: string[] = [];
  let found = nextFire(compiled, Date.parse(after), context);
  for (; found !== undefined && texts.length < count; found = nextFire(compiled, found.dueMs, context))
    texts.push(shown(compiled.definition.timezone, found.dueMs));
  return texts;
}

const shown = (zone: string, ms: number): string =>
  new Date(wallAt(zoneClock(zone), ms))
    .toISOString()
    .replace(/(:00)?\.000Z$/, '')
    .replace(/Z$/, '');

const calendars = (text: string, name = 'c'): FireContext => {
  const { calendar, issues } = parseCalendar(text, name);
  assert.ok(calendar, JSON.stringify(issues));
  return { calendars: new Map([[name, compileCalendar(calendar)]]) };
};

test('a fixed rate counts real time from its start, else from 1970', () => {
  assert.deepEqual(next({ fixedRateMs: 30_000 }, '2026-01-01T00:00:10Z', 3), [
    '2026-01-01T00:00:30',
    '2026-01-01T00:01',
    '2026-01-01T00:01:30',
  ]);
  assert.deepEqual(next({ fixedRateMs: 100 }, '2026-01-01T00:00:00.050Z', 2), [
    '2026-01-01T00:00:00.100',
    '2026-01-01T00:00:00.200',
  ]);
  const berlin = { timezone: 'Europe/Berlin', fixedRateMs: 3_600_000, start: '2026-10-25T00:30' };
  assert.deepEqual(next(berlin, '2020-01-01T00:00:00Z', 5), [
    '2026-10-25T00:30',
    '2026-10-25T01:30',
    '2026-10-25T02:30',
    '2026-10-25T02:30',
    '2026-10-25T03:30',
  ]);
});

test('a fixed delay counts from the moment that it is given, and waits for its start', () => {
  const delay = { fixedDelayMs: 1_000 };
  assert.deepEqual(nextFire(compileTrigger(trigger(delay)), 5_000, none), { dueMs: 6_000 });
  const later = compileTrigger(trigger({ ...delay, start: '2026-01-02' }));
  assert.deepEqual(nextFire(later, Date.parse('2026-01-01T12:00:00Z'), none), { dueMs: Date.parse('2026-01-02') });
  assert.deepEqual(nextFire(later, Date.parse('2026-01-02'), none), { dueMs: Date.parse('2026-01-02T00:00:01Z') });
  const ended = compileTrigger(trigger({ ...delay, end: '2026-01-02' }));
  assert.equal(nextFire(ended, Date.parse('2026-01-02T23:59:59.500Z'), none), undefined);
});

test('a time alone is due once', () => {
  assert.deepEqual(next({ at: '2026-12-01T08:00', timezone: 'Asia/Shanghai' }, '2026-01-01T00:00:00Z', 3), [
    '2026-12-01T08:00',
  ]);
  assert.deepEqual(next({ at: '2026-12-01T08:00+01:00' }, '2026-01-01T00:00:00Z', 3), ['2026-12-01T07:00']);
  assert.deepEqual(next({ at: '2026-12-01T08:00' }, '2026-12-01T08:00:00Z', 3), []);
  assert.deepEqual(next({ at: '2026-03-29T02:30', timezone: 'Europe/Berlin' }, '2026-01-01T00:00:00Z', 1), [
    '2026-03-29T03:00',
  ]);
});

test('a daily interval runs from and to, on its weekdays, and over midnight', () => {
  const office = { dailyInterval: { from: '09:00', to: '10:00', everyMs: 1_800_000, weekdays: [1, 2, 3, 4, 5] } };
  assert.deepEqual(next({ ...office, timezone: 'Asia/Kolkata' }, '2026-11-20T04:00:00Z', 4), [
    '2026-11-20T10:00',
    '2026-11-23T09:00',
    '2026-11-23T09:30',
    '2026-11-23T10:00',
  ]);
  const night = { dailyInterval: { from: '23:00', to: '01:00', everyMs: 3_600_000, weekdays: [5] } };
  assert.deepEqual(next(night, '2026-11-18T00:00:00Z', 4), [
    '2026-11-20T23:00',
    '2026-11-21T00:00',
    '2026-11-21T01:00',
    '2026-11-27T23:00',
  ]);
  const autumn = { timezone: 'Europe/Berlin', dailyInterval: { from: '01:30', to: '03:30', everyMs: 3_600_000 } };
  assert.deepEqual(next(autumn, '2026-10-24T22:00:00Z', 4), [
    '2026-10-25T01:30',
    '2026-10-25T02:30',
    '2026-10-25T02:30',
    '2026-10-25T03:30',
  ]);
});

test('start and end bound the fires; a date as end is inclusive', () => {
  const given = { cron: '0 12 * * *', timezone: 'Europe/Berlin', start: '2026-01-02', end: '2026-01-03' };
  assert.deepEqual(next(given, '2020-01-01T00:00:00Z', 9), ['2026-01-02T12:00', '2026-01-03T12:00']);
  assert.deepEqual(next({ ...given, end: '2026-01-03T11:59' }, '2020-01-01T00:00:00Z', 9), ['2026-01-02T12:00']);
  assert.deepEqual(next({ ...given, end: '2026-01-03T12:00' }, '2020-01-01T00:00:00Z', 9).length, 2);
});

test('days that a calendar excludes have no fires, for every kind', () => {
  const context = calendars('exclude: [{ weekdays: [SAT, SUN] }, { date: 2026-11-23, name: Thanks }]');
  const given = { calendars: ['c'], timezone: 'America/New_York' };
  const after = '2026-11-20T20:00:00Z';
  assert.deepEqual(next({ ...given, cron: '0 9 * * *' }, after, 1, context), ['2026-11-24T09:00']);
  assert.deepEqual(next({ ...given, fixedRateMs: 3_600_000 }, '2026-11-21T04:59:00Z', 1, context), [
    '2026-11-24T00:00',
  ]);
  assert.deepEqual(next({ ...given, fixedDelayMs: 86_400_000 }, after, 1, context), ['2026-11-24T00:00']);
  assert.deepEqual(next({ ...given, at: '2026-11-21T08:00' }, after, 1, context), []);
  assert.deepEqual(
    next({ ...given, dailyInterval: { from: '09:00', to: '17:00', everyMs: 3_600_000 } }, after, 3, context),
    ['2026-11-20T16:00', '2026-11-20T17:00', '2026-11-24T09:00'],
  );
  const all = calendars('exclude: [{ weekdays: [MON-SUN] }]');
  assert.deepEqual(next({ ...given, cron: '* * * * *' }, after, 1, all), []);
});

test('golden: changes of the clocks', () => {
  const daily = (zone: string, cron: string, after: string, count: number): string =>
    next({ cron, timezone: zone }, after, count).join(' ');
  assert.equal(
    daily('Europe/Berlin', '30 2 * * *', '2026-03-28T00:00:00Z', 3),
    '2026-03-28T02:30 2026-03-29T03:00 2026-03-30T02:30',
  );
  assert.equal(daily('Europe/Berlin', '30 2 * * *', '2026-10-24T22:00:00Z', 2), '2026-10-25T02:30 2026-10-26T02:30');
  assert.equal(
    daily('Australia/Lord_Howe', '15 2 * * *', '2026-10-02T20:00:00Z', 2),
    '2026-10-04T02:30 2026-10-05T02:15',
  );
  assert.equal(daily('Pacific/Chatham', '0 3 * * *', '2026-09-25T20:00:00Z', 2), '2026-09-27T03:45 2026-09-28T03:00');
  assert.equal(daily('Antarctica/Troll', '30 1 * * *', '2026-03-28T12:00:00Z', 2), '2026-03-29T03:00 2026-03-30T01:30');
  assert.equal(daily('America/Sao_Paulo', '0 0 * * *', '2018-11-03T12:00:00Z', 2), '2018-11-04T01:00 2018-11-05T00:00');
  assert.equal(
    daily('America/Sao_Paulo', '30 23 * * *', '2018-02-17T12:00:00Z', 2),
    '2018-02-17T23:30 2018-02-18T23:30',
  );
  assert.equal(
    daily('Africa/Casablanca', '30 2 * * *', '2026-03-21T12:00:00Z', 2),
    '2026-03-22T03:00 2026-03-23T02:30',
  );
  assert.equal(daily('Asia/Shanghai', '30 2 * * *', '2026-03-28T00:00:00Z', 2), '2026-03-29T02:30 2026-03-30T02:30');
  assert.equal(daily('America/Havana', '30 0 * * *', '2026-10-31T12:00:00Z', 2), '2026-11-01T00:30 2026-11-02T00:30');
  assert.equal(daily('America/Nuuk', '30 23 * * *', '2026-03-28T12:00:00Z', 2), '2026-03-29T00:00 2026-03-29T23:30');
  assert.equal(daily('Europe/Berlin', '*/30 2 * * *', '2026-03-28T12:00:00Z', 1), '2026-03-30T02:00');
  assert.equal(
    daily('Pacific/Apia', '0 12 * * *', '2011-12-29T00:00:00Z', 3),
    '2011-12-29T12:00 2011-12-31T12:00 2012-01-01T12:00',
  );
});

test('golden: leap days, ends of months and years', () => {
  const after = '2026-02-27T00:00:00Z';
  const daily = (cron: string, count: number): string => next({ cron }, after, count).join(' ');
  assert.equal(daily('0 0 29 2 *', 3), '2028-02-29T00:00 2032-02-29T00:00 2036-02-29T00:00');
  assert.equal(daily('0 0 0 L * ?', 3), '2026-02-28T00:00 2026-03-31T00:00 2026-04-30T00:00');
  assert.equal(daily('0 0 0 L-3 * ?', 2), '2026-03-28T00:00 2026-04-27T00:00');
  assert.equal(daily('0 0 0 LW * ?', 3), '2026-03-31T00:00 2026-04-30T00:00 2026-05-29T00:00');
  assert.equal(daily('59 59 23 31 12 ? 2026-2027', 3), '2026-12-31T23:59:59 2027-12-31T23:59:59');
  // 1 August 2026 is a Saturday, 31 May 2026 a Sunday, 15 March 2026 a Sunday.
  assert.equal(daily('0 0 0 1W 8 ?', 1), '2026-08-03T00:00');
  assert.equal(daily('0 0 0 31W 5 ?', 1), '2026-05-29T00:00');
  assert.equal(daily('0 0 0 15W * ?', 2), '2026-03-16T00:00 2026-04-15T00:00');
  assert.equal(daily('0 0 0 ? * L', 2), '2026-02-28T00:00 2026-03-07T00:00');
  assert.equal(daily('0 0 0 ? 2 2#5', 1), '2044-02-29T00:00');
  assert.equal(daily('0 0 22-2/2 * * ?', 4), '2026-02-27T02:00 2026-02-27T22:00 2026-02-28T00:00 2026-02-28T02:00');
  assert.equal(daily('0 0 0 ? NOV-JAN FRI-MON', 3), '2026-11-01T00:00 2026-11-02T00:00 2026-11-06T00:00');
  assert.equal(daily('0 0 0 1 1 ? */3', 2), '2027-01-01T00:00 2030-01-01T00:00');
  assert.equal(daily('0 0 */2 * MON', 2), '2026-03-09T00:00 2026-03-23T00:00');
  assert.equal(daily('0 0 13 * FRI', 3), '2026-03-06T00:00 2026-03-13T00:00 2026-03-20T00:00');
});

test('a preview says what is left out and why', () => {
  const rows = (given: Given, after: string, count: number, context = none): string[] => {
    const compiled = compileTrigger(trigger(given));
    return occurrences(compiled, Date.parse(after), count, context).map((row) => {
      const at = shown(compiled.definition.timezone, row.dueMs);
      return row.kind === 'fire'
        ? `${at}${row.note === undefined ? '' : ` (${row.note})`}`
        : `- ${at} ${row.code}: ${row.message}`;
    });
  };
  const berlin = { timezone: 'Europe/Berlin' };
  assert.deepEqual(
    rows(
      { ...berlin, cron: '30 2 * * *', calendars: ['c'], start: '2026-03-28', end: '2026-03-31' },
      '2026-03-01T00:00:00Z',
      10,
      calendars('exclude: [{ from: 2026-03-30, to: 2026-03-30, name: Moving }]'),
    ),
    [
      '- 2026-03-01T02:30 before-start: the trigger starts 2026-03-28',
      '2026-03-28T02:30',
      '2026-03-29T03:00 (makes up for what lies between 02:00 and 03:00: the clocks skip it)',
      '- 2026-03-30T02:30 calendar: Moving (calendar c), until 2026-03-30',
      '2026-03-31T02:30',
      '- 2026-04-01T02:30 after-end: the trigger ends 2026-03-31',
    ],
  );
  assert.deepEqual(rows({ ...berlin, cron: '0 1-2/1 * * *' }, '2026-03-28T12:00:00Z', 2), [
    '2026-03-29T01:00',
    '- 2026-03-29T03:00 clock-change: 2026-03-29 02:00 does not exist: the clocks go from 2026-03-29 02:00 to 2026-03-29 03:00',
    '2026-03-30T01:00',
  ]);
  assert.deepEqual(rows({ ...berlin, cron: '30 2 * * *' }, '2026-10-24T12:00:00Z', 1), [
    '2026-10-25T02:30 (02:30 comes twice on this day: the first one counts)',
  ]);
  assert.deepEqual(rows({ timezone: 'Pacific/Apia', cron: '0 12 * * *' }, '2011-12-29T00:00:00Z', 2), [
    '2011-12-29T12:00',
    '- 2011-12-31T00:00 clock-change: 2011-12-30 12:00 does not exist: the clocks go from 2011-12-30 00:00 to 2011-12-31 00:00',
    '2011-12-31T12:00',
  ]);
  assert.deepEqual(rows({ fixedDelayMs: 1_500 }, '2026-01-01T00:00:00Z', 5), [
    '2026-01-01T00:00:01.500 (then 1s500ms after the end of each instance)',
  ]);
  assert.deepEqual(rows({ at: '2026-01-01T08:00' }, '2026-01-02T00:00:00Z', 5), []);
});

test('the fires of a preview are those that follow one another', () => {
  const zone = fc.constantFrom(...ZONES);
  const kind = fc.oneof(
    fc.constantFrom('30 2 * * *', '*/20 1-3 * * *', '0 0 L * *', '0 0 9 ? * MON#2').map((cron) => ({ cron })),
    fc.integer({ min: 3_600_000, max: 90_000_000 }).map((fixedRateMs) => ({ fixedRateMs })),
    fc.constant({ dailyInterval: { from: '22:15', to: '03:10', everyMs: 2_700_000, weekdays: [2, 6] } }),
  );
  const context = calendars('exclude: [{ weekdays: [TUE] }, { yearly: 03-29 }, { from: 2027-07-01, to: 2027-09-01 }]');
  fc.assert(
    fc.property(
      zone,
      kind,
      fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2030, 0) }),
      (timezone, given, afterMs) => {
        const compiled = compileTrigger(trigger({ ...given, timezone, calendars: ['c'] }));
        const fires = occurrences(compiled, afterMs, 12, context).filter(({ kind: what }) => what === 'fire');
        let at = afterMs;
        for (const { dueMs } of fires) {
          assert.deepEqual(nextFire(compiled, at, context), { dueMs });
          at = dueMs;
        }
        assert.equal(fires.length, 12);
      },
    ),
    { numRuns: 60 },
  );
});

test('the times of a local date', () => {
  const of = (given: Given, date: string, context = none): string[] | string | undefined => {
    const compiled = compileTrigger(trigger(given));
    const found = datesOf(compiled, date, context, 50);
    if (found?.excluded !== undefined) return found.excluded.day;
    return (
      found && [...found.times.map((ms) => shown(compiled.definition.timezone, ms)), ...(found.more ? ['more'] : [])]
    );
  };
  const berlin = { timezone: 'Europe/Berlin' };
  assert.deepEqual(of({ ...berlin, cron: '30 2 * * *', start: '2027-01-01' }, '2026-03-29'), ['2026-03-29T03:00']);
  assert.deepEqual(of({ ...berlin, cron: '0 */12 * * *' }, '2026-02-28'), ['2026-02-28T00:00', '2026-02-28T12:00']);
  assert.equal(of({ ...berlin, cron: '* * * * *' }, '2026-02-28')?.length, 51);
  assert.deepEqual(of({ timezone: 'America/Sao_Paulo', cron: '0 0 * * *' }, '2018-11-04'), ['2018-11-04T01:00']);
  assert.deepEqual(of({ timezone: 'Pacific/Apia', cron: '0 0 * * *' }, '2011-12-30'), []);
  assert.deepEqual(of({ ...berlin, fixedDelayMs: 1000 }, '2026-02-28'), ['2026-02-28T00:00']);
  assert.equal(of({ ...berlin, cron: '0 0 * * *' }, '2026-02-29'), undefined);
  const holidays = calendars('exclude: [{ date: 2026-12-25, name: Christmas }]');
  assert.equal(of({ cron: '0 0 * * *', calendars: ['c'] }, '2026-12-25', holidays), 'Christmas');
});
