import type { Assignment, KillOrder, RegisterResponse } from '@keelson/protocol';
import { runAttempt, type AttemptEnd, type AttemptHost, type RunningAttempt } from '../attempt/attempt.ts';
import type { AbortCause } from '../attempt/end.ts';
import type { Outcome } from '../gateway/call.ts';
import type { IncarnationGateway } from '../gateway/client.ts';
import type { Contact } from './contact.ts';
import { backoffMs, sleep } from './clock.ts';
import type { WorkerEvents } from './events.ts';
import { watchLease } from './lease.ts';
import { createReporter } from './reporter.ts';
import type { TokenTable } from './tokens.ts';

/** One registration of the worker, from its first lease to its last. */
export interface Incarnation {
  /** Settles when nothing of it runs any more: its lease is lost, or it has left. */
  readonly over: Promise<'lease-lost' | 'left'>;
  /** Takes no new tasks from now on, and tells the server so. */
  startDraining(): void;
  readonly runningCount: number;
  /** Ends what runs, waits until the ends are reported (for a while), says goodbye. */
  leave(): Promise<void>;
}

export interface IncarnationOptions {
  readonly registered: RegisterResponse;
  /** When the registration was sent, by the worker's clock. */
  readonly sentAt: number;
  readonly gateway: IncarnationGateway;
  /** Ends with the incarnation; the gateway's calls hang on it. */
  readonly controller: AbortController;
  readonly host: Omit<AttemptHost, 'progress'>;
  readonly tokens: TokenTable<Held>;
  readonly contact: Contact;
  readonly events: WorkerEvents;
  readonly pollWaitMs: number;
  readonly draining: boolean;
}

/** An attempt that this worker took; it stays held after its end until that is acknowledged. */
export interface Held {
  readonly run: RunningAttempt;
  running: boolean;
}

const IDLE_POLL_MS = 20;
const LEAVE_FLUSH_MS = 10_000;
const OVER_CODES: readonly string[] = ['lease-expired', 'unknown-incarnation'];
const CAUSES: Readonly<Record<KillOrder['reason'], AbortCause>> = { stop: 'stop', timeout: 'timeout', 'not-active': 'not-active', revoked: 'revoked' };

interface Progress {
  readonly token: string;
  readonly fraction: number;
  readonly message?: string;
}

