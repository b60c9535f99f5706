import type { LogName, Logs, Store } from '@keelson/store';
import { pause } from '../http/server-sent-events.ts';
import type { EventSource, ServerSentEvent } from '../http/server-sent-events.ts';
import type { LoggedRun } from './logged-run.ts';

const READ_BYTES = 64 * 1024;
/** How often to ask whether the attempt has ended; new octets are told at once. */
const LOOK_EVERY_MS = 300;

export interface LogPlace {
  readonly attempt: number;
  readonly offset: number;
}

/** Reads a `Last-Event-ID` of this stream; undefined for any other text. */
export function readResumption(text: string | undefined): LogPlace | undefined {
  const match = /^([0-9]{1,9}):([0-9]{1,15})$/.exec(text ?? '');
  return match === null ? undefined : { attempt: Number(match[1]), offset: Number(match[2]) };
}

/** The log from a place on, attempt after attempt, until the task has ended and all is told. */
export async function* followLog(
  { logs }: Pick<Store, 'logs'>,
  logged: LoggedRun,
  instanceId: string,
  from: LogPlace,
  signal: AbortSignal,
): EventSource {
  let { attempt, offset } = from;
  let watch: LogWatch | undefined;
  try {
    while (!signal.aborted) {
      // The state first: octets that are there when the attempt is seen ended are all that will come.
      const task = await logged.look();
      if (attempt === 0) attempt = task.attempt;
      const attemptId = attempt === task.attempt ? task.attemptId : await earlierAttempt(logged, attempt);
      const over = task.ended || attempt < task.attempt;
      let told = false;
      if (attemptId !== null) {
        const name = { instanceId, attemptId };
        // Watched before it is read, so that nothing comes unseen in between.
        if (!over && watch?.attemptId !== attemptId) {
          watch?.end();
          watch = await watchLog(logs, attemptId);
        }
        for await (const { frame, next } of readOn(logs, name, { attempt, offset }, over)) {
          yield frame;
          offset = next;
          told = true;
        }
      }
      if (attempt < task.attempt) {
        [attempt, offset] = [attempt + 1, 0];
      } else if (over) {
        yield { id: `${attempt}:${offset}`, event: 'end', data: { attempt, state: task.state } };
        return;
      } else {
        if (!told) yield undefined;
        await newsOrTime(watch, signal);
      }
    }
  } finally {
    watch?.end();
  }
}

async function earlierAttempt(logged: LoggedRun, number: number): Promise<string | null> {
  return (await logged.attempts()).find(({ attempt }) => attempt === number)?.attemptId ?? null;
}

async function* readOn(
  logs: Logs,
  name: LogName,
  place: LogPlace,
  over: boolean,
): AsyncGenerator<{ frame: ServerSentEvent; next: number }> {
  const { attempt } = place;
  for (let offset = place.offset; ;) {
    const slice = await logs.read(name, { from: offset, limit: READ_BYTES });
    // Half a character waits for its other half, unless none can come.
    const whole = wholeCharacters(slice.data);
    const length = whole === 0 && over ? slice.data.length : whole;
    if (length === 0) return;
    const next = slice.from + length;
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(slice.data.subarray(0, length));
    yield { frame: { id: `${attempt}:${next}`, event: 'log', data: { attempt, from: slice.from, next, text } }, next };
    offset = next;
  }
}

/** Length of the data without a UTF-8 sequence that is cut off at its end. */
export function wholeCharacters(data: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, data.length); back++) {
    const byte = data[data.length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needs > back ? data.length - back : data.length;
  }
  return data.length;
}

interface LogWatch {
  readonly attemptId: string;
  /** Fulfilled by the first news since it was asked for the last time. */
  news(): Promise<void>;
  end(): void;
}

async function watchLog(logs: Logs, attemptId: string): Promise<LogWatch> {
  let heard = Promise.withResolvers<void>();
  const end = await logs.watch(attemptId, () => heard.resolve());
  const news = async (): Promise<void> => {
    await heard.promise;
    heard = Promise.withResolvers<void>();
  };
  return { attemptId, news, end };
}

async function newsOrTime(watch: LogWatch | undefined, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const time = pause(LOOK_EVERY_MS, AbortSignal.any([signal, over.signal]));
  await (watch === undefined ? time : Promise.race([watch.news(), time]));
  over.abort();
}
