import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cronProblem, nextCronTime } from './cron.ts';

test('5 fields follow Unix: 0 and 7 are Sunday', () => {
  // 2026-02-01 is a Sunday.
  for (const weekday of ['0', '7', 'SUN'])
    assert.equal(
      nextCronTime(`0 12 * * ${weekday}`, 'UTC', '2026-01-29T00:00:00Z'),
      '2026-02-01T12:00:00.000Z',
      weekday,
    );
});

test('6 and 7 fields follow Quartz: seconds first, 1 is Sunday', () => {
  assert.equal(nextCronTime('30 0 12 ? * 1', 'UTC', '2026-01-29T00:00:00Z'), '2026-02-01T12:00:30.000Z');
  assert.equal(nextCronTime('0 30 2 * * ?', 'Asia/Shanghai', '2026-01-29T00:00:00Z'), '2026-01-29T18:30:00.000Z');
  assert.equal(nextCronTime('0 0 12 ? * 6#3 2027', 'UTC', '2026-01-29T00:00:00Z'), '2027-01-15T12:00:00.000Z');
  assert.equal(nextCronTime('0 0/20 14 * * ?', 'UTC', '2026-01-29T14:00:00Z'), '2026-01-29T14:20:00.000Z');
  assert.equal(nextCronTime('0 0 0 1 1 ? 2020', 'UTC', '2026-01-29T14:00:00Z'), undefined);
});

test('good expressions have no problem', () => {
  for (const good of ['*/5 * * * *', '0 0 12 L * ?', '0 0 12 LW * ?', '0 0 12 ? * MON-FRI', '@daily', '0 0 29 2 *']) {
    assert.equal(cronProblem(good), undefined, good);
  }
});

test('bad expressions say why', () => {
  const bad: Record<string, RegExp> = {
    '': /has 5 fields/,
    '* * * *': /this has 4/,
    '* * * * * * * *': /this has 8/,
    '61 * * * *': /minute: 61/,
    'every day': /this has 2/,
    'a b c d e': /illegal/,
    '0 0 30 2 *': /no such day/,
    '0 0 12 ? * 8': /1 \(Sunday\) to 7/,
    '0 0 12 ? * 0': /1 \(Sunday\) to 7/,
    '0 0 12 1 * 2': /must be "\?"/,
    '0 0 ? * * *': /stands alone/,
    '0 0 32 * *': /day of the month: 32 is not from 1 to 31/,
    '0 0 0 * *': /day of the month: 0 is not/,
    '0 0 1 13 *': /month: 13 is not from 1 to 12/,
    '0 0 * * 8': /weekday/,
    '0 24 * * *': /hour: 24/,
    '5-1 * * * *': /runs backwards/,
    '0/5 * * * *': /"0\/5"/,
    'H * * * *': /minute: "H" has illegal/,
    '1,,2 * * * *': /empty place/,
    '0 0 0 ? * 6#6': /1 to 5/,
    '0 0 0 W * ?': /the signs are/,
    '0 0 0 L-31 * ?': /1 to 30/,
    '0 0 70-2 * * ?': /70/,
    '0 0 0 29 2 ? 2027': /no such day/,
    '@reboot': /there is no "@reboot"/,
  };
  for (const [expression, reason] of Object.entries(bad))
    assert.match(cronProblem(expression) ?? '', reason, expression);
});

test('a time that summer time skips still fires on that day', () => {
  assert.equal(nextCronTime('30 2 * * *', 'America/New_York', '2026-03-08T05:00:00Z'), '2026-03-08T07:00:00.000Z');
  assert.throws(() => nextCronTime('* * * * *', 'Mars/Base', '2026-03-08T05:00:00Z'), /no time zone/);
});
