import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '@keelson/core/system';
import { createCrowd } from './crowd.ts';

test('commands wait while a crowd grows, not after it, and never long', () => {
  let now = 0;
  const crowd = createCrowd({ ...systemClock, now: () => now });
  assert.equal(crowd.waitMs(), 0);
  crowd.grows();
  now = 400;
  crowd.grows();
  assert.equal(crowd.waitMs(), 600);
  crowd.ends();
  assert.equal(crowd.waitMs(), 0);
  crowd.grows();
  now = 1400;
  assert.equal(crowd.waitMs(), 0);
  crowd.grows();
  assert.equal(crowd.waitMs(), 0, 'the same crowd is not waited for twice');
});
