import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CronExpressionParser } from 'cron-parser';
import { Cron } from 'croner';

import { readCron } from './cron-fields.ts';
import { nextWall } from './cron-search.ts';

const FROM = Date.UTC(2020, 0);
const UNTIL = Date.UTC(2036, 0);

/** Ours, and what the others call it: they count Quartz weekdays from 0 or need another mode. */
const EXPRESSIONS: readonly (readonly [ours: string, theirs: string])[] = [
  ...[
    '15 6 * * 1',
    '0 0 * * 0,6',
    '0 0 * * 7',
    '0 0 * * MON-FRI',
    '0 12 1,15 * *',
    '0 0 13 * 5',
    '0 0 1-7 * MON',
    '0 0 29 2 *',
    '0 0 31 * *',
    '0 0 L * *',
    '0 0 L 2 *',
    '0 0 * * 5L',
    '0 0 * * 1#2',
    '0 0 * * 3#5',
    '0 0 1 */3 *',
    '0 0 1 JAN,JUL *',
    '30 4 */10 * *',
    '@monthly',
    '@weekly',
    '@yearly',
  ].map((text) => [text, text] as const),
  ['0 30 2 ? * 2-6', '0 30 2 * * 1-5'],
  ['0 0 0 ? * 6#3', '0 0 0 * * 5#3'],
  ['0 0 0 ? * 6L', '0 0 0 * * 5L'],
  ['0 0 0 ? * L', '0 0 0 * * 6'],
  ['0 0 0 L * ?', '0 0 0 L * *'],
  ['30 59 23 31 12 ?', '30 59 23 31 12 *'],
  ['0 0 0 ? NOV-FEB SUN', '0 0 0 * 11,12,1,2 0'],
  ['0 0 0 ? * FRI-MON', '0 0 0 * * 5,6,0,1'],
];

/** `*` in a day field with a step: crontab(5) wants both day fields to fit then, croner and cron-parser take either. */
const STEPPED_DAY = '0 0 */2 * MON';

function own(expression: string): string[] {
  const fields = readCron(expression);
  const times: string[] = [];
  for (let at = nextWall(fields, FROM); at !== undefined && at < UNTIL; at = nextWall(fields, at + 1000))
    times.push(new Date(at).toISOString());
  return times;
}

function croner(expression: string): string[] {
  const job = new Cron(expression, { paused: true, utcOffset: 0 });
  const times: string[] = [];
  for (let at = job.nextRun(new Date(FROM - 1000)); at !== null && at.getTime() < UNTIL; at = job.nextRun(at))
    times.push(at.toISOString());
  return times;
}

function cronParser(expression: string): string[] {
  const search = CronExpressionParser.parse(expression, { tz: 'UTC', currentDate: new Date(FROM - 1000) });
  const times: string[] = [];
  for (let at = search.next().toDate(); at.getTime() < UNTIL; at = search.next().toDate()) times.push(at.toISOString());
  return times;
}

test('days from 2020 to 2035 are those of croner and of cron-parser', () => {
  for (const [ours, theirs] of EXPRESSIONS) {
    const times = own(ours);
    assert.ok(times.length >= 4, ours);
    assert.deepEqual(times, croner(theirs), `${ours}: croner`);
    assert.deepEqual(times, cronParser(theirs), `${ours}: cron-parser`);
  }
});

test('a day field with a step beside a weekday: both fit, as crontab(5) has it', () => {
  const times = own(STEPPED_DAY);
  const either = croner(STEPPED_DAY);
  assert.deepEqual(either, cronParser(STEPPED_DAY));
  const both = either.filter((time) => new Date(time).getUTCDay() === 1 && new Date(time).getUTCDate() % 2 === 1);
  assert.deepEqual(times, both);
});

test('nearest weekdays are those of croner', () => {
  for (const [ours, theirs] of [
    ['0 0 0 15W * ?', '0 0 0 15W * *'],
    ['0 0 0 1W * ?', '0 0 0 1W * *'],
    ['0 0 0 31W * ?', '0 0 0 31W * *'],
    ['0 0 0 LW * ?', '0 0 0 LW * *'],
  ] as const)
    assert.deepEqual(own(ours), croner(theirs), ours);
});
