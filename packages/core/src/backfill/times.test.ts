import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TriggerDefinition } from '../definition/model.ts';
import { compileCalendar } from '../time/calendar.ts';
import { compileTrigger } from '../time/trigger.ts';
import { backfillTimes } from './times.ts';
import type { BackfillTimes, TimesRequest } from './times.ts';

const NOW = Date.UTC(2036, 0, 1);

function run(request: Partial<TimesRequest> & Pick<TimesRequest, 'dates'>): BackfillTimes {
  const whole = { triggers: [], zone: 'UTC', context: { calendars: new Map() }, nowMs: NOW, most: 100_000, ...request };
  const steps = backfillTimes(whole);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

const trigger = (of: object, timezone: string) =>
  compileTrigger({ id: 't', timezone, misfire: 'fire-once', params: {}, ...of } as TriggerDefinition);
const cron = (expression: string, timezone: string) => trigger({ cron: expression }, timezone);
const range = (from: string, to = from) => ({ from, to });

/** As the zone's own clock shows it, by another library than the one that is tested. */
const shown = new Map<string, Intl.DateTimeFormat>();
function local(ms: number, timeZone: string): string {
  const options = { timeZone, dateStyle: 'short', timeStyle: 'medium' } as const;
  const format = shown.get(timeZone) ?? new Intl.DateTimeFormat('sv-SE', options);
  shown.set(timeZone, format);
  return format.format(ms);
}

function locals(result: BackfillTimes, zone: string): string[] {
  assert.ok(result.ok, JSON.stringify(result));
  return result.times.map((ms) => `${new Date(ms).toISOString()} = ${local(ms, zone)}`);
}

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Sao_Paulo',
  'Africa/Cairo',
  'Asia/Tehran',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Asia/Kathmandu',
  'America/St_Johns',
];

test('one date in each zone is that date and no other: midnight there, whatever the offset', () => {
  const starts = (date: string) =>
    ZONES.map((zone) => {
      const result = run({ dates: range(date), zone });
      return result.ok ? result.times.map((ms) => new Date(ms).toISOString().slice(0, 16)).join() : result.code;
    });
  assert.deepEqual(starts('2025-06-15'), [
    '2025-06-14T22:00',
    '2025-06-15T04:00',
    '2025-06-14T13:30',
    '2025-06-15T03:00',
    '2025-06-14T21:00',
    '2025-06-14T20:30',
    '2025-06-14T11:00',
    '2025-06-14T10:00',
    '2025-06-14T18:15',
    '2025-06-15T02:30',
  ]);
  assert.deepEqual(starts('2025-12-31'), [
    '2025-12-30T23:00',
    '2025-12-31T05:00',
    '2025-12-30T13:00',
    '2025-12-31T03:00',
    '2025-12-30T22:00',
    '2025-12-30T20:30',
    '2025-12-30T11:00',
    '2025-12-30T10:00',
    '2025-12-30T18:15',
    '2025-12-31T03:30',
  ]);
});

test('the days on which clocks change', () => {
  const hourly = (zone: string, date: string) =>
    locals(run({ dates: range(date), triggers: [cron('0 * * * *', zone)] }), zone);
  assert.equal(hourly('Europe/Berlin', '2025-03-30').length, 23);
  assert.equal(hourly('Europe/Berlin', '2025-03-30')[0], '2025-03-29T23:00:00.000Z = 2025-03-30 00:00:00');
  assert.equal(hourly('Europe/Berlin', '2025-03-30').at(-1), '2025-03-30T21:00:00.000Z = 2025-03-30 23:00:00');
  assert.equal(hourly('America/New_York', '2025-11-02')[0], '2025-11-02T04:00:00.000Z = 2025-11-02 00:00:00');
  assert.equal(hourly('America/New_York', '2025-11-02').at(-1), '2025-11-03T04:00:00.000Z = 2025-11-02 23:00:00');
  // São Paulo and Cairo change at midnight: the day begins at one o'clock.
  const daily = (zone: string, from: string, to: string) => locals(run({ dates: range(from, to), zone }), zone);
  assert.deepEqual(daily('America/Sao_Paulo', '2018-11-03', '2018-11-05'), [
    '2018-11-03T03:00:00.000Z = 2018-11-03 00:00:00',
    '2018-11-04T03:00:00.000Z = 2018-11-04 01:00:00',
    '2018-11-05T02:00:00.000Z = 2018-11-05 00:00:00',
  ]);
  assert.deepEqual(daily('Africa/Cairo', '2025-04-25', '2025-04-25'), [
    '2025-04-24T22:00:00.000Z = 2025-04-25 01:00:00',
  ]);
  // Havana has midnight twice: the day begins at the first of them.
  assert.deepEqual(daily('America/Havana', '2025-11-01', '2025-11-03'), [
    '2025-11-01T04:00:00.000Z = 2025-11-01 00:00:00',
    '2025-11-02T04:00:00.000Z = 2025-11-02 00:00:00',
    '2025-11-03T05:00:00.000Z = 2025-11-03 00:00:00',
  ]);
  const toronto = run({ dates: range('2025-03-09'), triggers: [cron('30 2 * * *', 'America/Toronto')] });
  assert.deepEqual(
    locals(toronto, 'America/Toronto'),
    ['2025-03-09T07:00:00.000Z = 2025-03-09 03:00:00'],
    'in the gap: at its end',
  );
});

