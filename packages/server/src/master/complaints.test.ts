import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { systemClock } from '@keelson/core/system';
import pino from 'pino';
import { createComplaints } from './complaints.ts';

test('a complaint is said once, then once a minute with how often it was so; each caller for itself', () => {
  const lines: { who: string; times?: number }[] = [];
  const sink = new Writable({ write: (chunk, _encoding, done) => (lines.push(JSON.parse(String(chunk))), done()) });
  let now = 0;
  const { complain } = createComplaints(pino(sink), { ...systemClock, now: () => now });
  for (let times = 0; times < 1000; times++) complain('w1', 'foreign-token', 'a wrong token');
  complain('w2', 'foreign-token', 'a wrong token');
  complain('w1', 'malformed-body', 'no JSON');
  assert.deepEqual(
    lines.map(({ who, times }) => [who, times]),
    [
      ['w1', undefined],
      ['w2', undefined],
      ['w1', undefined],
    ],
  );
  now = 60_001;
  complain('w1', 'foreign-token', 'a wrong token');
  assert.deepEqual([lines.length, lines.at(-1)?.times], [4, 1000]);
});

test('callers with ever new names take no memory', () => {
  const { complain } = createComplaints(pino({ level: 'silent' }), systemClock);
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 200_000; index++) complain(`host-${index}`, 'unauthenticated', 'no token');
  assert.ok(process.memoryUsage().heapUsed - before < 50_000_000);
});
