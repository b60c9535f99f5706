import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compileCalendar } from '../time/calendar.ts';
import { calendarFromObject, parseCalendar } from './calendar.ts';

const TEXT = `title: Germany
x-source: gazette
exclude:
  - { date: 2026-05-14, name: Ascension Day, x-law: yes }
  - { from: 2026-12-24, to: 2026-12-31, name: Works holidays }
  - { yearly: 02-29 }
  - { weekdays: [Sat-sun] }
include:
  - { date: 2026-12-28, name: Stocktaking }
`;

test('a calendar says which days have no fires, and why', () => {
  const { calendar, issues } = parseCalendar(TEXT, 'germany');
  assert.deepEqual(issues, []);
  assert.ok(calendar);
  assert.deepEqual(calendar.exclude[3], { weekdays: [6, 7] });
  const { excludes } = compileCalendar(calendar);
  const why = (date: string): string | undefined => {
    const found = excludes(Date.parse(date));
    return found && `${found.calendar}: ${found.day} until ${new Date(found.untilDayMs).toISOString().slice(0, 10)}`;
  };
  assert.equal(why('2026-05-14'), 'germany: Ascension Day until 2026-05-15');
  assert.equal(why('2026-05-15'), undefined);
  assert.equal(why('2026-12-24'), 'germany: Works holidays until 2026-12-28');
  assert.equal(why('2026-12-28'), undefined);
  assert.equal(why('2026-12-29'), 'germany: Works holidays until 2027-01-01');
  assert.equal(why('2028-02-29'), 'germany: 02-29 until 2028-03-01');
  assert.equal(why('2026-11-21'), 'germany: Saturday until 2026-11-22');
});

test('what is wrong with a calendar is said at its place', () => {
  const text = `name: other
exclude:
  - { date: 2026-02-30 }
  - { from: 2026-03-02, to: 2026-03-01 }
  - { from: 2026-03-02 }
  - { to: 2026-03-02 }
  - { date: 2026-03-02, yearly: 12-25 }
  - { yearly: 13-01 }
  - { name: nothing }
include: [{ date: 2027-02-29 }]
`;
  assert.deepEqual(
    parseCalendar(text, 'holidays').issues.map(({ code, path, line }) => `${line} ${code} ${path}`),
    [
      '1 other-name name',
      '3 bad-date exclude[0].date',
      '4 to-before-from exclude[1].to',
      '5 missing-key exclude[2]',
      '6 no-day exclude[3]',
      '7 several-days exclude[4].yearly',
      '8 bad-date exclude[5].yearly',
      '9 no-day exclude[6]',
      '10 bad-date include[0].date',
    ],
  );
  const shapes = parseCalendar(
    'exclude:\n  - { dat: 2026-01-01 }\n  - { weekdays: [SAM] }\n  - 2026-01-01\n',
    'a',
  ).issues;
  assert.deepEqual(
    shapes.map(({ code, line, suggestion }) => `${line} ${code} ${suggestion}`),
    ['2 unknown-key did you mean "date"?', '3 bad-weekday undefined', '4 bad-type undefined'],
  );
  assert.equal(parseCalendar('- 2026-01-01', 'a').issues[0]?.code, 'bad-type');
  assert.equal(parseCalendar('', 'a').issues[0]?.code, 'bad-type');
  assert.equal(parseCalendar('exclude: [', 'a').calendar, undefined);
  assert.equal(parseCalendar('exclude: []', undefined).issues[0]?.code, 'missing-key');
});

test('an object is read as its text is', () => {
  const object = { exclude: [{ date: '2026-12-25' }], include: [] };
  assert.deepEqual(calendarFromObject(object, 'a').calendar, parseCalendar(JSON.stringify(object), 'a').calendar);
});
