import { sleep, within, type Clock, type Random } from '@keelson/core';
import type { Assignment, RegisterResponse } from '@keelson/protocol';
import type { RunningAttempt } from '../attempt/attempt.ts';
import type { Outcome } from '../gateway/call.ts';
import type { IncarnationGateway } from '../gateway/client.ts';
import { openAttemptDesk, type AttemptDesk, type Held } from './attempt-desk.ts';
import type { AttemptRunner } from './attempt-runner.ts';
import type { Contact } from './contact.ts';
import type { WorkerEvents } from './events.ts';
import { watchLease, type Deadline, type Lease } from './lease.ts';
import { renewLoop, startPolling, type LoopContext, type Polling, type Progress } from './loops.ts';
import { Reporter } from './reporter.ts';
import type { TokenTable } from './tokens.ts';
import type { WorkerLog } from './worker-log.ts';

export interface IncarnationOptions {
  readonly registered: RegisterResponse;
  /** When the registration was sent, by the worker's clock. */
  readonly sentAt: number;
  readonly gateway: IncarnationGateway;
  /** Ends with the incarnation; the gateway's calls hang on it. */
  readonly controller: AbortController;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: WorkerLog;
  readonly deadline: Deadline;
  readonly run: AttemptRunner;
  /** Between SIGTERM and SIGKILL. */
  readonly killGraceMs: number;
  readonly slots: number;
  readonly tokens: TokenTable<Held>;
  readonly contact: Contact;
  readonly events: WorkerEvents;
  readonly pollWaitMs: number;
  readonly draining: boolean;
}

const LEAVE_FLUSH_MS = 10_000;
const OVER_CODES: readonly string[] = ['lease-expired', 'unknown-incarnation'];

/** One registration of the worker, from its first lease to its last. Its loops start with it. */
export class Incarnation {
  readonly #options: IncarnationOptions;
  readonly #signal: AbortSignal;
  readonly #lease: Lease;
  readonly #reporter: Reporter;
  readonly #desk: AttemptDesk;
  readonly #polling: Polling;
  readonly #over = Promise.withResolvers<'lease-lost' | 'left'>();
  #whenQuiet: (() => void) | undefined;

