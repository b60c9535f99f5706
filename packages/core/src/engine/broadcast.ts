import { anotherOrEnd, failureOf, handedOver, ranTo, STOPPED, yields } from './attempt.ts';
import {
  broadcastDraft,
  broadcastOf,
  fanOut,
  NEW_RECORD,
  setRecord,
  undoStarts,
  withdrawWaiting,
} from './broadcast-begin.ts';
import type { FinishedSubtask, FinishedTask } from './changes.ts';
import { planned, recordOf, requireRecords } from './draft.ts';
import type { BroadcastDraft, Draft } from './draft.ts';
import { goesOn, isHolding, lineUp } from './line.ts';
import { acceptsFailure, requireCascade, endTask, FAILURE_ENDS_INSTANCE } from './progress.ts';
import type { Reason } from './reason.ts';
import { retryDelayMs } from './retry.ts';
import type { SubtaskEndState } from './states.ts';
import type { AttemptEnded, BroadcastRecord } from './view.ts';

/** The delay of a broadcast is over. Once: a task that is under way or has ended is left alone. */
export function fanOutLater(draft: Draft, task: string): void {
  if (!goesOn(draft)) return;
  requireRecords(draft, [task]);
  const record = broadcastDraft(draft, task)?.change.record ?? NEW_RECORD;
  const ran = record.priorAttempts > 0;
  if ((record !== NEW_RECORD && !fanIsNext(record)) || recordOf(draft, task).end !== undefined) return;
  if (isHolding(draft) && mayGoOn(draft, task)) {
    // It was due when the instance was paused. Its state stays.
    const attempt = record.priorAttempts + 1;
    draft.held.push({ task, attempt, losses: 0, cause: 'delay', delayMs: 0, fanOut: true });
    return;
  }
  const ended: FinishedTask | undefined = mayGoOn(draft, task)
    ? fanOut(draft, task, 'delayed', record)
    : { task, state: ran ? 'stopped' : 'skipped', attempt: 0, reason: FAILURE_ENDS_INSTANCE };
  if (ended === undefined) return;
  requireCascade(draft, [task]);
  endTask(draft, 'delayed', ended);
}

/** What comes before the subtasks is over, and they were held back. */
function fanIsNext({ phase, priorAttempts }: BroadcastRecord): boolean {
  return phase === 'before' && priorAttempts > 0;
}

/** An attempt of a broadcast has ended: one of its steps, or a subtask. */
export function broadcastAttemptEnded(draft: Draft, event: AttemptEnded): void {
  const { task, subtask } = event.attempt;
  const found = broadcastDraft(draft, task);
  const record = found?.change.record;
  if (found === undefined || record === undefined) throw new Error(`task ${task} has an attempt and no broadcast`);
  draft.released.push(event.attempt.id);
  if (subtask !== undefined) return subtaskEnded(draft, found, record, event);
  if (record.phase === 'fan') throw new Error(`task ${task} has an attempt of its own while its subtasks run`);
  return record.phase === 'before' ? beforeEnded(draft, record, event) : afterEnded(draft, record, event);
}

function beforeEnded(draft: Draft, record: BroadcastRecord, event: AttemptEnded): void {
  const { attempt } = event;
  const { task } = attempt;
  const from = handedOver(attempt);
  const verdict = anotherOrEnd(draft, event, { step: 'before', prior: 0 });
  if (verdict === 'again') return;
  if (verdict === 'failed')
    return endTask(draft, from, { ...ranTo(event), state: 'failed', reason: inStep('before', failureOf(event)) });
  if (verdict === 'stopped' || !mayGoOn(draft, task))
    return endTask(draft, from, { ...ranTo(event), state: 'stopped', reason: event.reason ?? STOPPED });
  const { id: attemptId, attempt: number } = attempt;
  draft.earlier.push({ ...ranTo(event), attemptId, state: 'succeeded' });
  draft.events.push({ type: 'attempt-ended', task, attempt: number, attemptId, end: 'succeeded' });
  setRecord(draft, task, { ...record, priorAttempts: number });
  const found = draft.broadcasts.get(task);
  if (found !== undefined && event.outputs !== undefined) found.change = { ...found.change, outputs: event.outputs };
  if (isHolding(draft)) {
    const held = { task, attempt: number + 1, losses: 0, cause: 'delay' as const, delayMs: 0, fanOut: true as const };
    return lineUp(draft, from, held);
  }
  const ended = fanOut(draft, task, from, { ...record, priorAttempts: number });
  if (ended !== undefined) endTask(draft, 'running', ended);
}