test('a date that a zone left out has no run, and is said', () => {
  const result = run({ dates: range('2011-12-29', '2011-12-31'), zone: 'Pacific/Apia' });
  assert.deepEqual(locals(result, 'Pacific/Apia'), [
    '2011-12-29T10:00:00.000Z = 2011-12-29 00:00:00',
    '2011-12-30T10:00:00.000Z = 2011-12-31 00:00:00',
  ]);
  assert.deepEqual(result.ok && result.leftOut, [
    { date: '2011-12-30', code: 'no-such-day', message: 'Pacific/Apia has no 2011-12-30' },
  ]);
  assert.equal(run({ dates: range('2011-12-30'), zone: 'Pacific/Apia' }).ok, false);
});

test('leap days, ends of years and months, in their zone', () => {
  const daily = cron('0 0 0 L * ?', 'Asia/Shanghai');
  assert.deepEqual(locals(run({ dates: range('2024-01-31', '2024-03-31'), triggers: [daily] }), 'Asia/Shanghai'), [
    '2024-01-30T16:00:00.000Z = 2024-01-31 00:00:00',
    '2024-02-28T16:00:00.000Z = 2024-02-29 00:00:00',
    '2024-03-30T16:00:00.000Z = 2024-03-31 00:00:00',
  ]);
  for (const [year, days] of [
    ['2023', 365],
    ['2024', 366],
    ['1900', 365],
    ['2000', 366],
  ] as const) {
    const result = run({ dates: range(`${year}-01-01`, `${year}-12-31`), zone: 'America/New_York' });
    assert.equal(result.ok && result.times.length, days, year);
  }
  const leap = run({ dates: range('2000-01-01', '2030-12-31'), triggers: [cron('0 12 29 2 *', 'UTC')] });
  assert.equal(leap.ok && leap.times.length, 8);
});

