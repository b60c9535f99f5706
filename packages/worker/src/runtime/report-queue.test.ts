import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { reportRequest } from '@keelson/protocol';
import fc from 'fast-check';
import { createReportQueue, type ReportQueue } from './report-queue.ts';

const success = { end: 'succeeded', endedAt: 5 } as const;

function tokensOf(body: string): string[] {
  return reportRequest.parse(JSON.parse(body)).reports.map(({ token }) => token);
}

describe('report queue', () => {
  it('writes what the protocol reads', () => {
    const queue = createReportQueue();
    queue.ended('a"b', 1, {
      end: 'failed',
      reason: { code: 'exit-code', message: 'x', exitCode: 1 },
      outputsJson: '{"k":[1]}',
      artifacts: [{ path: 'p', sha256: '0'.repeat(64), size: 0, mode: 0o644 }],
      endedAt: 5,
      log: { offset: 3, data: 'YQ==' },
    });
    const [first] = reportRequest.parse(JSON.parse(queue.takeBatch(9)?.body ?? '')).reports;
    assert.equal(first?.token, 'a"b');
    assert.equal(first?.startedAgoMs, 8);
    assert.equal(first.kind === 'ended' && first.endedAgoMs, 4);
    assert.deepEqual(first.kind === 'ended' && first.outputs, { k: [1] });
  });

  it('keeps a start back for some milliseconds, and drops it when the end has come', () => {
    const queue = createReportQueue();
    queue.started('short', 0);
    queue.started('long', 0);
    assert.equal(queue.takeBatch(2), undefined);
    queue.ended('short', 0, success);
    assert.deepEqual(tokensOf(queue.takeBatch(2)?.body ?? ''), ['short']);
    assert.deepEqual(tokensOf(queue.takeBatch(10)?.body ?? ''), ['long']);
    assert.equal(queue.hasYoungStarts, false);
  });

  it('bounds a batch by number and by size', () => {
    const queue = createReportQueue();
    for (let n = 0; n < 1500; n += 1) queue.ended(`t${n}`, 0, success);
    assert.equal(queue.takeBatch(0)?.reports.length, 1000);
    assert.equal(queue.takeBatch(0)?.reports.length, 500);
    for (let n = 0; n < 6; n += 1)
      queue.ended(`big${n}`, 0, { ...success, outputsJson: JSON.stringify({ a: 'x'.repeat(1_500_000) }) });
    assert.equal(queue.takeBatch(0)?.reports.length, 2);
  });

  it('settles every end exactly once, whatever fails, and only the poisoned ones as refused', () => {
    const step = fc.constantFrom('ok', 'partly', 'failed');
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }),
        fc.array(step, { maxLength: 20 }),
        (poisoned, script) => {
          const queue = createReportQueue();
          for (const [n] of poisoned.entries()) queue.ended(`t${n}`, 0, success);
          const ends = drive(queue, poisoned, script);
          assert.equal(queue.pendingCount, 0);
          for (const [n, bad] of poisoned.entries())
            assert.deepEqual(ends.get(`t${n}`), [bad ? 'failed' : 'succeeded']);
        },
      ),
    );
  });
});

/** A server that refuses each batch with a poisoned success in it, and otherwise does as the script says. */
function drive(queue: ReportQueue, poisoned: readonly boolean[], script: string[]): Map<string, string[]> {
  const ends = new Map<string, string[]>();
  for (let rounds = 0; rounds < 2000; rounds += 1) {
    const batch = queue.takeBatch(0);
    if (batch === undefined) return ends;
    const { reports } = reportRequest.parse(JSON.parse(batch.body));
    const isBad = reports.some(
      ({ token, ...rest }) => poisoned[Number(token.slice(1))] === true && 'end' in rest && rest.end === 'succeeded',
    );
    const step = script.shift() ?? 'ok';
    if (step === 'failed') queue.putBack(batch);
    else if (isBad) queue.isolate(batch, 'bad');
    else {
      const some = step === 'partly' ? reports.slice(0, Math.ceil(reports.length / 2)) : reports;
      const settled = queue.settle(batch, new Set(some.map(({ token }) => token)));
      for (const item of some)
        if (item.kind === 'ended') ends.set(item.token, [...(ends.get(item.token) ?? []), item.end]);
      assert.equal(settled.length, some.length);
    }
  }
  throw new Error('the queue does not come to its end');
}