function afterEnded(draft: Draft, record: BroadcastRecord, event: AttemptEnded): void {
  const { attempt } = event;
  const verdict = anotherOrEnd(draft, event, { step: 'after', prior: record.priorAttempts });
  if (verdict === 'again') return;
  const outputs = yields(event);
  const ran = { ...ranTo(event), ...outputs };
  const over = tooManyFailed(draft, attempt.task, record);
  const from = handedOver(attempt);
  if (over !== undefined) endTask(draft, from, { ...ran, state: 'failed', reason: over });
  else if (verdict === 'failed')
    endTask(draft, from, { ...ran, state: 'failed', reason: inStep('after', failureOf(event)) });
  else if (verdict === 'stopped') endTask(draft, from, { ...ran, state: 'stopped', reason: event.reason ?? STOPPED });
  else endTask(draft, from, { ...ran, state: 'succeeded' });
}

function inStep(step: 'before' | 'after', reason: Reason): Reason {
  return { ...reason, message: `${step}: ${reason.message}` };
}

/** Counts it; what follows for the broadcast is looked at when all events were heard. */
function subtaskEnded(draft: Draft, found: BroadcastDraft, record: BroadcastRecord, event: AttemptEnded): void {
  const { attempt, end } = event;
  const place = attempt.state === 'bound' ? 'waiting' : 'running';
  found.change = { ...found.change, record: { ...record, [place]: record[place] - 1 } };
  const state = subtaskState(event);
  // A worker that is gone gets nothing any more: only one that said itself that its task failed may try again.
  if (state === 'failed' && end !== 'lost') found.failures.push(event);
  else finishSubtask(draft, found, event, state);
}

function subtaskState({ attempt, end }: AttemptEnded): SubtaskEndState {
  if (end === 'succeeded') return 'succeeded';
  if (end === 'failed' || attempt.killReason === 'timeout') return 'failed';
  // Stopped without having been asked to: its worker shut down.
  return attempt.killReason === 'stop' ? 'stopped' : 'lost';
}

function finishSubtask(draft: Draft, found: BroadcastDraft, event: AttemptEnded, state: SubtaskEndState): void {
  const { attempt, outputs } = event;
  const { task, subtask, attempt: number, id: attemptId } = attempt;
  const { record } = found.change;
  if (record === undefined || subtask === undefined) throw new Error(`attempt ${attemptId} is no subtask`);
  const reason = state === 'failed' ? failureOf(event) : event.reason;
  const ended: FinishedSubtask = {
    ...ranTo(event),
    incarnation: subtask.incarnation,
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(outputs === undefined ? {} : { outputs }),
  };
  draft.finishedSubtasks.push(ended);
  draft.events.push({
    type: 'subtask-ended',
    task,
    subtask: subtask.index,
    incarnation: subtask.incarnation,
    state,
    attempt: number,
    attemptId,
    ...(reason === undefined ? {} : { reason }),
  });
  found.change = { ...found.change, record: { ...record, [state]: record[state] + 1 } };
}

/** Retries what may be retried, hands over what has a place now, and ends what is over. */
export function settleBroadcasts(draft: Draft): void {
  // The end of one may halt another, whose turn comes again then.
  for (let open = unsettled(draft); open.length > 0; open = unsettled(draft)) {
    for (const found of open) {
      if (found.halted !== undefined) withdrawWaiting(draft, found, 'stopped', found.halted);
      for (const failure of found.failures.splice(0)) retryOrFinish(draft, found, failure);
      handOverMore(draft, found);
      if (isOver(found)) fanEnded(draft, found);
    }
  }
}

/** Those with something to be decided; nothing of one that began here has ended yet. */
function unsettled(draft: Draft): BroadcastDraft[] {
  return [...draft.broadcasts.values()].filter(
    (found) =>
      !found.begun && (found.failures.length > 0 || mayHandOver(draft, found) || toWithdraw(found) || isOver(found)),
  );
}

function toWithdraw({ halted, change: { record } }: BroadcastDraft): boolean {
  return halted !== undefined && record !== undefined && record.waiting > 0;
}

function isOver({ change: { record } }: BroadcastDraft): boolean {
  return record?.phase === 'fan' && record.waiting + record.running === 0;
}

