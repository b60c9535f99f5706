import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { testTerminal } from '../testing/test-terminal.ts';
import { countsText } from './states.ts';
import { tableLines } from './table.ts';
import { hasColors, painter } from './terminal.ts';
import { elapsedText, plain, sizeText } from './text.ts';

test('colours: on a terminal, unless NO_COLOR; elsewhere only if FORCE_COLOR', () => {
  const tty = Object.assign(new PassThrough(), { isTTY: true });
  const pipe = new PassThrough();
  assert.equal(hasColors(tty, {}), true);
  assert.equal(hasColors(tty, { NO_COLOR: '1' }), false);
  assert.equal(hasColors(tty, { NO_COLOR: '1', FORCE_COLOR: '1' }), false);
  assert.equal(hasColors(tty, { TERM: 'dumb' }), false);
  assert.equal(hasColors(pipe, {}), false);
  assert.equal(hasColors(pipe, { FORCE_COLOR: '1' }), true);
  assert.equal(hasColors(tty, { FORCE_COLOR: '0' }), false);
  assert.equal(painter(pipe, {})('red', 'x'), 'x');
  assert.equal(painter(tty, {})('red', 'x'), '\u001b[31mx\u001b[39m');
});

test('durations and sizes', () => {
  const texts = [0, 999, 1000, 59_999, 60_000, 3_599_999, 3_600_000, 7_500_000, 172_800_000, -5].map(elapsedText);
  assert.deepEqual(texts, ['0ms', '999ms', '1.0s', '59.9s', '1m 00s', '59m 59s', '1h 00m', '2h 05m', '2d 0h', '0ms']);
  assert.deepEqual([0, 1023, 1024, 5 * 1024 * 1024].map(sizeText), ['0 B', '1023 B', '1.0 KiB', '5.0 MiB']);
});

test('text of others loses its control characters', () => {
  assert.equal(plain('\u001b[31mred\u001b[0m\n\tnext\u0000\u009b1m'), 'red next�');
});

test('a table is aligned, and on a terminal as wide as that', () => {
  const rows = [
    ['1', 'short'],
    ['200', '日本'],
  ];
  assert.deepEqual(tableLines(testTerminal(), ['ID', 'NAME'], rows), ['ID   NAME', '1    short', '200  日本']);
  const narrow = testTerminal({ tty: { columns: 8, rows: 5 } });
  assert.deepEqual(tableLines(narrow, ['ID', 'NAME'], rows), ['ID   NA…', '1    sh…', '200  日…']);
});

test('counts name what needs attention first', () => {
  assert.equal(
    countsText({ waiting: 3, succeeded: 2, failed: 1, ready: 0 }, (_style, text) => text),
    '1 failed, 2 succeeded, 3 waiting',
  );
});
