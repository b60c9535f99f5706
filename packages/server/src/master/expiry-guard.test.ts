import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createExpiryGuard } from './expiry-guard.ts';

test('certainty begins anew with the process, a jump ahead and another timeline', async () => {
  let mono = 0;
  const guard = createExpiryGuard(() => mono);
  assert.equal(
    (await guard.certainty(async () => ({ nowMs: 0, timeline: 1 }))).forMs,
    0,
    'a new process has seen nothing yet',
  );
  mono = 1000;
  assert.equal(
    (await guard.certainty(async () => ({ nowMs: 1500, timeline: 1 }))).forMs,
    1000,
    'a little drift is no doubt',
  );
  mono = 2000;
  assert.equal(
    (await guard.certainty(async () => ({ nowMs: 302_000, timeline: 1 }))).forMs,
    0,
    'the clock ran 5 minutes ahead',
  );
  mono = 14_000;
  assert.equal(
    (await guard.certainty(async () => ({ nowMs: 314_000, timeline: 1 }))).forMs,
    12_000,
    'enough for a lease of 10 s, not for one of 10 min',
  );
  mono = 15_000;
  assert.equal((await guard.certainty(async () => ({ nowMs: 315_000, timeline: 2 }))).forMs, 0, 'a failover');
  assert.equal((await guard.certainty(async () => ({ nowMs: 315_007, timeline: 2 }))).asOfMs, 315_007);
});

test('what happened before the first reading, or behind a slow one, is in doubt', async () => {
  let mono = 0;
  const guard = createExpiryGuard(() => mono);
  mono = 60_000;
  assert.equal((await guard.certainty(async () => ({ nowMs: 0, timeline: 1 }))).forMs, 0, 'cut off since its start');
  mono = 70_000;
  assert.equal((await guard.certainty(async () => ({ nowMs: 10_000, timeline: 1 }))).forMs, 10_000);
  const slow = async () => {
    mono += 8000;
    return { nowMs: 18_000, timeline: 1 };
  };
  assert.equal((await guard.certainty(slow)).forMs, 0, 'it may have jumped by 8 s, or have been read at the end');
});