function retryOrFinish(draft: Draft, found: BroadcastDraft, event: AttemptEnded): void {
  const { attempt } = event;
  const { task, subtask } = attempt;
  const { record } = found.change;
  const { retry } = planned(draft, task).definition;
  const windingUp = !goesOn(draft) || draft.live.ending;
  if (subtask === undefined || record === undefined) throw new Error(`attempt ${attempt.id} is no subtask`);
  if (windingUp || attempt.attempt > retry.max || tooManyFailed(draft, task, record) !== undefined)
    return finishSubtask(draft, found, event, 'failed');
  const reason = failureOf(event);
  draft.earlier.push({ ...ranTo(event), state: 'failed', reason });
  draft.events.push({
    type: 'attempt-ended',
    task,
    attempt: attempt.attempt,
    attemptId: attempt.id,
    end: 'failed',
    reason,
    subtask: subtask.index,
  });
  // It keeps its worker, and its place, unless it has to wait until the instance is resumed.
  const [state, place] = isHolding(draft) ? (['bound', 'waiting'] as const) : (['dispatched', 'running'] as const);
  const delayMs = state === 'bound' ? 0 : retryDelayMs(retry, `${task}/${subtask.index}`, attempt.attempt);
  draft.subtasks.push({ task, ...subtask, attempt: attempt.attempt + 1, state, delayMs });
  found.retried.push(event);
  found.change = { ...found.change, record: { ...record, [place]: record[place] + 1 } };
}

function handOverMore(draft: Draft, found: BroadcastDraft): void {
  const { task, record } = found.change;
  if (record === undefined || !mayHandOver(draft, found)) return;
  const over = tooManyFailed(draft, task, record);
  if (over !== undefined) {
    if (isHolding(draft)) finishHeld(draft, found);
    return withdrawWaiting(draft, found, 'skipped', over);
  }
  const { waiting, running } = record;
  const promote = Math.min(waiting, places(draft, task, record));
  found.change = {
    ...found.change,
    promote: found.change.promote + promote,
    record: { ...record, waiting: waiting - promote, running: running + promote },
  };
}

/** Retries that this very decision has put among those that wait: no row of them is there yet that could be withdrawn. */
function finishHeld(draft: Draft, found: BroadcastDraft): void {
  undoStarts(draft, found);
  for (const failure of found.failures.splice(0)) finishSubtask(draft, found, failure, 'failed');
}

/** Some subtask waits, and there is a place for it or none will ever be. */
function mayHandOver(draft: Draft, { change: { task, record } }: BroadcastDraft): boolean {
  if (record?.phase !== 'fan' || record.waiting === 0) return false;
  if (tooManyFailed(draft, task, record) !== undefined) return true;
  return !isHolding(draft) && places(draft, task, record) > 0;
}

function places(draft: Draft, task: string, { running, total }: BroadcastRecord): number {
  return (broadcastOf(draft, task).parallel ?? total) - running;
}

/** Every subtask has ended: `after` is next, or the task's end. */
function fanEnded(draft: Draft, { change: { task, record } }: BroadcastDraft): void {
  if (record === undefined) return;
  const { after } = broadcastOf(draft, task);
  const goesOn = mayGoOn(draft, task) && record.stopped === 0;
  if (after !== undefined && goesOn) {
    setRecord(draft, task, { ...record, phase: 'after' });
    const attempt = record.priorAttempts + 1;
    return lineUp(draft, 'running', { task, attempt, losses: 0, step: 'after', delayMs: 0 });
  }
  const { total, succeeded, failed, lost, sinceAgoMs: startedAgoMs } = record;
  const ran = { task, attempt: 0, startedAgoMs, outputs: { total, succeeded, failed, lost } };
  const over = tooManyFailed(draft, task, record);
  const whole = after === undefined && record.stopped === 0;
  if (over !== undefined) endTask(draft, 'running', { ...ran, state: 'failed', reason: over });
  else if (whole) endTask(draft, 'running', { ...ran, state: 'succeeded' });
  else endTask(draft, 'running', { ...ran, state: 'stopped', reason: STOPPED });
}

/** Why the broadcast has failed, if it has. */
function tooManyFailed(draft: Draft, task: string, { total, failed, lost }: BroadcastRecord): Reason | undefined {
  const { maxFailed } = broadcastOf(draft, task);
  if (failed + lost <= maxFailed) return undefined;
  const parts = [...(failed > 0 ? [`${failed} failed`] : []), ...(lost > 0 ? [`${lost} lost`] : [])];
  const allowed = maxFailed === 0 ? 'none may' : `at most ${maxFailed} may`;
  return { code: 'broadcast-failed', message: `${parts.join(', ')} of ${total} subtasks; ${allowed}` };
}

/** While `onFailure: end` winds the instance up, only what accepts a failure goes on. */
function mayGoOn(draft: Draft, task: string): boolean {
  return goesOn(draft) && (!draft.live.ending || acceptsFailure(planned(draft, task)));
}
