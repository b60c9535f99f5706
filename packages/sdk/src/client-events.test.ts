import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ServerSentEvent } from './client-events.ts';
import { readEvents } from './client-events.ts';

function body(text: string, cuts: readonly number[] = []): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  const parts = edges.slice(1).map((end, index) => bytes.subarray(edges[index], end));
  return new ReadableStream<Uint8Array>({
    start(controller) {
      for (const part of parts) if (part.length > 0) controller.enqueue(part);
      controller.close();
    },
  });
}

async function all(stream: ReadableStream<Uint8Array>): Promise<ServerSentEvent[]> {
  const events: ServerSentEvent[] = [];
  for await (const event of readEvents(stream)) events.push(event);
  return events;
}

test('reads names, ids and data of several lines; skips comments and events without data', async () => {
  const text = ': hello\n\nevent: log\nid: 1:5\ndata: a\ndata:b\n\nevent: empty\n\nid: 2\ndata\n\ndata: never finished';
  assert.deepEqual(await all(body(text)), [
    { event: 'log', data: 'a\nb', id: '1:5' },
    { event: 'message', data: '', id: '2' },
  ]);
});

test('reads the same events however the octets are cut and the lines are ended', async () => {
  const events = fc.array(
    fc.record(
      { event: fc.constantFrom('log', 'end'), data: fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)) },
      { noNullPrototype: true },
    ),
  );
  await fc.assert(
    fc.asyncProperty(
      events,
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.array(fc.nat(), { maxLength: 8 }),
      async (sent, end, cuts) => {
        const text = sent.map(({ event, data }) => `event: ${event}${end}data: ${data}${end}${end}`).join('');
        // A lone \r at the very end could still become \r\n, so that one event only ends with the next octet.
        const read = await all(body(`${text}:${end}`, cuts));
        assert.deepEqual(
          read.map(({ event, data }) => ({ event, data })),
          sent,
        );
      },
    ),
    { numRuns: 200 },
  );
});

test('leaving the loop cancels the body', async () => {
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new TextEncoder().encode('data: x\n\n'));
    },
    cancel() {
      cancelled = true;
    },
  });
  for await (const event of readEvents(stream)) {
    assert.equal(event.data, 'x');
    break;
  }
  assert.equal(cancelled, true);
});
