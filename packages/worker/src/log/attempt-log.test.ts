import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { manualClock } from '../testing/manual-clock.ts';
import type { LogTail, SendOutcome } from './attempt-log.ts';
import { createByteQueue } from './byte-queue.ts';
import { DEFAULT_OUTPUT_LIMITS, createOutputLimit, leftOutMark, type OutputLimits } from './output-limit.ts';
import { createLogShipper } from './shipper.ts';

/** A server that keeps chunks by offset and ignores a repeated one, as the protocol says. */
function setup(limits: OutputLimits = DEFAULT_OUTPUT_LIMITS, bufferBytes = 1 << 26) {
  const clock = manualClock();
  const chunks = new Map<number, Buffer>();
  const answers: (SendOutcome | 'lost-reply')[] = [];
  const sentAt: number[] = [];
  const shipper = createLogShipper({
    clock,
    limits,
    bufferBytes,
    send: async (_token, offset, data) => {
      sentAt.push(clock.now());
      const answer = answers.shift() ?? 'stored';
      if ((answer === 'stored' || answer === 'lost-reply') && !chunks.has(offset))
        chunks.set(offset, Buffer.from(data));
      return answer === 'lost-reply' ? 'try-again' : answer;
    },
  });
  function whole(tail: LogTail | undefined): string {
    const all = new Map(chunks);
    if (tail !== undefined) all.set(tail.offset, Buffer.from(tail.data, 'base64'));
    let text = '';
    for (const [offset, data] of [...all].toSorted(([a], [b]) => a - b)) {
      assert.equal(offset, text.length, 'chunks follow each other without a gap');
      text += data.toString('latin1');
    }
    return text;
  }
  return { clock, chunks, answers, sentAt, whole, open: (...secrets: string[]) => shipper.open('token', secrets) };
}

