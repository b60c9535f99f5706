import { z } from 'zod';
import { ApiError, DEFAULT_LOG_BYTES, LOG_HEADERS, logQuery, MAX_LOG_BYTES, scalar } from '@keelson/protocol';
import type { LogName, LogSlice, Logs } from '@keelson/store';
import type { Api, ApiDeps } from '../deps.ts';
import { followLog, readResumption } from './log-follow.ts';
import { loggedRun } from './logged-run.ts';
import type { LoggedRun, RunState } from './logged-run.ts';
import type { EventStreams } from '../http/server-sent-events.ts';
import { keyOf } from './task-instances.ts';

const byId = z.object({ id: scalar.id });
const resumed = z.looseObject({ 'last-event-id': z.string().max(64).optional() });
const READ_BYTES = 256 * 1024;
const FIRST_TAIL_BYTES = 64 * 1024;

export function taskLogRoutes(api: Api, { store }: ApiDeps, streams: EventStreams): void {
  api.get(
    '/api/v1/task-instances/:id/log',
    {
      exposeHeadRoute: false,
      config: { permission: 'logs:read' },
      schema: {
        summary: 'Read the log of a task instance: octets, or with follow=true server-sent events log and end',
        produces: ['text/plain', 'text/event-stream'],
        params: byId,
        querystring: logQuery,
        headers: resumed,
      },
    },
    async (request, reply) => {
      const { query, headers } = request;
      const key = keyOf(request.params.id);
      const logged = await loggedRun(store, key, query.worker);
      const attempt = await chosenAttempt(logged, await logged.look(), query.attempt);
      if (query.follow === true) {
        const from = readResumption(headers['last-event-id']) ?? { attempt: attempt.number, offset: query.from ?? 0 };
        return streams.send(request, reply, (signal) => followLog(store, logged, key.instanceId, from, signal));
      }
      const name = attempt.id === null ? undefined : { instanceId: key.instanceId, attemptId: attempt.id };
      const slice = name === undefined ? EMPTY : await readSlice(store.logs, name, query);
      const complete = attempt.ended && (name === undefined || slice.next >= (await store.logs.size(name)));
      return reply
        .headers({
          [LOG_HEADERS.attempt]: attempt.number,
          [LOG_HEADERS.from]: slice.from,
          [LOG_HEADERS.next]: slice.next,
          [LOG_HEADERS.complete]: String(complete),
        })
        .type('text/plain; charset=utf-8')
        .send(Buffer.from(slice.data.buffer, slice.data.byteOffset, slice.data.byteLength));
    },
  );
}

const EMPTY: LogSlice = { from: 0, data: new Uint8Array(), next: 0 };

interface ChosenAttempt {
  readonly number: number;
  /** Null: the task has not run. */
  readonly id: string | null;
  readonly ended: boolean;
}

/** Read before the log is: what has ended writes no more. */
async function chosenAttempt(logged: LoggedRun, now: RunState, wanted: number | undefined): Promise<ChosenAttempt> {
  if (wanted === undefined || wanted === now.attempt)
    return { number: now.attempt, id: now.attemptId, ended: now.ended };
  const found = (await logged.attempts()).find(({ attempt }) => attempt === wanted);
  if (found === undefined)
    throw new ApiError('unknown-attempt', `${logged.name} has no attempt ${wanted}; it is at attempt ${now.attempt}`);
  return { number: wanted, id: found.attemptId, ended: true };
}

async function readSlice(logs: Logs, name: LogName, query: z.output<typeof logQuery>): Promise<LogSlice> {
  const limit = query.limit ?? DEFAULT_LOG_BYTES;
  return query.tail === undefined
    ? readForward(logs, name, query.from ?? 0, limit)
    : readTail(logs, name, query.tail, query.limit ?? MAX_LOG_BYTES);
}

async function readForward(logs: Logs, name: LogName, from: number, limit: number): Promise<LogSlice> {
  const parts: Uint8Array[] = [];
  let start: number | undefined;
  let next = from;
  for (let left = limit; left > 0;) {
    const slice = await logs.read(name, { from: next, limit: Math.min(left, READ_BYTES) });
    // Behind a gap the next answer begins: its offset would not be true of these octets.
    if (slice.data.length === 0 || (start !== undefined && slice.from !== next)) break;
    start ??= slice.from;
    parts.push(slice.data);
    next = slice.next;
    left -= slice.data.length;
  }
  return { from: start ?? from, data: Buffer.concat(parts), next };
}

/** The last lines, found by reading ever more from the end; a last line without its end counts as one. */
async function readTail(logs: Logs, name: LogName, lines: number, limit: number): Promise<LogSlice> {
  for (let bytes = Math.min(FIRST_TAIL_BYTES, limit); ; bytes = Math.min(bytes * 4, limit)) {
    const slice = await logs.tail(name, bytes);
    const start = startOfLastLines(slice.data, lines);
    if (start === undefined && slice.data.length === bytes && bytes < limit) continue;
    const cut = start ?? 0;
    return { from: slice.from + cut, data: slice.data.subarray(cut), next: slice.next };
  }
}

/** Undefined when there are not that many lines in the data. */
export function startOfLastLines(data: Uint8Array, lines: number): number | undefined {
  let end = data.length;
  if (lines === 0) return end;
  if (data[end - 1] === NEWLINE) end--;
  for (let count = 0; count < lines; count++) {
    const newline = end === 0 ? -1 : data.lastIndexOf(NEWLINE, end - 1);
    if (newline === -1) return undefined;
    if (count === lines - 1) return newline + 1;
    end = newline;
  }
  return end;
}

const NEWLINE = 0x0a;
