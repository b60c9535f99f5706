import { z } from 'zod';
import { taskState } from './task-instance.ts';

export const DEFAULT_LOG_BYTES = 1024 * 1024;
export const MAX_LOG_BYTES = 16 * 1024 * 1024;
export const MAX_LOG_LINES = 10_000;

/**
 * `GET task-instances/{id}/log`. Without `follow` the answer is the octets as the task wrote them (secrets masked),
 * with the headers below. With `follow=true` it is a stream of server-sent events (`logEvent`).
 */
export const logQuery = z.strictObject({
  /** First octet. */
  from: z.coerce.number().int().min(0).optional(),
  /** Octets at most. */
  limit: z.coerce.number().int().min(1).max(MAX_LOG_BYTES).optional(),
  /** The last lines instead of `from`. */
  tail: z.coerce.number().int().min(0).max(MAX_LOG_LINES).optional(),
  /** Default: the current or last one; with `follow`: every attempt from that one on. */
  attempt: z.coerce.number().int().min(1).optional(),
  /** Of a broadcast: the subtask of this worker, instead of the steps around the subtasks. */
  worker: z.string().min(1).max(128).optional(),
  follow: z.stringbool().optional(),
});
export type LogQuery = z.infer<typeof logQuery>;

export const LOG_HEADERS = {
  attempt: 'keelson-log-attempt',
  /** Offset of the first octet of the answer; above what was asked for when octets were lost. */
  from: 'keelson-log-from',
  /** Offset to go on from. */
  next: 'keelson-log-next',
  /** `true`: the attempt has ended and this answer reaches its last octet. */
  complete: 'keelson-log-complete',
} as const;

/**
 * The event's `id` is `<attempt>:<next>`; sent back as `Last-Event-ID`, the stream goes on there. `text` is decoded as
 * UTF-8, invalid octets replaced; a character is never cut in two.
 */
export const logEvent = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('log'),
    data: z.object({ attempt: z.int(), from: z.int(), next: z.int(), text: z.string() }),
  }),
  z.object({ event: z.literal('end'), data: z.object({ attempt: z.int(), state: taskState }) }),
]);
export type LogEvent = z.infer<typeof logEvent>;
