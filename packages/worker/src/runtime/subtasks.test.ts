import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Assignment } from '@keelson/protocol';
import type { BroadcastContext, Processor } from '@keelson/tasks';
import { makeAssignment } from '../testing/test-gateway.ts';
import { waitUntil } from '../testing/wait-until.ts';
import { setupWorker } from '../testing/worker-setup.ts';

const subtask = (index: number, part: Partial<Assignment> = {}): Assignment =>
  makeAssignment({
    uses: 'processor',
    input: { processor: 'slow' },
    broadcast: { phase: 'subtask', index, total: 9, worker: 'w1', before: { day: 'monday' } },
    ...part,
  });

/** A processor that runs until it is released, and what it has seen. */
function slow() {
  const seen: (BroadcastContext | undefined)[] = [];
  const releases: (() => void)[] = [];
  const processors: Record<string, Processor> = {
    async slow({ broadcast, signal }) {
      seen.push(broadcast);
      await new Promise<void>((resolve) => {
        releases.push(resolve);
        signal.addEventListener('abort', () => resolve());
      });
    },
  };
  return { seen, releases, processors };
}

test('subtasks above the slots are held, and start one after the other as slots come free', async (t) => {
  const { seen, releases, processors } = slow();
  const { gateway } = await setupWorker(t, { processors, slots: 1 });
  const all = [subtask(0), subtask(1), subtask(2)];
  gateway.assign(...all);
  await waitUntil('the first runs', () => releases.length === 1);
  await waitUntil('all are held', () => gateway.polls.some(({ held }) => held.length === 3));
  // Whoever renews or polls hears of them: what is held is not handed over again.
  gateway.assign(...all);
  for (const [index, { token }] of all.entries()) {
    releases[index]?.();
    await waitUntil(`the end of ${index}`, () => gateway.endOf(token) !== undefined);
    if (index < 2) await waitUntil('the next runs', () => releases.length === index + 2);
  }
  assert.deepEqual(
    seen.map((part) => (part?.phase === 'subtask' ? part.index : undefined)),
    [0, 1, 2],
  );
  assert.deepEqual(seen[0], { phase: 'subtask', index: 0, total: 9, worker: 'w1', before: { day: 'monday' } });
});

test('a held subtask that is to end is stopped without ever having run', async (t) => {
  const { seen, releases, processors } = slow();
  const { gateway } = await setupWorker(t, { processors, slots: 1 });
  const [first, second] = [subtask(0), subtask(1)];
  gateway.assign(first, second);
  await waitUntil('the first runs', () => releases.length === 1);
  await waitUntil('both are held', () => gateway.polls.some(({ held }) => held.length === 2));
  gateway.kill(second.token, 'stop');
  await waitUntil('it is stopped', () => gateway.endOf(second.token) !== undefined);
  assert.equal(gateway.endOf(second.token)?.end, 'stopped');
  assert.equal(gateway.endOf(second.token)?.reason?.code, 'not-started');
  releases[0]?.();
  await waitUntil('the first ends', () => gateway.endOf(first.token) !== undefined);
  assert.equal(seen.length, 1);
});

test('a worker that shuts down has lost what it held', async (t) => {
  const { seen, releases, processors } = slow();
  const { gateway, worker } = await setupWorker(t, { processors, slots: 1 });
  const [first, second] = [subtask(0), subtask(1)];
  gateway.assign(first, second);
  await waitUntil('the first runs', () => releases.length === 1);
  await waitUntil('both are held', () => gateway.polls.some(({ held }) => held.length === 2));
  await worker.stop();
  assert.deepEqual([gateway.endOf(first.token)?.end, gateway.endOf(second.token)?.end], ['lost', 'lost']);
  assert.equal(seen.length, 1);
});

test('a retry waits out its delay, and a later subtask overtakes it', async (t) => {
  const order: number[] = [];
  const processors: Record<string, Processor> = {
    slow: ({ broadcast }) => void order.push(broadcast?.phase === 'subtask' ? broadcast.index : -1),
  };
  const { gateway, run } = await setupWorker(t, { processors, slots: 1 });
  const delayed = subtask(0, { startAfterMs: 500 });
  gateway.assign(delayed);
  await run(subtask(1));
  await waitUntil('the delayed one ends', () => gateway.endOf(delayed.token) !== undefined);
  assert.deepEqual(order, [1, 0]);
});

test('what processes see of a broadcast: variables, and files for what is large', async (t) => {
  const { gateway, run } = await setupWorker(t);
  const print = { run: 'env | grep ^KEELSON_BROADCAST | grep -v / | sort; cat "$KEELSON_BROADCAST_BEFORE"' };
  const one = makeAssignment({
    input: print,
    broadcast: { phase: 'subtask', index: 3, total: 9, worker: 'w1', before: { day: 'monday' } },
  });
  assert.equal((await run(one)).end, 'succeeded');
  const variables = ['INDEX=3', 'PHASE=subtask', 'TOTAL=9', 'WORKER=w1'].map((text) => `KEELSON_BROADCAST_${text}\n`);
  assert.equal(gateway.logOf(one.token), `${variables.join('')}{"day":"monday"}`);

  const results = [{ worker: 'w1', incarnation: '7', state: 'lost' as const, outputs: {} }];
  const after = makeAssignment({
    input: { run: 'cat "$KEELSON_BROADCAST_RESULTS"' },
    broadcast: { phase: 'after', total: 1, before: {}, results },
  });
  await run(after);
  assert.deepEqual(JSON.parse(gateway.logOf(after.token)), results);

  const script = 'export default ({ broadcast }) => ({ state: broadcast.results[0].state })';
  const node = makeAssignment({
    uses: 'node',
    input: { script },
    broadcast: { phase: 'after', total: 1, before: {}, results },
  });
  assert.deepEqual((await run(node)).outputs, { state: 'lost' });
});
