import type { Clock } from '@keelson/core';
import type { Assignment, KillOrder } from '@keelson/protocol';
import type { AttemptEnd, RunningAttempt } from '../attempt/attempt.ts';
import type { AbortCause } from '../attempt/end.ts';
import type { AttemptEvents, AttemptRunner } from './attempt-runner.ts';
import type { WorkerEvents } from './events.ts';
import type { Reporter } from './reporter.ts';
import type { TokenTable } from './tokens.ts';
import { openWaitingSubtasks } from './waiting-subtasks.ts';

/** An attempt that this worker took; it stays held after its end until that is acknowledged. */
export interface Held {
  /** Undefined for a subtask that has not been started yet. */
  run: RunningAttempt | undefined;
  running: boolean;
}

/** Starts and ends the attempts of one incarnation, and answers for each token that it is told of. */
export interface AttemptDesk {
  /** With the subtasks that wait for a slot. */
  readonly runningCount: number;
  take(assignments: readonly Assignment[]): void;
  kill(orders: readonly KillOrder[]): void;
  /** Tells all that run to end; what is assigned from now on is answered as lost. */
  close(cause: AbortCause, graceMs: number): readonly RunningAttempt[];
}

export interface AttemptDeskOptions {
  readonly clock: Clock;
  readonly run: AttemptRunner;
  readonly progress: AttemptEvents['progress'];
  readonly killGraceMs: number;
  /** Subtasks are started only while fewer attempts run. */
  readonly slots: number;
  readonly tokens: TokenTable<Held>;
  readonly reporter: Pick<Reporter, 'started' | 'ended' | 'isPending'>;
  readonly events: WorkerEvents;
  onEnd(token: string): void;
}

const CAUSES: Readonly<Record<KillOrder['reason'], AbortCause>> = {
  stop: 'stop',
  timeout: 'timeout',
  'not-active': 'not-active',
  revoked: 'revoked',
};

export function openAttemptDesk(options: AttemptDeskOptions): AttemptDesk {
  const { clock, tokens, reporter, events, progress, killGraceMs, slots, onEnd } = options;
  let running = 0;
  let closed = false;
  const subtasks = openWaitingSubtasks(clock, () => slots - running, start);

  function takeOne(assignment: Assignment): void {
    const { token } = assignment;
    if (tokens.isHeld(token) || reporter.isPending(token)) return;
    if (tokens.isDone(token)) {
      return reportLost(token, 'already-ended', 'this worker has reported the end of this attempt before');
    }
    if (closed) return reportLost(token, 'worker-shutdown', 'the worker was shutting down and did not start it');
    if (assignment.broadcast?.phase !== 'subtask') return start(assignment);
    tokens.hold(token, { run: undefined, running: false });
    subtasks.add(assignment);
  }

  function start(assignment: Assignment): void {
    const { token } = assignment;
    const held: Held = { run: undefined, running: true };
    const run = options.run(assignment, { progress, ended: (end) => ended(held, run, end) });
    held.run = run;
    running += 1;
    tokens.hold(token, held);
    reporter.started(token, run.startedAt);
  }

  function ended(held: Held, run: RunningAttempt, end: AttemptEnd): void {
    const { token, instanceId, task } = run.assignment;
    held.running = false;
    running -= 1;
    reporter.ended(token, run.startedAt, end);
    subtasks.startNext();
    if (events.listenerCount('attempt-ended') > 0) events.emit('attempt-ended', { instanceId, task, end: end.end });
    onEnd(token);
  }

  /** An attempt that does not run here, and now never will. */
  const reportUnstarted = (token: string, end: 'lost' | 'stopped', code: string, message: string): void =>
    reporter.ended(token, clock.now(), { end, reason: { code, message }, endedAt: clock.now() });
  const reportLost = (token: string, code: string, message: string): void =>
    reportUnstarted(token, 'lost', code, message);

  function killOne({ token, reason }: KillOrder): void {
    const held = tokens.get(token);
    if (held?.running === true) held.run?.abort(CAUSES[reason], killGraceMs);
    else if (subtasks.remove(token))
      reportUnstarted(
        token,
        reason === 'stop' ? 'stopped' : 'lost',
        'not-started',
        'it was ended before it was started',
      );
    else if (!reporter.isPending(token)) {
      // The dispatch may still be under way: a token that is done is never started.
      tokens.done(token);
      reportLost(token, 'not-held', 'the worker did not have this attempt when it was told to end it');
    }
  }

  return {
    get runningCount() {
      return running + subtasks.count;
    },
    take: (assignments) => assignments.forEach(takeOne),
    kill: (orders) => orders.forEach(killOne),
    close(cause, graceMs) {
      closed = true;
      for (const token of subtasks.close())
        if (cause !== 'lease-lost')
          reportLost(token, 'worker-shutdown', 'the worker was shutting down and did not start it');
      const left = [...tokens.entries()].flatMap(([, { run, running }]) => (running && run !== undefined ? [run] : []));
      for (const run of left) run.abort(cause, graceMs);
      return left;
    },
  };
}
