import assert from 'node:assert/strict';
import { test } from 'node:test';
import { terminalSvg } from './terminal-svg.ts';

test('text, colours and long lines become text at places', () => {
  const svg = terminalSvg(
    ['a \u001b[32m<b>\u001b[39m\u001b[1;31mc\u001b[0md', '123456789', '12 34\u001b[2m5 6\u001b[22m 78'],
    8,
  );
  const texts = [...svg.matchAll(/<text x="([\d.]+)" y="[\d.]+"([^>]*)>([^<]*)</g)].map(([, x, look, text]) => [
    x,
    look,
    text,
  ]);
  assert.deepEqual(texts, [
    ['18.0', '', 'a '],
    ['33.7', ' fill="#7ee787"', '&lt;b&gt;'],
    ['57.1', ' fill="#ff7b72" font-weight="bold"', 'c'],
    ['65.0', '', 'd'],
    ['18.0', '', '12345678'],
    ['18.0', '', '9'],
    ['18.0', '', '12 34'],
    ['57.1', ' opacity="0.6"', '5 6'],
    ['18.0', '', '78'],
  ]);
});
