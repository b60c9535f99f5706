import { setTimeout as pause } from 'node:timers/promises';
import type { LiveEvent, LogEvent } from '@keelson/protocol';
import { KeelsonApiError, KeelsonConnectionError, connectionError } from './client-errors.ts';
import type { ServerSentEvent } from './client-events.ts';
import { readEvents } from './client-events.ts';
import type { Send } from './client-transport.ts';

export interface StreamOptions {
  readonly signal?: AbortSignal;
  /** For how long a broken stream is opened again before its error is thrown. */
  readonly reconnectForMs?: number;
  /** Told each time the stream broke and is about to be opened again. */
  readonly onInterrupted?: (error: KeelsonConnectionError | KeelsonApiError) => void;
}

export interface FollowOptions extends StreamOptions {
  readonly attempt?: number | undefined;
  /** Of a broadcast: the subtask of this worker. */
  readonly worker?: string | undefined;
  /** Begin with the last lines of what there is. */
  readonly tail?: number | undefined;
}

interface StreamRequest extends StreamOptions {
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
}

const RECONNECT_FOR_MS = 60_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 3_000;

/**
 * The life of an instance: a `snapshot`, its changes, and `end`, after which it is over. A broken stream is opened again and
 * begins with a new snapshot.
 */
export async function* watchInstance(
  send: Send,
  id: string,
  options: StreamOptions = {},
): AsyncGenerator<LiveEvent, void, undefined> {
  for await (const { event, data } of stream(send, {
    ...options,
    path: `api/v1/instances/${encodeURIComponent(id)}/events`,
  })) {
    yield { event, data: JSON.parse(data) as unknown } as LiveEvent;
    if (event === 'end') return;
  }
}

/** The log of a task instance from `attempt` on (default: the current one), to its end. A broken stream goes on where it was. */
export async function* followLog(
  send: Send,
  id: string,
  options: FollowOptions = {},
): AsyncGenerator<LogEvent, void, undefined> {
  const path = `api/v1/task-instances/${encodeURIComponent(id)}/log`;
  for await (const { event, data } of stream(send, {
    ...options,
    path,
    query: { follow: true, attempt: options.attempt, tail: options.tail, worker: options.worker },
  })) {
    yield { event, data: JSON.parse(data) as unknown } as LogEvent;
    if (event === 'end') return;
  }
}

async function* stream(send: Send, request: StreamRequest): AsyncGenerator<ServerSentEvent, void, undefined> {
  const { path, query, signal, reconnectForMs = RECONNECT_FOR_MS, onInterrupted } = request;
  let lastId = '';
  let opened = false;
  let giveUpAt = performance.now() + reconnectForMs;
  let wait = FIRST_PAUSE_MS;
  for (;;) {
    try {
      const headers = { accept: 'text/event-stream', ...(lastId !== '' && { 'last-event-id': lastId }) };
      const response = await send('GET', path, {
        headers,
        repeatable: false,
        ...(query && { query }),
        ...(signal && { signal }),
      });
      opened = true;
      for await (const event of eventsOf(response)) {
        giveUpAt = performance.now() + reconnectForMs;
        wait = FIRST_PAUSE_MS;
        lastId = event.id;
        yield event;
      }
      throw new KeelsonConnectionError('interrupted', 'the server closed the stream before its end');
    } catch (error) {
      if (signal?.aborted === true || !opened || !mayReopen(error) || performance.now() + wait > giveUpAt) throw error;
      onInterrupted?.(error);
    }
    await pause(wait, undefined, signal && { signal });
    wait = Math.min(wait * 2, LONGEST_PAUSE_MS);
  }
}

async function* eventsOf(response: Response): AsyncGenerator<ServerSentEvent, void, undefined> {
  if (response.body === null) return;
  const events = readEvents(response.body);
  try {
    for (;;) {
      const next = await events.next().catch((error: unknown) => {
        throw connectionError(new URL(response.url).origin, error);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // The one who reads may have left early, or the connection be broken already.
    await events.return().catch(() => undefined);
  }
}

function mayReopen(error: unknown): error is KeelsonConnectionError | KeelsonApiError {
  if (error instanceof KeelsonConnectionError) return error.kind !== 'not-keelson';
  return error instanceof KeelsonApiError && (error.status >= 500 || error.status === 429);
}
