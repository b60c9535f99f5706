import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { freshReads } from './fresh-read.ts';

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await turn();
}

test('a call never sees what was true only before it, and reads of a key never overlap', async () => {
  const step = fc.record({ write: fc.boolean(), idle: fc.nat(3), takes: fc.nat(4), fails: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      let value = 0;
      let running = 0;
      let loads = 0;
      const read = freshReads(async () => {
        assert.equal(++running, 1);
        const seen = value;
        const { takes = 0, fails = false } = steps[loads++] ?? {};
        await turns(takes);
        running--;
        if (fails) throw new Error('down');
        return seen;
      });
      const checks: Promise<void>[] = [];
      for (const { write, idle } of steps) {
        await turns(idle);
        if (write) value++;
        const least = value;
        const check = (seen: number): void => assert.ok(seen >= least, `${seen} is older than ${least}`);
        checks.push(read('key').then(check, (error: Error) => assert.equal(error.message, 'down')));
      }
      await Promise.all(checks);
    }),
  );
});

test('callers that wait share a read', async () => {
  let loads = 0;
  const read = freshReads(async () => {
    loads++;
    await turn();
    return loads;
  });
  assert.deepEqual(await Promise.all([read('a'), read('a'), read('a'), read('a')]), [1, 2, 2, 2]);
});
