import type { OutputSink } from '../launcher/client.ts';
import { backoffMs, type Clock } from '@keelson/core';
import { systemRandom } from '@keelson/core/system';
import { openLogStream, type LogBudget, type LogStream } from './log-stream.ts';
import { leftOutMark, type OutputLimits } from './output-limit.ts';

/** The last bytes of a log, to ride on the end report: base64 at an offset. */
export interface LogTail {
  readonly offset: number;
  readonly data: string;
}

export type SendOutcome = 'stored' | 'refused' | 'try-again';

/** What the logs of one worker share. */
export interface LogShared {
  readonly clock: Clock;
  readonly limits: OutputLimits;
  readonly budget: LogBudget;
  send(token: string, offset: number, data: Buffer): Promise<SendOutcome>;
  /** Asks for `ship` to be called from time to time. */
  watch(log: AttemptLog): void;
  unwatch(log: AttemptLog): void;
}

const FIRST_CHUNK_MS = 100;
const NEXT_CHUNK_MS = 350;
const CHUNK_BYTES = 64 * 1024;
/** What the end report carries at most. */
const TAIL_BYTES = 8 * 1024;
const MARK_BYTES = 200;
const CLOSE_MS = 5000;

/** The log of one attempt: bounded, masked, and shipped while it grows. */
export class AttemptLog implements OutputSink {
  readonly #shared: LogShared;
  readonly #token: string;
  readonly #stream: LogStream;
  /** Sent, and not yet known to be stored: tried again as it is, for a repeated offset is ignored. */
  #sending: Buffer | undefined;
  #inFlight = false;
  #offset = 0;
  #waitingSince: number | undefined;
  #failures = 0;
  #retryAt = 0;
  #closed = false;
  #finishing: ((tail: LogTail | undefined) => void) | undefined;

  constructor(shared: LogShared, token: string, secrets: readonly string[]) {
    this.#shared = shared;
    this.#token = token;
    this.#stream = openLogStream(shared.limits, shared.budget, secrets);
  }

  write(chunk: Uint8Array | string): void {
    if (this.#closed) return;
    this.#stream.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    if (this.#stream.waiting.size === 0) return;
    this.#waitingSince ??= this.#shared.clock.now();
    this.#shared.watch(this);
    if (this.#stream.waiting.size >= CHUNK_BYTES) this.ship(this.#shared.clock.now());
  }

  gap(bytes: number): void {
    if (!this.#closed) this.#stream.gap(bytes);
  }

  /** Sends what is due. */
  ship(now: number): void {
    if (!this.#isDue(now)) return;
    this.#sending ??= this.#stream.waiting.take(CHUNK_BYTES);
    this.#waitingSince = undefined;
    this.#inFlight = true;
    void this.#shared.send(this.#token, this.#offset, this.#sending).then((outcome) => this.#shipped(outcome));
  }

  #isDue(now: number): boolean {
    if (this.#inFlight || now < this.#retryAt) return false;
    if (this.#sending !== undefined) return true;
    const { size } = this.#stream.waiting;
    if (size === 0) return false;
    const patience = this.#offset === 0 ? FIRST_CHUNK_MS : NEXT_CHUNK_MS;
    return this.#finishing !== undefined || size >= CHUNK_BYTES || now - (this.#waitingSince ?? now) >= patience;
  }

  #shipped(outcome: SendOutcome): void {
    this.#inFlight = false;
    if (this.#sending === undefined) return;
    const now = this.#shared.clock.now();
    if (outcome === 'try-again') {
      this.#retryAt = now + backoffMs(this.#failures++, 200, 5000, systemRandom);
      return;
    }
    if (outcome === 'refused') this.#stream.lose(this.#sending.length);
    else this.#offset += this.#sending.length;
    this.#stream.release(this.#sending.length);
    this.#failures = 0;
    this.#sending = undefined;
    const { size } = this.#stream.waiting;
    if (this.#finishing !== undefined && size <= TAIL_BYTES) this.#finishing(this.#takeTail());
    else if (size === 0) this.#shared.unwatch(this);
    else {
      this.#waitingSince ??= now;
      this.ship(now);
    }
  }

  /** No more comes. Gives what the end report should carry, once all before it is shipped (or given up). */
  finish(): LogTail | undefined | Promise<LogTail | undefined> {
    if (this.#closed || this.#stream.isUnused) {
      this.#closed = true;
      return undefined;
    }
    this.#stream.end();
    this.#closed = true;
    if (this.#sending === undefined && this.#stream.waiting.size <= TAIL_BYTES) return this.#takeTail();
    return new Promise((resolve) => {
      const cancel = this.#shared.clock.after(CLOSE_MS, () => resolve(this.#giveUp()));
      this.#finishing = (tail) => {
        cancel();
        resolve(tail);
      };
      this.#shared.watch(this);
      this.ship(this.#shared.clock.now());
    });
  }

  /** Forgets what is not shipped. */
  discard(): void {
    this.#closed = true;
    const { waiting } = this.#stream;
    this.#stream.release(waiting.take(waiting.size).length + (this.#sending?.length ?? 0));
    this.#sending = undefined;
    this.#finishing = undefined;
    this.#shared.unwatch(this);
  }

  #takeTail(): LogTail | undefined {
    const { waiting } = this.#stream;
    const data = waiting.take(waiting.size);
    this.#stream.release(data.length);
    this.discard();
    return data.length === 0 ? undefined : { offset: this.#offset, data: data.toString('base64') };
  }

  /** The server does not answer: what is too much for the end report is given up, with a mark. */
  #giveUp(): LogTail | undefined {
    // What is on its way may have arrived; its place is left to it.
    this.#offset += this.#sending?.length ?? 0;
    const { waiting } = this.#stream;
    const missing = waiting.size - (TAIL_BYTES - MARK_BYTES);
    if (missing <= 0) return this.#takeTail();
    this.#stream.release(waiting.take(missing).length);
    const tail = this.#takeTail();
    const mark = Buffer.from(leftOutMark(missing, 'lost: the server did not take the log in time'));
    const data = Buffer.concat([mark, Buffer.from(tail?.data ?? '', 'base64')]);
    return { offset: this.#offset, data: data.toString('base64') };
  }
}