describe('attempt log', () => {
  it('rides on the end report when it is short, without a call of its own', async () => {
    const { open, chunks, whole } = setup();
    const log = open();
    log.write('hello ');
    log.write(Buffer.from('\u001b[31mred'));
    const tail = log.finish();
    assert.ok(!(tail instanceof Promise));
    assert.equal(whole(tail), 'hello \u001b[31mred');
    assert.equal(chunks.size, 0);
    assert.equal(open().finish(), undefined);
  });

  it('shows the first chunk within 300 ms and the next within 500', async () => {
    const { open, clock, sentAt, whole } = setup();
    const log = open();
    log.write('first');
    await clock.advance(300);
    assert.equal(sentAt.length, 1);
    log.write(' second');
    await clock.advance(500);
    assert.equal(sentAt.length, 2);
    assert.equal(whole(await log.finish()), 'first second');
  });

  it('masks before anything leaves, over chunk borders too', async () => {
    const { open, clock, whole } = setup();
    const log = open('hunter2');
    log.write('pw=hun');
    await clock.advance(400);
    log.write('ter2\n');
    assert.equal(whole(await log.finish()), 'pw=***\n');
  });

  it('sends a chunk again under the same offset until it is known to be stored', async () => {
    const { open, clock, answers, sentAt, whole } = setup();
    answers.push('try-again', 'lost-reply', 'try-again');
    const log = open();
    log.write('abc');
    await clock.advance(200);
    log.write('def');
    await clock.advance(5000);
    assert.equal(sentAt.length, 5);
    assert.equal(whole(await log.finish()), 'abcdef');
  });

  it('ships what is too long for the end report first', async () => {
    const { open, clock, whole } = setup();
    const log = open();
    log.write(Buffer.alloc(300_000, 'x'));
    const finished = log.finish();
    assert.ok(finished instanceof Promise);
    await clock.advance(1000);
    const tail = await finished;
    assert.equal(whole(tail), 'x'.repeat(300_000));
  });

  it('keeps head and tail with a mark between them, for a task in this process too', async () => {
    const { open, whole } = setup({ limitBytes: 100, tailBytes: 20 });
    const log = open('secret');
    log.write('h'.repeat(78) + 'secret' + '.'.repeat(1000));
    log.write(`${'.'.repeat(10)}et${'t'.repeat(18)}`);
    assert.equal(whole(await log.finish()), `${'h'.repeat(78)}***${leftOutMark(1014)}***${'t'.repeat(18)}`);
  });

  it('takes over the gap that the launcher left', async () => {
    const { open, whole } = setup({ limitBytes: 100, tailBytes: 20 });
    const log = open();
    log.write('head');
    log.gap(1_073_000_000);
    log.write('tail');
    assert.equal(whole(await log.finish()), 'head\n[keelson: 1,073,000,000 bytes left out]\ntail');
  });

  it('does not grow while the server is away, and says what was lost', async () => {
    const { open, clock, answers, whole } = setup(DEFAULT_OUTPUT_LIMITS, 10_000);
    answers.push(...Array.from({ length: 10 }, () => 'try-again' as const));
    const log = open();
    for (let index = 0; index < 100; index += 1) log.write('x'.repeat(1000));
    await clock.advance(60_000);
    log.write('back');
    const finished = log.finish();
    await clock.advance(1000);
    assert.equal(
      whole(await finished),
      `${'x'.repeat(10_000)}${leftOutMark(90_000, 'lost: the server did not take the log fast enough')}back`,
    );
  });

  it('gives up after five seconds rather than hold the end back, keeping the last bytes', async () => {
    const { open, clock, answers } = setup();
    answers.push(...Array.from({ length: 1000 }, () => 'try-again' as const));
    const log = open();
    log.write(`${'x'.repeat(200_000)}the end`);
    const finished = log.finish();
    await clock.advance(6000);
    const text = Buffer.from((await finished)?.data ?? '', 'base64').toString();
    assert.match(text, /bytes lost: the server did not take the log in time/);
    assert.ok(text.endsWith('xthe end') && text.length <= 8192);
  });

  it('drops a chunk that the server refuses, and goes on', async () => {
    const { open, clock, answers, chunks } = setup();
    answers.push('refused');
    const log = open();
    log.write('abc');
    await clock.advance(400);
    log.write('def');
    const tail = await log.finish();
    assert.equal(chunks.size, 0);
    assert.match(Buffer.from(tail?.data ?? '', 'base64').toString(), /3 bytes lost.*\ndef/s);
  });
});

describe('output limit', () => {
  it('keeps exactly the head and the tail of any stream', () => {
    const pieces = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 12 });
    fc.assert(
      fc.property(pieces, fc.nat(50), fc.nat(20), (sizes, limitBytes, tailBytes) => {
        const limit = createOutputLimit({ limitBytes: Math.max(limitBytes, tailBytes), tailBytes });
        const all = Buffer.from(Array.from({ length: sizes.reduce((a, b) => a + b, 0) }, (_, index) => index % 256));
        let at = 0;
        const head = Buffer.concat(sizes.map((size) => Buffer.from(limit.write(all.subarray(at, (at += size))))));
        const { leftOut, tail } = limit.end();
        assert.equal(head.length + leftOut + tail.length, all.length);
        assert.deepEqual(head, all.subarray(0, head.length));
        assert.deepEqual(Buffer.from(tail), all.subarray(all.length - tail.length));
        assert.ok(leftOut === 0 || tail.length === Math.max(1, tailBytes));
      }),
    );
  });
});

describe('byte queue', () => {
  it('gives back what it got, in order', () => {
    const operation = fc.oneof(fc.uint8Array({ maxLength: 3000 }), fc.nat(5000));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
        const queue = createByteQueue();
        let model = Buffer.alloc(0);
        for (const step of operations) {
          if (typeof step === 'number') {
            assert.deepEqual(queue.take(step), model.subarray(0, step));
            model = model.subarray(step);
          } else {
            queue.push(step);
            model = Buffer.concat([model, step]);
          }
          assert.equal(queue.size, model.length);
        }
      }),
    );
  });
});