  constructor(options: IncarnationOptions) {
    const { clock, random, gateway, tokens, contact, registered, sentAt, deadline, killGraceMs } = options;
    this.#options = options;
    this.#signal = options.controller.signal;
    this.#lease = watchLease(clock, deadline, killGraceMs, sentAt, registered.leaseMs, () =>
      this.#lose('no renewal was acknowledged in time', this.#lease.graceMs),
    );
    this.#reporter = this.#openReporter();
    const progress = new Map<string, Progress>();
    this.#desk = this.#openDesk(progress);
    const context: LoopContext = {
      clock,
      random,
      gateway,
      tokens,
      contact,
      desk: this.#desk,
      lease: this.#lease,
      signal: this.#signal,
      troubled: (outcome) => this.#troubled(outcome),
    };
    void renewLoop(context, registered.renewEveryMs, progress);
    this.#polling = startPolling(context, options.pollWaitMs, options.draining, (assignments) =>
      this.#accept(assignments),
    );
  }

  /** Settles when nothing of it runs any more: its lease is lost, or it has left. */
  get over(): Promise<'lease-lost' | 'left'> {
    return this.#over.promise;
  }

  get runningCount(): number {
    return this.#desk.runningCount;
  }

  /** Nothing will be assigned to it any more; see `Polling`. */
  get isDrainKnown(): boolean {
    return this.#polling.isDrainKnown;
  }

  /** Takes no new tasks from now on, and tells the server so. */
  startDraining(): void {
    this.#polling.startDraining();
  }

  /** Ends what runs, waits until the ends are reported (for a while), says goodbye. */
  async leave(): Promise<void> {
    if (this.#signal.aborted) return;
    const { gateway, clock, killGraceMs, log } = this.#options;
    const ending = this.#desk.close('worker-shutdown', killGraceMs);
    const settled = new Promise<void>((resolve) => (this.#whenQuiet = resolve));
    this.#quiet();
    await Promise.race([settled, sleep(clock, killGraceMs + LEAVE_FLUSH_MS, this.#signal)]);
    if (this.#signal.aborted) return;
    const reports = this.#reporter.pendingCount;
    if (reports > 0)
      log('warn', 'left without an acknowledgement of the last reports; the server will find them lost', { reports });
    this.#endLoops();
    await gateway.leave();
    await within(clock, 1000, Promise.all(ending.map((run) => run.over)));
    this.#lease.release();
    this.#over.resolve('left');
  }

  #openReporter(): Reporter {
    const { clock, random, log, gateway, tokens, contact } = this.#options;
    return new Reporter({
      clock,
      random,
      log,
      send: gateway.report,
      onAssignments: (assignments) => this.#accept(assignments),
      onTrouble: (outcome) => this.#troubled(outcome),
      onAnswer: () => contact.made(),
      onSettled: (token) => {
        tokens.done(token);
        this.#quiet();
      },
    });
  }

  #openDesk(progress: Map<string, Progress>): AttemptDesk {
    const { clock, run, killGraceMs, slots, tokens, events } = this.#options;
    const note = (token: string, fraction: number, message: string | undefined): void =>
      void progress.set(token, message === undefined ? { token, fraction } : { token, fraction, message });
    return openAttemptDesk({
      clock,
      run,
      killGraceMs,
      slots,
      progress: note,
      tokens,
      reporter: this.#reporter,
      events,
      onEnd: (token) => {
        progress.delete(token);
        this.#quiet();
      },
    });
  }

  /** True: the server says that this incarnation is over. */
  #troubled(outcome: Outcome<never>): boolean {
    if (outcome.kind === 'ok' || this.#signal.aborted) return this.#signal.aborted;
    if (outcome.kind === 'refused' && OVER_CODES.includes(outcome.code)) {
      this.#lose(`the server says ${outcome.code}`, 0);
      return true;
    }
    this.#options.contact.lost(outcome.message);
    return false;
  }

  #accept(assignments: readonly Assignment[]): void {
    if (this.#signal.aborted || assignments.length === 0) return;
    // After a pause of this whole process an old answer may lie in the socket.
    if (this.#lease.leftMs() > 0) this.#desk.take(assignments);
    else this.#lose('it ran out while this process was paused', this.#lease.graceMs);
  }

  #lose(why: string, graceMs: number): void {
    if (this.#signal.aborted) return;
    this.#endLoops();
    const { tokens, log, events } = this.#options;
    log('error', `the lease is lost: ${why}; ending ${this.runningCount} running attempts and registering anew`);
    const ending = this.#desk.close('lease-lost', Math.max(0, Math.min(graceMs, this.#lease.untilEndMs() - 50)));
    for (const token of tokens.heldTokens()) tokens.done(token);
    void this.#endWithoutReport(ending);
    events.emit('lease-lost', { why });
  }

  async #endWithoutReport(ending: readonly RunningAttempt[]): Promise<void> {
    await endUnderLease(this.#options, this.#lease, ending);
    this.#lease.release();
    this.#over.resolve('lease-lost');
  }

  /** The calls that are under way end, and the loops with them. */
  #endLoops(): void {
    this.#options.controller.abort();
    this.#polling.stop();
    this.#reporter.stop();
  }

  #quiet(): void {
    if (this.#desk.runningCount === 0 && this.#reporter.pendingCount === 0) this.#whenQuiet?.();
  }
}

/**
 * Waits until all that was told to end is over. While it waits the launcher still watches the lease: if a task in this
 * process does not end in time, the launcher ends the process, for nothing else can.
 */
async function endUnderLease(
  { clock, log }: IncarnationOptions,
  lease: Lease,
  ending: readonly RunningAttempt[],
): Promise<void> {
  for (const { assignment } of ending) {
    const { instanceId, task, attempt } = assignment;
    log('warn', 'ended an attempt because the lease is lost', { instance: instanceId, task, attempt });
  }
  const mostMs = Math.max(lease.untilEndMs(), lease.graceMs) + 1000;
  if (!(await within(clock, mostMs, Promise.all(ending.map((run) => run.over))))) {
    log(
      'error',
      'a task in this process ignores its abort signal although the lease is lost: it may overlap with its next attempt',
    );
  }
}
