import { MissingRows, NOTHING_MISSING } from './draft.ts';
import type { Draft } from './draft.ts';
import { haltBroadcasts, touchBroadcasts } from './broadcast-begin.ts';
import { carryUnbegun } from './carry.ts';
import { holdLine, releaseLine, undoLine } from './line.ts';
import { OPERATION_TABLE } from './operations.ts';
import type { Operation, OperationAnswer } from './operations.ts';
import type { Reason } from './reason.ts';
import { assertInstanceTransition } from './states.ts';
import type { InstanceLiveState } from './states.ts';
import type { EngineEvent } from './view.ts';

/** Whether the operation is to be applied in this state. One that is refused is noted; what is so already changes nothing. */
export function applies(draft: Draft, operation: Operation, by: string, task?: string): boolean {
  return heeds(draft, OPERATION_TABLE[operation][draft.end?.state ?? draft.live.state], operation, by, task);
}

/** As `applies`, for an answer that is known. */
export function heeds(draft: Draft, answer: OperationAnswer, operation: Operation, by: string, task?: string): boolean {
  if (answer.kind === 'refuse') {
    const { code, message } = answer;
    draft.events.push({
      type: 'operation-refused',
      operation,
      ...(task === undefined ? {} : { task }),
      by,
      reason: { code, message },
    });
  }
  return answer.kind === 'apply';
}

function moveTo(draft: Draft, state: InstanceLiveState): void {
  assertInstanceTransition(draft.live.state, state);
  draft.live = { ...draft.live, state };
}

/** Nothing more is handed over; what runs goes on. */
export function pause(draft: Draft, by: string): void {
  if (!applies(draft, 'pause', by)) return;
  moveTo(draft, 'pausing');
  draft.withdraw ??= 'hold';
  draft.release = false;
  holdLine(draft);
  draft.events.push({ type: 'pause-requested', by });
}

export function resume(draft: Draft, by: string): void {
  if (!applies(draft, 'resume', by)) return;
  moveTo(draft, 'running');
  // A pause in this very decision has held nothing yet that was there before.
  if (draft.withdraw === 'hold') draft.withdraw = undefined;
  const { state } = draft.view.live;
  draft.release = state === 'pausing' || state === 'paused';
  releaseLine(draft);
  draft.events.push({ type: 'resumed', by });
  touchBroadcasts(draft);
}

/** Stop the instance: nothing new starts, what runs is asked to end. A second request changes nothing. */
export function stop(draft: Draft, by: string): void {
  if (!applies(draft, 'stop', by)) return;
  const { state } = draft.live;
  carryUnbegun(draft);
  moveTo(draft, 'stopping');
  draft.events.push({ type: 'stop-requested', by });
  // Nothing of a queued one is in line or runs, and nothing ever was.
  if (state === 'queued') return endStopped(draft, STOPPED_ON_REQUEST, INSTANCE_STOPPED);
  draft.withdraw = 'settle';
  draft.release = false;
  undoLine(draft);
  haltBroadcasts(draft, STOPPED_ON_REQUEST);
}

const STOPPED_ON_REQUEST: Reason = { code: 'stopped', message: 'stopped on request' };
const INSTANCE_STOPPED: Reason = { code: 'instance-stopped', message: 'the instance was stopped' };

/** Its workflow's policy has no place for it. Too late for one that has been let in. */
export function discard(draft: Draft, reason: Reason): void {
  if (draft.live.state !== 'queued' || draft.end !== undefined) return;
  carryUnbegun(draft);
  endStopped(draft, reason, reason);
}

/** Which of its tasks the workers are offered first. */
export function setPriority(draft: Draft, priority: number, by: string): void {
  if (!applies(draft, 'set-priority', by) || priority === draft.live.priority) return;
  draft.shiftPriority += priority - draft.live.priority;
  draft.live = { ...draft.live, priority };
  draft.events.push({ type: 'priority-set', priority, by });
}

/**
 * A stopping instance is stopped, and a pausing one paused, once no attempt of it can run any more. The step that began that never says so
 * itself: what it took out of the line is only known afterwards, so it leaves a `settle` command.
 */
export function settle(draft: Draft, events: readonly EngineEvent[]): void {
  if (draft.withdraw !== undefined || draft.end !== undefined || events.length === 0) return;
  if (draft.live.state === 'stopping' && activeAttempts(draft) <= draft.released.length)
    endStopped(draft, STOPPED_ON_REQUEST, INSTANCE_STOPPED);
  if (draft.live.state === 'pausing' && draft.live.unfinished > 0 && handedOver(draft, events) <= 0) {
    moveTo(draft, 'paused');
    draft.events.push({ type: 'instance-paused' });
  }
}

function activeAttempts({ view: { activeAttempts: active } }: Draft): number {
  if (active === undefined) throw new MissingRows({ ...NOTHING_MISSING, activeAttempts: true });
  return active;
}

/** Attempts that a worker has. Subtasks that are only bound to theirs do not run. */
function handedOver({ view }: Draft, events: readonly EngineEvent[]): number {
  const { activeAttempts: active, plan } = view;
  const broadcasts = plan.broadcasts ? view.broadcasts : new Map<string, { readonly waiting: number }>();
  if (active === undefined || broadcasts === undefined)
    throw new MissingRows({ ...NOTHING_MISSING, activeAttempts: true, broadcasts: plan.broadcasts });
  const bound = [...broadcasts.values()].reduce((sum, { waiting }) => sum + waiting, 0);
  const ended = events.filter((event) => event.type === 'attempt-ended' && event.attempt.state !== 'bound');
  return active - bound - ended.length;
}

function endStopped(draft: Draft, reason: Reason, remaining: Reason): void {
  assertInstanceTransition(draft.live.state, 'stopped');
  draft.end = { state: 'stopped', reason };
  draft.endRemaining = { state: 'stopped', reason: remaining, broadcasts: draft.view.plan.broadcasts };
  draft.events.push(
    { type: 'remaining-ended', state: 'stopped', ...(remaining === INSTANCE_STOPPED ? {} : { reason: remaining }) },
    { type: 'instance-ended', state: 'stopped', reason },
  );
}
