import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogEvent } from '@keelson/protocol';
import fc from 'fast-check';
import type { LogLine } from './log-follower.ts';
import { lineCutter, logFollower } from './log-follower.ts';

test('the same lines however the text is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z ]{0,6}$/)), fc.array(fc.nat()), (lines, cuts) => {
      const text = lines.map((line) => `${line}\n`).join('');
      const edges = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length];
      const cutter = lineCutter();
      const out = edges.slice(1).flatMap((end, index) => cutter.take(text.slice(edges[index], end)));
      assert.deepEqual([...out, ...cutter.rest()], lines);
    }),
  );
});

test('a line without end is shown in parts', () => {
  const cutter = lineCutter();
  assert.equal(cutter.take('x'.repeat(70_000)).length, 1);
  assert.deepEqual(cutter.rest(), []);
});

test('many logs: each once, a bounded number at a time, all to their end', async () => {
  let open = 0;
  let most = 0;
  const client = {
    async *followLog(id: string): AsyncGenerator<LogEvent, void, undefined> {
      open += 1;
      most = Math.max(most, open);
      await new Promise((resolve) => setImmediate(resolve));
      yield { event: 'log', data: { attempt: 1, from: 0, next: 1, text: `${id} one\nunfinished` } };
      yield { event: 'log', data: { attempt: 2, from: 0, next: 1, text: 'two\n' } };
      open -= 1;
      yield { event: 'end', data: { attempt: 2, state: 'succeeded' } };
    },
  };
  const lines: LogLine[] = [];
  const follower = logFollower(client, (more) => lines.push(...more));
  for (let index = 0; index < 100; index += 1) follower.begin({ id: `id${index}`, task: `t${index}`, attempt: 1 });
  follower.begin({ id: 'id0', task: 't0', attempt: 2 });
  follower.begin({ id: 'waits', task: 'w', attempt: 0 });
  await follower.drained();
  assert.equal(lines.length, 300);
  assert.deepEqual(
    lines.filter(({ task }) => task === 't7'),
    [
      { task: 't7', attempt: 1, text: 'id7 one' },
      { task: 't7', attempt: 1, text: 'unfinished' },
      { task: 't7', attempt: 2, text: 'two' },
    ],
  );
  assert.ok(most <= 40, `${most} at once`);
});

test('a log that cannot be read is said in its place, and fails nothing', async () => {
  const client = {
    // oxlint-disable-next-line require-yield -- it fails before its first event
    async *followLog(): AsyncGenerator<LogEvent, void, undefined> {
      throw new Error('gone');
    },
  };
  const lines: LogLine[] = [];
  const follower = logFollower(client, (more) => lines.push(...more));
  follower.begin({ id: '7.1.a', task: 'a', attempt: 1 });
  await follower.drained();
  assert.deepEqual(lines, [{ task: 'a', attempt: 0, text: '(this log cannot be followed: gone)' }]);
});
