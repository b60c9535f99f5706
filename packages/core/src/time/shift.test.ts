import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { shiftTime } from './shift.ts';
import { parseDate, zonedTime, zonedTimeText } from './zoned.ts';

const shifted = (timeUtc: string, zone: string, amount: string): string =>
  zonedTimeText(shiftTime(zonedTime(timeUtc, zone), amount));

test('days keep the wall clock over a change to summer time, hours do not', () => {
  // Berlin goes from +01:00 to +02:00 on 2026-03-29 at 02:00.
  assert.equal(shifted('2026-03-28T12:00:00Z', 'Europe/Berlin', '1d'), '2026-03-29T13:00:00+02:00');
  assert.equal(shifted('2026-03-28T12:00:00Z', 'Europe/Berlin', '24h'), '2026-03-29T14:00:00+02:00');
  assert.equal(shifted('2026-03-29T11:00:00Z', 'Europe/Berlin', '-1d'), '2026-03-28T13:00:00+01:00');
});

test('a wall clock that is skipped moves forward, one that comes twice is the first', () => {
  assert.equal(shifted('2026-03-28T01:30:00Z', 'Europe/Berlin', '1d'), '2026-03-29T03:30:00+02:00');
  assert.equal(shifted('2026-10-24T00:30:00Z', 'Europe/Berlin', '1d'), '2026-10-25T02:30:00+02:00');
});

test('a day that a month lacks becomes its last', () => {
  assert.equal(shifted('2024-01-31T00:00:00Z', 'UTC', '1M'), '2024-02-29T00:00:00Z');
  assert.equal(shifted('2024-02-29T00:00:00Z', 'UTC', '+1y'), '2025-02-28T00:00:00Z');
  assert.equal(shifted('2026-01-01T00:00:00Z', 'UTC', '-1y6M2w1d12h30m5s'), '2024-06-15T11:29:55Z');
});

test('dates take calendar units only', () => {
  const day = parseDate('2026-03-01');
  assert.ok(day);
  assert.equal(shiftTime(day, '-1d').toString(), '2026-02-28');
  assert.throws(() => shiftTime(day, '-1h'), /a date has no hours/);
});

test('refuses amounts that it cannot read', () => {
  const time = zonedTime('2026-01-01T00:00:00Z', 'UTC');
  for (const amount of ['', '-', '1', 'd', '1x', '1d-1h', '1.5d', '1h1d', ' 1d', '500ms'])
    assert.throws(() => shiftTime(time, amount), /cannot shift by/, amount);
});

test('days shift there and back to the same date, whatever the zone does', () => {
  const zone = fc.constantFrom(
    'Europe/Berlin',
    'America/New_York',
    'Asia/Shanghai',
    'Australia/Lord_Howe',
    'Africa/Casablanca',
    'UTC',
  );
  const moment = fc.integer({ min: Date.UTC(1990, 0), max: Date.UTC(2037, 0) });
  fc.assert(
    fc.property(zone, moment, fc.integer({ min: 1, max: 800 }), (name, ms, days) => {
      const time = zonedTime(new Date(ms).toISOString(), name);
      const there = shiftTime(time, `-${days}d`);
      const back = shiftTime(there, `${days}d`);
      assert.equal(back.toPlainDate().toString(), time.toPlainDate().toString());
      assert.equal(time.toPlainDate().since(there.toPlainDate()).days, days);
      const exact = shiftTime(time, `${days}h`);
      assert.equal(exact.epochMilliseconds - time.epochMilliseconds, days * 3_600_000);
    }),
  );
});
