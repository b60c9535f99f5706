import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { TriggerDefinition } from '../definition/model.ts';
import { describeTrigger } from './describe.ts';

test('each kind has its words', () => {
  const say = (given: Record<string, unknown>): string =>
    describeTrigger({ id: 't', timezone: 'Asia/Shanghai', misfire: 'skip', params: {}, ...given } as TriggerDefinition);
  assert.equal(say({ cron: '30 2 * * *' }), '30 2 * * * Asia/Shanghai');
  assert.equal(say({ cron: '@daily', timezone: 'UTC' }), '@daily');
  assert.equal(say({ fixedRateMs: 90_000 }), 'every 1m30s');
  assert.equal(say({ fixedDelayMs: 100 }), '100ms after each end');
  assert.equal(say({ at: '2026-12-01T08:00' }), 'at 2026-12-01T08:00 Asia/Shanghai');
  assert.equal(
    say({ dailyInterval: { from: '09:00', to: '18:00', everyMs: 1_800_000 } }),
    '09:00–18:00 every 30m Asia/Shanghai',
  );
});
