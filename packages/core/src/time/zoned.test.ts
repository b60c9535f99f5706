import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseDate, parseTime, runTimeText, timeZoneName, zonedTimeText } from './zoned.ts';

test('shows a time with the offset that its zone has then', () => {
  assert.equal(runTimeText('2026-01-31T18:30:00Z', 'Asia/Shanghai'), '2026-02-01T02:30:00+08:00');
  assert.equal(runTimeText('2026-07-01T00:00:00Z', 'Europe/Berlin'), '2026-07-01T02:00:00+02:00');
  assert.equal(runTimeText('2026-01-01T00:00:00.250Z', 'Europe/Berlin'), '2026-01-01T01:00:00.25+01:00');
  assert.equal(runTimeText('2026-01-01T00:00:00+00:00', 'UTC'), '2026-01-01T00:00:00Z');
  assert.throws(() => runTimeText('yesterday', 'UTC'), RangeError);
});

test('knows IANA zones only', () => {
  assert.equal(timeZoneName('asia/shanghai'), 'Asia/Shanghai');
  assert.equal(timeZoneName('UTC'), 'UTC');
  for (const zone of ['', 'Asia/Shangai', '+08:00', 'local', '../etc', 'UTC+1', '__proto__'])
    assert.equal(timeZoneName(zone), undefined, zone);
});

test('reads RFC 3339 with an offset and real days only', () => {
  const time = parseTime('2026-01-31t18:30:00z', 'Asia/Shanghai');
  assert.equal(time && zonedTimeText(time), '2026-02-01T02:30:00+08:00');
  for (const text of ['2026-01-31T18:30:00', '2026-01-31', '2026-13-01T00:00:00Z', '2026-01-31T25:00:00Z', 'now'])
    assert.equal(parseTime(text, 'UTC'), undefined, text);
  assert.equal(parseDate('2024-02-29')?.toString(), '2024-02-29');
  for (const text of ['2026-02-29', '2026-2-1', '20260201', '2026-02-01T00:00:00Z', ''])
    assert.equal(parseDate(text), undefined, text);
});
