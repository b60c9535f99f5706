import type { OutputSink } from '../launcher/client.ts';
import type { Clock } from '../runtime/clock.ts';
import { backoffMs } from '../runtime/clock.ts';
import { createByteQueue } from './byte-queue.ts';
import { createMasker, type Masker } from './masker.ts';
import { createOutputLimit, leftOutMark, type OutputLimit, type OutputLimits } from './output-limit.ts';

/** The last bytes of a log, to ride on the end report: base64 at an offset. */
export interface LogTail {
  readonly offset: number;
  readonly data: string;
}

/** The log of one attempt: bounded, masked, and shipped while it grows. */
export interface AttemptLog extends OutputSink {
  write(chunk: Uint8Array | string): void;
  /** No more comes. Gives what the end report should carry, once all before it is shipped (or given up). */
  finish(): LogTail | undefined | Promise<LogTail | undefined>;
  /** Forgets what is not shipped. */
  discard(): void;
}

export type SendOutcome = 'stored' | 'refused' | 'try-again';

/** What the logs of one worker share. */
export interface LogShared {
  readonly clock: Clock;
  readonly limits: OutputLimits;
  /** Bytes that wait to be shipped, of all logs together, and how many may. */
  readonly budget: { used: number; readonly most: number };
  send(token: string, offset: number, data: Buffer): Promise<SendOutcome>;
  /** Asks for `ship` to be called from time to time. */
  watch(log: WatchedLog): void;
  unwatch(log: WatchedLog): void;
}

export interface WatchedLog {
  /** Sends what is due. */
  ship(now: number): void;
}

export const FIRST_CHUNK_MS = 100;
export const NEXT_CHUNK_MS = 350;
const CHUNK_BYTES = 64 * 1024;
/** What the end report carries at most. */
export const TAIL_BYTES = 8 * 1024;
const CLOSE_MS = 5000;

/** Opens a log; it takes no memory worth the name until something is written. */
export function openAttemptLog(shared: LogShared, token: string, secrets: readonly string[]): AttemptLog {
  let limit: OutputLimit | undefined;
  let masker: Masker | undefined;
  let queue = createByteQueue();
  /** Sent, and not yet known to be stored: tried again as it is, for a repeated offset is ignored. */
  let sending: Buffer | undefined;
  let inFlight = false;
  let offset = 0;
  let dirtySince = 0;
  let failures = 0;
  let retryAt = 0;
  let lost = 0;
  let closed = false;
  let finishing: ((tail: LogTail | undefined) => void) | undefined;

  const watched: WatchedLog = { ship };

  function push(bytes: Uint8Array, always = false): void {
    if (bytes.length === 0) return;
    if (!always && shared.budget.used + bytes.length > shared.budget.most) {
      lost += bytes.length;
      return;
    }
    if (lost > 0) markLost();
    if (queue.size === 0) dirtySince = shared.clock.now();
    queue.push(bytes);
    shared.budget.used += bytes.length;
    shared.watch(watched);
  }

  function markLost(): void {
    const mark = Buffer.from(leftOutMark(lost, 'lost: the server did not take the log fast enough'));
    lost = 0;
    push(mark, true);
  }

  function write(chunk: Uint8Array | string): void {
    if (closed) return;
    limit ??= createOutputLimit(shared.limits);
    masker ??= createMasker(secrets);
    push(masker.write(limit.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)));
    if (queue.size >= CHUNK_BYTES) ship(shared.clock.now());
  }

  function isDue(now: number): boolean {
    if (inFlight || now < retryAt) return false;
    if (sending !== undefined) return true;
    if (queue.size === 0) return false;
    return finishing !== undefined || queue.size >= CHUNK_BYTES || now - dirtySince >= (offset === 0 ? FIRST_CHUNK_MS : NEXT_CHUNK_MS);
  }

  function ship(now: number): void {
    if (!isDue(now)) return;
    const data = (sending ??= queue.take(CHUNK_BYTES));
    inFlight = true;
    void shared.send(token, offset, data).then(shipped);
  }

  function shipped(outcome: SendOutcome): void {
    inFlight = false;
    if (sending === undefined) return;
    const now = shared.clock.now();
    if (outcome === 'try-again') {
      retryAt = now + backoffMs(failures++, 200, 5000);
      return;
    }
    if (outcome === 'refused') lost += sending.length;
    else offset += sending.length;
    failures = 0;
    shared.budget.used -= sending.length;
    sending = undefined;
    dirtySince = now;
    if (finishing !== undefined && queue.size <= TAIL_BYTES) finishing(takeTail());
    else if (queue.size === 0) shared.unwatch(watched);
    else ship(now);
  }

  function writeRest(): void {
    if (limit !== undefined && masker !== undefined) {
      const { leftOut, tail } = limit.end();
      if (leftOut > 0) {
        push(masker.cut(), true);
        push(Buffer.from(leftOutMark(leftOut)), true);
      }
      push(masker.write(tail));
      push(masker.end());
    }
    if (lost > 0) markLost();
    closed = true;
  }

  function takeTail(): LogTail | undefined {
    const data = queue.take(queue.size);
    forget();
    return data.length === 0 ? undefined : { offset, data: data.toString('base64') };
  }

  /** The server does not answer: what is too much for the end report is given up, with a mark. */
  function giveUp(): LogTail | undefined {
    offset += sending?.length ?? 0;
    const all = queue.take(queue.size);
    const end = all.subarray(Math.max(0, all.length - TAIL_BYTES + 200));
    const missing = all.length - end.length;
    forget();
    if (missing === 0) return all.length === 0 ? undefined : { offset, data: all.toString('base64') };
    const mark = Buffer.from(leftOutMark(missing, 'lost: the server did not take the log in time'));
    return { offset, data: Buffer.concat([mark, end]).toString('base64') };
  }

  function forget(): void {
    closed = true;
    shared.budget.used -= queue.size + (sending?.length ?? 0);
    queue = createByteQueue();
    sending = undefined;
    finishing = undefined;
    shared.unwatch(watched);
  }

  return {
    write,
    gap(bytes) {
      (limit ??= createOutputLimit(shared.limits)).skip(bytes);
      masker ??= createMasker(secrets);
    },
    finish() {
      if (closed || (limit === undefined && lost === 0)) {
        closed = true;
        return undefined;
      }
      writeRest();
      if (sending === undefined && queue.size <= TAIL_BYTES) return takeTail();
      return new Promise((resolve) => {
        const cancel = shared.clock.after(CLOSE_MS, () => resolve(giveUp()));
        finishing = (tail) => {
          cancel();
          resolve(tail);
        };
        ship(shared.clock.now());
      });
    },
    discard: forget,
  };
}
