import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '@keelson/core/system';
import type { WorkerSession } from '../sessions.ts';
import { BOUNDS, createBounds } from './bounds.ts';

const REFUSED = { code: 'too-many-requests' };
const MEBIBYTE = 1024 * 1024;
const sessionWith = (slots: number): WorkerSession => ({ incarnation: { slots } }) as WorkerSession;

function bench() {
  let now = 0;
  const bounds = createBounds({ ...systemClock, now: () => now });
  return { bounds, pass: (ms: number) => void (now += ms) };
}

test('a worker may call in a burst, then at the rate, and for itself alone', () => {
  const { bounds, pass } = bench();
  const [one, other] = [sessionWith(1), sessionWith(1)];
  for (let calls = 0; calls < BOUNDS.burst; calls++) bounds.admit(one, 0);
  assert.throws(() => bounds.admit(one, 0), REFUSED);
  bounds.admit(other, 0);
  pass(1000);
  for (let calls = 0; calls < BOUNDS.callsPerSecond; calls++) bounds.admit(one, 0);
  assert.throws(() => bounds.admit(one, 0), REFUSED);
});

test('bytes under way are bounded for one worker and for all, until they are given back, once', () => {
  const { bounds } = bench();
  const one = sessionWith(1);
  const first = bounds.admit(one, 100 * MEBIBYTE);
  assert.throws(() => bounds.admit(one, 100 * MEBIBYTE), REFUSED);
  first();
  first();
  const again = bounds.admit(one, 100 * MEBIBYTE);
  const others = Array.from({ length: 4 }, () => bounds.admit(sessionWith(1), 100 * MEBIBYTE));
  assert.throws(() => bounds.admit(sessionWith(1), 100 * MEBIBYTE), REFUSED);
  for (const giveBack of [again, ...others]) giveBack();
  bounds.admit(sessionWith(1), 100 * MEBIBYTE);
});

test('ends that are not settled yet: as many as a worker can have, and one report more', () => {
  const { bounds } = bench();
  const worker = sessionWith(10);
  const most = BOUNDS.spareEnds + 20;
  const first = bounds.admitEnds(worker, most);
  assert.throws(() => bounds.admitEnds(worker, 1), REFUSED);
  first();
  bounds.admitEnds(worker, 5000);
  assert.throws(() => bounds.admitEnds(worker, 1), REFUSED);
});