test('every time of a range lies on a date of the range, and every date has its times', () => {
  const dayText = (day: number) => new Date(day * 86_400_000).toISOString().slice(0, 10);
  const first = Date.UTC(2020, 0, 1) / 86_400_000;
  fc.assert(
    fc.property(
      fc.constantFrom(...ZONES),
      fc.integer({ min: 0, max: 15 * 365 }),
      fc.integer({ min: 0, max: 40 }),
      fc.constantFrom(undefined, '0 0 * * *', '59 23 * * *', '30 0,12 * * *', '15 2 * * *'),
      (zone, offset, length, expression) => {
        const from = first + offset;
        const dates = range(dayText(from), dayText(from + length));
        const triggers = expression === undefined ? [] : [cron(expression, zone)];
        const result = run({ dates, zone, triggers });
        assert.ok(result.ok);
        const perDate = Map.groupBy(result.times, (ms) => local(ms, zone).slice(0, 10));
        const expected = Array.from({ length: length + 1 }, (_, index) => dayText(from + index));
        assert.deepEqual([...perDate.keys()], expected, 'these dates, in this order');
        const count = expression === '30 0,12 * * *' ? 2 : 1;
        for (const [date, times] of perDate) {
          assert.equal(new Set(times).size, times.length);
          assert.ok(times.length === count || times.length === count + 1, `${date} has ${times.length}`);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a list of dates and times, each once, in their order', () => {
  const zone = 'Asia/Tokyo';
  const dates = ['2025-05-02', '2025-05-01', '2025-05-01T06:30', '2025-05-02', '2025-04-30T15:00Z', '2025-05-02T00:00'];
  assert.deepEqual(locals(run({ dates, zone }), zone), [
    '2025-04-30T15:00:00.000Z = 2025-05-01 00:00:00',
    '2025-04-30T21:30:00.000Z = 2025-05-01 06:30:00',
    '2025-05-01T15:00:00.000Z = 2025-05-02 00:00:00',
  ]);
});

test('several triggers: a time that two of them have is one', () => {
  const triggers = [
    cron('0 6,12 * * *', 'UTC'),
    trigger({ dailyInterval: { from: '12:00', to: '13:00', everyMs: 1_800_000 } }, 'UTC'),
  ];
  assert.deepEqual(
    locals(run({ dates: range('2025-01-01'), triggers }), 'UTC').map((text) => text.slice(11, 16)),
    ['06:00', '12:00', '12:30', '13:00'],
  );
});

test('days that a calendar excludes are left out and named; the bounds of a trigger are not its past', () => {
  const holidays = compileCalendar({ name: 'bank', exclude: [{ date: '2025-01-01', name: 'New Year' }], include: [] });
  const daily = trigger({ cron: '0 6 * * *', start: '2025-01-03', enabled: false, calendars: ['bank'] }, 'UTC');
  const request = { triggers: [daily], context: { calendars: new Map([['bank', holidays]]) } };
  const result = run({ ...request, dates: range('2024-12-31', '2025-01-02') });
  assert.equal(result.ok && result.times.length, 2);
  assert.deepEqual(result.ok && result.leftOut, [
    { date: '2025-01-01', code: 'calendar', message: 'New Year (calendar bank), until 2025-01-01' },
  ]);
  const none = run({ ...request, dates: ['2025-01-01'] });
  assert.deepEqual(none, {
    ok: false,
    code: 'backfill-empty',
    message: 'there is nothing on 2025-01-01: New Year (calendar bank), until 2025-01-01',
  });
});

test('what is still to come is refused; of today only what was due', () => {
  const nowMs = Date.parse('2025-05-01T12:00:00Z');
  const hourly = [cron('0 * * * *', 'UTC')];
  const today = run({ dates: range('2025-05-01'), triggers: hourly, nowMs });
  assert.deepEqual(today.ok && [today.times.length, today.notYetDue], [13, 11]);
  const message = (result: BackfillTimes) => (result.ok ? '' : `${result.code}: ${result.message}`);
  assert.equal(
    message(run({ dates: range('2025-04-01', '2025-05-02'), triggers: hourly, nowMs })),
    'backfill-in-future: 2025-05-02 is still to come: it is 2025-05-01 in UTC',
  );
  assert.equal(run({ dates: range('2025-05-02'), zone: 'Pacific/Kiritimati', nowMs }).ok, true, 'it has begun there');
  assert.equal(
    message(run({ dates: ['2025-05-01T12:01Z'], nowMs })),
    'backfill-in-future: 2025-05-01T12:01Z is still to come',
  );
  assert.equal(
    message(run({ dates: range('2025-05-01'), triggers: [cron('0 13 * * *', 'UTC')], nowMs })),
    'backfill-empty: nothing on these dates is due yet; times still to come: 1',
  );
});

test('bad dates and ranges are refused with the date', () => {
  const message = (dates: TimesRequest['dates']) => {
    const result = run({ dates });
    return result.ok ? '' : `${result.code}: ${result.message}`;
  };
  assert.equal(
    message(range('2025-02-29')),
    'backfill-bad-date: "2025-02-29" is no date that there is: give a local date such as 2026-01-31',
  );
  assert.match(message(range('2025-01-01', 'tomorrow')), /^backfill-bad-date: "tomorrow"/);
  assert.match(message(['2025-01-01T25:00']), /^backfill-bad-date: "2025-01-01T25:00".*or a time such as/);
  assert.equal(
    message(range('2025-01-02', '2025-01-01')),
    'backfill-bad-range: the range ends on 2025-01-01, before it begins on 2025-01-02',
  );
  assert.equal(message([]), 'backfill-empty: no dates were given');
});

test('too many are counted without being made', () => {
  const message = (request: Parameters<typeof run>[0]) => {
    const result = run(request);
    return result.ok ? '' : `${result.code}: ${result.message}`;
  };
  const nowMs = Date.UTC(9999, 11, 31);
  assert.equal(
    message({ dates: range('1000-01-01', '9999-12-30'), nowMs }),
    'backfill-too-large: 3,287,181 times',
    'nothing was made',
  );
  assert.equal(
    message({ dates: range('1000-01-01', '9999-12-30'), nowMs, triggers: [cron('* * * * * ?', 'UTC')] }),
    'backfill-too-large: 3,287,181 days, each with the times of its triggers',
  );
  assert.equal(
    message({ dates: range('2000-01-01', '2025-12-31'), triggers: [cron('* * * * *', 'UTC')] }),
    'backfill-too-large: about 13,675,680 times on 9,497 days',
  );
  assert.equal(
    message({ dates: range('2025-01-01'), triggers: [cron('* * * * * ?', 'UTC')], most: 50_000 }),
    'backfill-too-large: at least 50,001 times',
  );
  assert.equal(run({ dates: range('1800-01-01', '2035-12-31'), triggers: [cron('0 0 1 1 *', 'UTC')] }).ok, true);
});
