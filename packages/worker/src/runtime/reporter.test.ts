import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock, systemRandom } from '@keelson/core/system';
import { Reporter } from './reporter.ts';

test('a report says how often in a row it was sent in vain', async () => {
  const tries: number[] = [];
  const settled = Promise.withResolvers<void>();
  const reporter = new Reporter({
    clock: systemClock,
    random: systemRandom,
    log: () => undefined,
    send: async (body, sentInVain) => {
      tries.push(sentInVain);
      if (tries.length < 4) return { kind: 'failed', message: 'the master died' };
      assert.match(body, /"token":"t1"/);
      return { kind: 'ok', value: { acknowledged: ['t1'], assignments: [] } };
    },
    onSettled: () => settled.resolve(),
    onAssignments: () => undefined,
    onTrouble: () => false,
    onAnswer: () => undefined,
  });
  reporter.ended('t1', 0, { end: 'succeeded', endedAt: 1 });
  await settled.promise;
  assert.deepEqual(tries, [0, 1, 2, 3]);
});
