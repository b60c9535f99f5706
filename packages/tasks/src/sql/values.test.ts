import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { textTable } from './table.ts';
import { exactNumber, isoTime, jsonSafe } from './values.ts';

it('makes numbers only of what a double holds exactly', () => {
  assert.equal(exactNumber('9007199254740991'), 9007199254740991);
  assert.equal(exactNumber('9007199254740993'), '9007199254740993');
  assert.equal(exactNumber('-12.50'), -12.5);
  assert.equal(exactNumber('0.1234567890123456789'), '0.1234567890123456789');
  assert.equal(exactNumber('NaN'), 'NaN');
  fc.assert(fc.property(fc.bigInt(), (n) => assert.equal(BigInt(exactNumber(String(n))), n)));
});

it('writes times as ISO 8601 and keeps microseconds', () => {
  assert.equal(isoTime('2026-01-31 10:00:00.123456+05:30'), '2026-01-31T10:00:00.123456+05:30');
  assert.equal(isoTime('2026-01-31 10:00:00-03'), '2026-01-31T10:00:00-03:00');
  assert.equal(isoTime('2026-01-31 10:00:00'), '2026-01-31T10:00:00');
  assert.equal(isoTime('infinity'), 'infinity');
  assert.equal(isoTime('2026-01-31'), '2026-01-31');
});

it('makes JSON of anything', () => {
  const value = { a: 1n, b: 2n ** 70n, c: [Number.NaN, undefined], d: Buffer.from('hi'), e: new Date(0) };
  assert.deepEqual(jsonSafe(value), {
    a: 1,
    b: String(2n ** 70n),
    c: ['NaN', null],
    d: 'aGk=',
    e: '1970-01-01T00:00:00.000Z',
  });
});

it('draws a compact table', () => {
  const table = textTable(
    ['id', 'name'],
    [
      [1, 'a\nb'],
      [12, null],
      [3, 'x'.repeat(100)],
    ],
  );
  assert.equal(
    table,
    [
      ' id │ name',
      '────┼──────────────────────────────────────────',
      '  1 │ a b',
      ' 12 │ null',
      `  3 │ ${'x'.repeat(39)}…`,
      '',
    ].join('\n'),
  );
});