/** Starts the loops of an incarnation: one renews, one polls; reports flow when there are some. */
export function startIncarnation(options: IncarnationOptions): Incarnation {
  const { gateway, controller, tokens, contact, events, registered } = options;
  const { clock, log, launcher, killGraceMs } = options.host;
  const { signal } = controller;
  const progress = new Map<string, Progress>();
  const over = Promise.withResolvers<'lease-lost' | 'left'>();
  let draining = options.draining;
  let leaving = false;
  let running = 0;
  let pollController = new AbortController();
  let whenQuiet: (() => void) | undefined;

  const host: AttemptHost = {
    ...options.host,
    progress: (token, fraction, message) => void progress.set(token, { token, fraction, ...(message === undefined ? {} : { message }) }),
  };
  const lease = watchLease(clock, launcher, killGraceMs, options.sentAt, registered.leaseMs, () => lose('no renewal was acknowledged in time', lease.graceMs));
  const reporter = createReporter({
    clock,
    log,
    send: gateway.report,
    onSettled(token) {
      tokens.done(token);
      quiet();
    },
    onAssignments: accept,
    onTrouble: troubled,
    onAnswer: () => contact.made(),
  });

  /** True: the server says that this incarnation is over. */
  function troubled(outcome: Outcome<never>): boolean {
    if (outcome.kind === 'ok' || signal.aborted) return signal.aborted;
    if (outcome.kind === 'refused' && OVER_CODES.includes(outcome.code)) {
      lose(`the server says ${outcome.code}`, 0);
      return true;
    }
    contact.lost(outcome.message);
    return false;
  }

  function accept(assignments: readonly Assignment[]): void {
    // After a pause of this whole process an old answer may lie in the socket.
    if (signal.aborted || assignments.length === 0) return;
    if (lease.leftMs() <= 0) return lose('the lease ran out while this process was paused', lease.graceMs);
    for (const assignment of assignments) take(assignment);
  }

  function take(assignment: Assignment): void {
    const { token } = assignment;
    if (tokens.isHeld(token) || reporter.isPending(token)) return;
    if (tokens.isDone(token)) return reportLost(token, 'already-ended', 'this worker has reported the end of this attempt before');
    if (leaving) return reportLost(token, 'worker-shutdown', 'the worker was shutting down and did not start it');
    const run = runAttempt(assignment, host, (end) => attemptEnded(held, end));
    const held: Held = { run, running: true };
    running += 1;
    tokens.hold(token, held);
    reporter.started(token, run.startedAt);
  }

  function attemptEnded(held: Held, end: AttemptEnd): void {
    const { token } = held.run.assignment;
    held.running = false;
    running -= 1;
    progress.delete(token);
    if (!signal.aborted) reporter.ended(token, held.run.startedAt, end);
    if (events.listenerCount('attempt-ended') > 0) events.emit('attempt-ended', { instanceId: held.run.assignment.instanceId, task: held.run.assignment.task, end: end.end });
    quiet();
  }

  /** An attempt that does not run here, and now never will. */
  function reportLost(token: string, code: string, message: string): void {
    const now = clock.now();
    reporter.ended(token, now, { end: 'lost', reason: { code, message }, endedAt: now });
  }

  function kill(orders: readonly KillOrder[]): void {
    for (const { token, reason } of orders) {
      const held = tokens.get(token);
      if (held?.running === true) held.run.abort(CAUSES[reason], killGraceMs);
      else if (!reporter.isPending(token)) {
        // The dispatch may still be under way: a token that is done is never started.
        tokens.done(token);
        reportLost(token, 'not-held', 'the worker did not have this attempt when it was told to end it');
      }
    }
  }

  async function renewLoop(): Promise<void> {
    let waitMs = registered.renewEveryMs;
    for (let failures = 0; ; ) {
      await sleep(clock, waitMs, signal);
      if (signal.aborted) return;
      const sentAt = clock.now();
      const said = [...progress.values()];
      progress.clear();
      const timeoutMs = Math.max(100, Math.min(registered.renewEveryMs, lease.leftMs()));
      const outcome = await gateway.renew({ held: tokens.heldTokens(), ...(said.length === 0 ? {} : { progress: said }) }, timeoutMs);
      if (signal.aborted) return;
      if (outcome.kind === 'ok') {
        failures = 0;
        contact.made();
        lease.renewed(sentAt, outcome.value.leaseMs);
        kill(outcome.value.kill);
        waitMs = Math.max(0, sentAt + registered.renewEveryMs - clock.now());
      } else {
        for (const item of said) if (!progress.has(item.token) && tokens.get(item.token)?.running === true) progress.set(item.token, item);
        if (troubled(outcome)) return;
        waitMs = backoffMs(failures++, Math.min(100, registered.renewEveryMs / 4), registered.renewEveryMs);
      }
    }
  }

  async function pollLoop(): Promise<void> {
    for (let failures = 0; !signal.aborted && !leaving; ) {
      const open = pollController;
      const sentAt = clock.now();
      const outcome = await gateway.poll({ held: tokens.heldTokens(), waitMs: options.pollWaitMs, draining }, open.signal);
      if (signal.aborted) return;
      if (outcome.kind === 'ok') {
        failures = 0;
        contact.made();
        kill(outcome.value.kill);
        accept(outcome.value.assignments);
        // A server that has nothing to hand out and yet answers at once must not be asked without a pause.
        if (outcome.value.assignments.length === 0 && clock.now() - sentAt < IDLE_POLL_MS) await sleep(clock, IDLE_POLL_MS, signal);
      } else if (!open.signal.aborted) {
        if (troubled(outcome)) return;
        await sleep(clock, backoffMs(failures++, 100, 5000), open.signal);
      }
    }
  }

  /** The calls that are under way end, and the loops with them. */
  function endLoops(): void {
    controller.abort();
    pollController.abort();
    reporter.stop();
  }

  function lose(why: string, graceMs: number): void {
    if (signal.aborted) return;
    endLoops();
    log('error', `the lease is lost: ${why}; ending ${running} running attempts and registering anew`);
    void endWithoutReport(Math.max(0, Math.min(graceMs, lease.untilEndMs() - 50))).then(() => {
      lease.release();
      over.resolve('lease-lost');
    });
    events.emit('lease-lost', { why });
  }

  async function endWithoutReport(graceMs: number): Promise<void> {
    const killed: Promise<void>[] = [];
    for (const [token, held] of [...tokens.entries()]) {
      if (held.running) {
        const { instanceId, task, attempt } = held.run.assignment;
        log('warn', 'ended an attempt because the lease is lost', { instance: instanceId, task, attempt });
        held.run.abort('lease-lost', graceMs);
        killed.push(held.run.over);
      }
      tokens.done(token);
    }
    const allOver = Promise.all(killed).then(() => true);
    const tooLate = sleep(clock, Math.max(lease.untilEndMs(), graceMs + 1000)).then(() => false);
    if (!(await Promise.race([allOver, tooLate]))) {
      log('error', 'a task in this process ignores its abort signal although the lease is lost: it may overlap with its next attempt');
    }
  }

  function startDraining(): void {
    if (draining) return;
    draining = true;
    const open = pollController;
    pollController = new AbortController();
    open.abort();
  }

  function quiet(): void {
    if (running === 0 && reporter.pendingCount === 0) whenQuiet?.();
  }

  async function leave(): Promise<void> {
    if (signal.aborted) return;
    leaving = true;
    for (const [, held] of tokens.entries()) if (held.running) held.run.abort('worker-shutdown', killGraceMs);
    const settled = new Promise<void>((resolve) => (whenQuiet = resolve));
    quiet();
    await Promise.race([settled, sleep(clock, killGraceMs + LEAVE_FLUSH_MS, signal)]);
    if (signal.aborted) return;
    if (reporter.pendingCount > 0) log('warn', 'left without an acknowledgement of the last reports; the server will find these attempts lost', { reports: reporter.pendingCount });
    endLoops();
    await gateway.leave();
    await Promise.race([Promise.all([...tokens.entries()].map(([, held]) => held.run.over)), sleep(clock, 1000)]);
    lease.release();
    over.resolve('left');
  }

  void renewLoop();
  void pollLoop();
  return {
    over: over.promise,
    startDraining,
    get runningCount() {
      return running;
    },
    leave,
  };
}
