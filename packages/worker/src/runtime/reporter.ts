import { backoffMs, sleep, type Clock, type Random } from '@keelson/core';
import type { Assignment, ReportResponse } from '@keelson/protocol';
import type { AttemptEnd } from '../attempt/attempt.ts';
import type { Outcome } from '../gateway/call.ts';
import { START_WAIT_MS, createReportQueue, type Batch } from './report-queue.ts';
import type { WorkerLog } from './worker-log.ts';

export interface ReporterOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: WorkerLog;
  /** `tries`: how often in a row it was done in vain before. */
  send(body: string, tries: number): Promise<Outcome<ReportResponse>>;
  onSettled(token: string): void;
  onAssignments(assignments: readonly Assignment[]): void;
  /** The answer was no acknowledgement. True: the incarnation is over. */
  onTrouble(outcome: Outcome<never>): boolean;
  onAnswer(): void;
}

/** With these the server says that it will never take this body. */
const BAD_BODY: readonly number[] = [400, 413, 422];

/** Sends reports in batches: at once when idle, else with the next batch behind the one in flight. */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #queue = createReportQueue();
  readonly #stopping = new AbortController();
  #pumping = false;
  #scheduled = false;
  #startTimer = false;
  #failures = 0;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** Waits some milliseconds, and is dropped if the end comes first. */
  started(token: string, startedAt: number): void {
    this.#queue.started(token, startedAt);
    if (!this.#pumping) this.#armStartTimer();
  }

  /** Is held until the server acknowledges it. */
  ended(token: string, startedAt: number, end: AttemptEnd): void {
    if (this.#stopping.signal.aborted) return;
    this.#queue.ended(token, startedAt, end);
    this.#schedule();
  }

  /** True while an end with this token is not acknowledged. */
  isPending(token: string): boolean {
    return this.#queue.isPending(token);
  }

  get pendingCount(): number {
    return this.#queue.pendingCount;
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Ends that come in the same turn of the event loop go together. */
  #schedule(): void {
    if (this.#scheduled || this.#pumping) return;
    this.#scheduled = true;
    this.#options.clock.soon(() => {
      this.#scheduled = false;
      void this.#pump();
    });
  }

  #armStartTimer(): void {
    if (this.#startTimer || !this.#queue.hasYoungStarts || this.#stopping.signal.aborted) return;
    this.#startTimer = true;
    this.#options.clock.after(START_WAIT_MS, () => {
      this.#startTimer = false;
      if (this.#queue.hasYoungStarts) void this.#pump();
    });
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    const { clock, random, send } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const batch = this.#queue.takeBatch(clock.now());
      if (batch === undefined) break;
      const outcome = await send(batch.body, this.#failures);
      if (signal.aborted || !this.#handle(batch, outcome)) break;
      if (this.#failures > 0) await sleep(clock, backoffMs(this.#failures - 1, 100, 5000, random), signal);
    }
    this.#pumping = false;
    this.#armStartTimer();
  }

  /** False: there will be no next batch. */
  #handle(batch: Batch, outcome: Outcome<ReportResponse>): boolean {
    if (outcome.kind === 'ok') {
      this.#settle(batch, outcome.value);
      return true;
    }
    if (outcome.kind === 'refused' && BAD_BODY.includes(outcome.status)) {
      this.#isolate(batch, outcome.message);
      return true;
    }
    this.#queue.putBack(batch);
    this.#failures += 1;
    return !this.#options.onTrouble(outcome);
  }

  #settle(batch: Batch, answer: ReportResponse): void {
    this.#options.onAnswer();
    const settled = this.#queue.settle(batch, new Set(answer.acknowledged));
    for (const token of settled) this.#options.onSettled(token);
    const ends = batch.reports.reduce((count, report) => count + (report.kind === 'ended' ? 1 : 0), 0);
    this.#failures = settled.length < ends ? this.#failures + 1 : 0;
    this.#options.onAssignments(answer.assignments);
  }

  #isolate(batch: Batch, message: string): void {
    const { log, onSettled } = this.#options;
    const isolation = this.#queue.isolate(batch, message);
    if (isolation.kind === 'reduced') {
      log('warn', `the server refuses the report of an attempt's end; it is reported as failed instead: ${message}`);
    } else if (isolation.kind === 'given-up') {
      log('error', `the server takes no report of an attempt's end at all, and will find it lost: ${message}`);
      onSettled(isolation.token);
    }
  }
}
