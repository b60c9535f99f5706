import type { EarlierAttempt, FinishedTask } from './changes.ts';
import { MissingRows, NOTHING_MISSING, planned } from './draft.ts';
import type { Draft } from './draft.ts';
import { goesOn, lineUp } from './line.ts';
import { endTask } from './progress.ts';
import type { Reason } from './reason.ts';
import { DEFAULT_LOSSES, retryDelayMs } from './retry.ts';
import { IllegalTransition } from './states.ts';
import type { AttemptEnded } from './view.ts';

/** An attempt has ended: its task ends with it, or waits for another attempt. */
export function attemptEnded(draft: Draft, event: AttemptEnded): void {
  const { attempt } = event;
  draft.released.push(attempt.id);
  const ended = anotherOrEnd(draft, event);
  switch (ended) {
    case 'again':
      return;
    case 'succeeded':
      return endTask(draft, handedOver(attempt), { ...ranTo(event), state: 'succeeded', ...yields(event) });
    case 'failed':
      return endTask(draft, handedOver(attempt), {
        ...ranTo(event),
        state: 'failed',
        reason: failureOf(event),
        ...yields(event),
      });
    case 'stopped':
      return endTask(draft, handedOver(attempt), {
        ...ranTo(event),
        state: 'stopped',
        reason: event.reason ?? STOPPED,
      });
  }
}

/** A step of a task: what its attempts count from. */
export interface CountedStep {
  readonly step: 'before' | 'after';
  /** Attempts of the task before this step's first one. */
  readonly prior: number;
}

/** Puts another attempt in line if one is due; else says how the last one ended. */
export function anotherOrEnd(
  draft: Draft,
  event: AttemptEnded,
  counted?: CountedStep,
): 'again' | 'succeeded' | 'failed' | 'stopped' {
  const { attempt } = event;
  const found = verdict(draft, event, counted?.prior ?? 0);
  if (found === 'retry') {
    const { retry } = planned(draft, attempt.task).definition;
    again(draft, event, retryDelayMs(retry, attempt.task, failuresOf(event, counted?.prior ?? 0)), counted);
    return 'again';
  }
  if (found === 'replace') {
    // The first time at once; a worker that loses whatever it is given must not use up the losses in a moment.
    again(draft, event, isHandedBack(event) ? 0 : attempt.losses * REPLACE_DELAY_MS, counted);
    return 'again';
  }
  return found;
}

export const STOPPED: Reason = { code: 'stopped', message: 'stopped on request' };

/** The reason of such a loss. */
export const HANDED_BACK = 'worker-shutdown';

const REPLACE_DELAY_MS = 1000;

type Verdict = 'succeeded' | 'retry' | 'replace' | 'failed' | 'stopped';

function verdict(draft: Draft, event: AttemptEnded, prior: number): Verdict {
  const { attempt, end } = event;
  if (end === 'succeeded') return 'succeeded';
  const windingUp = !goesOn(draft) || draft.live.ending;
  if (windingUp) return end === 'failed' ? 'failed' : 'stopped';
  const failed = end === 'failed' || attempt.killReason === 'timeout';
  if (failed) {
    const { retry } = planned(draft, attempt.task).definition;
    return attempt.attempt - prior - attempt.losses <= retry.max ? 'retry' : 'failed';
  }
  // Lost with its worker, or stopped by a worker that shuts down: not the task's fault, so not counted as its failure.
  const { onLost } = planned(draft, attempt.task).definition;
  const most = onLost?.retries ?? DEFAULT_LOSSES;
  // As often as workers are restarted: that is no sign of a task that kills its worker. `onLost: fail` still means never twice.
  if (isHandedBack(event) && most > 0) return 'replace';
  if (attempt.losses < most) return 'replace';
  return most > 0 && attempt.losses - handedBackSince(draft, attempt.task, prior) < most ? 'replace' : 'failed';
}

/** How many of the losses are none; read only when they are too many. */
function handedBackSince(draft: Draft, task: string, prior: number): number {
  const known = draft.view.handedBack?.get(task);
  if (known === undefined) throw new MissingRows({ ...NOTHING_MISSING, handedBack: [task] });
  return known.filter((attempt) => attempt > prior).length;
}

/** Its worker drained, and ended it itself. */
function isHandedBack({ end, reason }: AttemptEnded): boolean {
  return end === 'lost' && reason?.code === HANDED_BACK;
}

function again(draft: Draft, event: AttemptEnded, delayMs: number, counted: CountedStep | undefined): void {
  const { attempt } = event;
  const lost = event.end !== 'failed' && attempt.killReason !== 'timeout';
  const state: EarlierAttempt['state'] = lost ? (event.end === 'stopped' ? 'stopped' : 'lost') : 'failed';
  const reason = lost ? event.reason : failureOf(event);
  draft.earlier.push({ ...ranTo(event), attemptId: attempt.id, state, ...(reason === undefined ? {} : { reason }) });
  draft.events.push({
    type: 'attempt-ended',
    task: attempt.task,
    attempt: attempt.attempt,
    attemptId: attempt.id,
    end: state,
    ...(reason === undefined ? {} : { reason }),
  });
  const next = {
    task: attempt.task,
    attempt: attempt.attempt + 1,
    losses: attempt.losses + (lost ? 1 : 0),
    ...(counted === undefined ? {} : { step: counted.step }),
  };
  lineUp(draft, handedOver(attempt), { ...next, delayMs, ...(delayMs > 0 ? { cause: 'retry' } : {}) });
}

/** Where a task stands whose attempt has ended. Only subtasks are bound before they are handed over. */
export function handedOver({ id, state }: AttemptEnded['attempt']): 'dispatched' | 'running' {
  if (state === 'bound') throw new IllegalTransition(`attempt ${id} is bound and no subtask`);
  return state;
}

/** Failures of the task so far, the one at hand included. */
function failuresOf({ attempt }: AttemptEnded, prior: number): number {
  return Math.max(1, attempt.attempt - prior - attempt.losses);
}

export function failureOf({ attempt, end, reason }: AttemptEnded): Reason {
  if (attempt.killReason === 'timeout' && end !== 'failed')
    return { code: 'timeout', message: 'ran longer than its timeout' };
  if (end === 'lost') {
    const why = reason === undefined ? '' : `: ${reason.message}`;
    const times = attempt.losses === 0 ? '' : ` ${attempt.losses + 1} times`;
    return { code: 'worker-lost', message: `lost with its worker${times}${why}` };
  }
  return reason ?? { code: 'failed', message: 'the task failed and gave no reason' };
}

export function ranTo(event: AttemptEnded): Omit<FinishedTask, 'state'> & { readonly attemptId: string } {
  const { attempt, startedAgoMs, endedAgoMs } = event;
  return {
    task: attempt.task,
    attempt: attempt.attempt,
    attemptId: attempt.id,
    ...(startedAgoMs === undefined ? {} : { startedAgoMs }),
    ...(endedAgoMs === undefined ? {} : { endedAgoMs }),
  };
}

export function yields({ outputs, artifacts }: AttemptEnded): Pick<FinishedTask, 'outputs' | 'artifacts'> {
  return { ...(outputs === undefined ? {} : { outputs }), ...(artifacts === undefined ? {} : { artifacts }) };
}
