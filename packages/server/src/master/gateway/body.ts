import { Readable } from 'node:stream';
import { ApiError } from '@keelson/protocol';

/** An upload that sends nothing for so long is given up. */
const STALLED_MS = 60_000;
const LOOK_MS = 5000;

/** Whoever stops reading leaves the connection open: it carries the answer that says why. */
export function bytesOf(body: unknown): AsyncIterable<Uint8Array> {
  if (body instanceof Readable) return body.iterator({ destroyOnReturn: false });
  throw new ApiError('unsupported-media-type', 'send application/octet-stream');
}

/** @throws {ApiError} `body-too-large` */
export async function collect(body: unknown, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of upTo(bytesOf(body), limit)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * Passes the bytes on.
 *
 * @throws {ApiError} `body-too-large` as soon as there are more than `limit`
 */
export async function* upTo(body: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limit) throw new ApiError('body-too-large', `at most ${limit} bytes`);
    yield chunk;
  }
}

/** Ends a stream that brings nothing any more, however long the whole of it takes. */
export async function* unlessStalled(
  body: AsyncIterable<Uint8Array>,
  destroy: (error: Error) => void,
  stalledMs = STALLED_MS,
): AsyncGenerator<Uint8Array> {
  let heardAt = performance.now();
  let waiting = true;
  const timer = setInterval(
    () => {
      if (waiting && performance.now() - heardAt > stalledMs) destroy(new Error(`nothing came for ${stalledMs} ms`));
    },
    Math.min(LOOK_MS, stalledMs),
  );
  try {
    for await (const chunk of body) {
      waiting = false;
      yield chunk;
      waiting = true;
      heardAt = performance.now();
    }
  } finally {
    clearInterval(timer);
  }
}
