import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { formatDuration, MAX_DURATION_MS, parseDuration } from './duration.ts';

test('reads the documented forms', () => {
  const forms = {
    '10s': 10_000,
    '15m': 900_000,
    '1h30m': 5_400_000,
    '500ms': 500,
    '2d': 172_800_000,
    '0s': 0,
    '1d1ms': 86_400_001,
  };
  for (const [text, ms] of Object.entries(forms)) assert.equal(parseDuration(text), ms, text);
});

test('refuses everything else', () => {
  for (const text of ['', '10', '1.5h', '-1s', '10 s', '30m1h', '1h1h', 's', '1w', '10S', '99999d', '1e3s', ' 1s'])
    assert.equal(parseDuration(text), undefined, text);
});

test('what is formatted reads back as the same number', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_DURATION_MS }), (ms) => {
      assert.equal(parseDuration(formatDuration(ms)), ms);
    }),
  );
});
