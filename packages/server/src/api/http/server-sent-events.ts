import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '@keelson/protocol';

export interface ServerSentEvent {
  readonly id?: string;
  readonly event: string;
  readonly data: unknown;
}

/** Events as they come; undefined says that the source has looked and found nothing new. */
export type EventSource = AsyncGenerator<ServerSentEvent | undefined, void, undefined>;

/** Open at once in one process: each looks into the database a few times a second. */
const MAX_STREAMS = 200;
const PING_AFTER_MS = 10_000;
const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
  // A connection that is kept after its stream would hold up the server's close.
  connection: 'close',
};

export interface EventStreams {
  /** Answers with a stream that ends with its source, with the client, or with the server. */
  send(request: FastifyRequest, reply: FastifyReply, source: (signal: AbortSignal) => EventSource): FastifyReply;
  /** Ends all streams, so that the server can close. */
  close(): void;
}

export function createEventStreams(): EventStreams {
  const closing = new AbortController();
  let open = 0;
  return {
    send(request, reply, source) {
      if (open >= MAX_STREAMS)
        throw new ApiError('too-many-requests', `${MAX_STREAMS} event streams are open on this server`);
      open++;
      const gone = new AbortController();
      request.raw.socket.once('close', () => gone.abort());
      const stream = Readable.from(encode(source(AbortSignal.any([gone.signal, closing.signal]))));
      stream.once('close', () => {
        open--;
        gone.abort();
      });
      return reply.headers(HEADERS).send(stream);
    },
    close: () => closing.abort(),
  };
}

async function* encode(source: EventSource): AsyncGenerator<string, void, undefined> {
  let lastWrite = performance.now();
  yield ': open\n\n';
  for await (const event of source) {
    if (event === undefined && performance.now() - lastWrite < PING_AFTER_MS) continue;
    yield event === undefined ? ': ping\n\n' : frame(event);
    lastWrite = performance.now();
  }
}

function frame({ id, event, data }: ServerSentEvent): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Waits; false when the stream is over. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false);
}
