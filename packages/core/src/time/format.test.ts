import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { formatTime } from './format.ts';
import { parseDate, zonedTime } from './zoned.ts';

const time = zonedTime('2026-01-01T14:05:09.040Z', 'Asia/Kolkata');

test('formats each documented field', () => {
  const expected: Record<string, string> = {
    yyyyMMdd: '20260101',
    'yy-M-d': '26-1-1',
    'MMM MMMM MMMMM': 'Jan January J',
    'EEE EEEE e': 'Thu Thursday 4',
    "YYYY-'W'ww-e": '2026-W01-4',
    'w DDD D': '1 001 1',
    'HH:mm:ss.SSS': '19:35:09.040',
    'h a K k': '7 PM 7 19',
    'XXX XX X xxx Z': '+05:30 +0530 +0530 +05:30 +0530',
    VV: 'Asia/Kolkata',
    'Q QQ': '1 01',
    "yyyy-MM-dd'T'HH:mm": '2026-01-01T19:35',
    "'it''s' ''y''": "it's '2026'",
    "d'th'": '1th',
    yyyy年M月: '2026年1月',
    '': '',
  };
  for (const [pattern, text] of Object.entries(expected)) assert.equal(formatTime(time, pattern), text, pattern);
});

test('the week year differs from the year where it should', () => {
  assert.equal(formatTime(zonedTime('2027-01-01T00:00:00Z', 'UTC'), "YYYY-'W'ww"), '2026-W53');
  assert.equal(formatTime(zonedTime('2026-07-01T00:00:00Z', 'UTC'), "XXX 'and' xxx"), 'Z and +00:00');
});

test('midnight and noon', () => {
  assert.equal(formatTime(zonedTime('2026-01-01T00:00:00Z', 'UTC'), 'H h K k a'), '0 12 0 24 AM');
  assert.equal(formatTime(zonedTime('2026-01-01T12:00:00Z', 'UTC'), 'H h K k a'), '12 12 0 12 PM');
});

test('says what is wrong with a pattern', () => {
  assert.throws(() => formatTime(time, 'yyyy-mm-ddTHH'), /a literal T is written 'T'/);
  assert.throws(() => formatTime(time, 'ddd'), /has no meaning/);
  assert.throws(() => formatTime(time, "yyyy 'open"), /is not closed/);
  const day = parseDate('2026-01-31');
  assert.ok(day);
  assert.equal(formatTime(day, 'yyyyMMdd EEE'), '20260131 Sat');
  assert.throws(() => formatTime(day, 'HH'), /needs a time of day/);
});

test('a quoted text stands as it is', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (text) => {
      assert.equal(formatTime(time, `'${text.replaceAll("'", "''")}'`), text);
    }),
  );
});
