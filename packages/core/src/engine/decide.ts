import { downstream } from './downstream.ts';
import type { WorkflowPlan } from '../definition/plan.ts';
import { attemptEnded } from './attempt.ts';
import { begin, start } from './begin.ts';
import { broadcastAttemptEnded, fanOutLater, settleBroadcasts } from './broadcast.ts';
import type { InstanceChanges } from './changes.ts';
import { changesOf, MissingRows, needsRecord, newDraft, planned, recordOf, requireRecords } from './draft.ts';
import type { Draft, Missing } from './draft.ts';
import { goesOn } from './line.ts';
import { discard, pause, resume, setPriority, settle, stop } from './operate.ts';
import { endTask, FAILURE_ENDS_INSTANCE, requireCascade } from './progress.ts';
import { skippedBy, skipTask } from './skip.ts';
import { assertInstanceTransition } from './states.ts';
import type { InstanceEndState } from './states.ts';
import type { EngineEvent, InstanceView, WithdrawnTask } from './view.ts';

export type Decision =
  | { readonly kind: 'decided'; readonly changes: InstanceChanges }
  /** Load these rows and ask again. */
  | { readonly kind: 'missing'; readonly missing: Missing };

/**
 * What follows from these events, in their order, for one instance. Pure: the same view and events give the same
 * changes, and nothing outside is read or written.
 *
 * @throws {IllegalTransition} when an event contradicts the view: the caller's bug or a damaged row, never bad input
 */
export function decide(view: InstanceView, events: readonly EngineEvent[]): Decision {
  const draft = newDraft(view);
  try {
    for (const event of events) apply(draft, event, events);
    settleBroadcasts(draft);
    withdrawn(draft, draft.takenBack.splice(0));
    settle(draft, events);
    endIfDone(draft);
  } catch (error) {
    if (error instanceof MissingRows) return { kind: 'missing', missing: error.missing };
    throw error;
  }
  return { kind: 'decided', changes: changesOf(draft) };
}

function apply(draft: Draft, event: EngineEvent, events: readonly EngineEvent[]): void {
  switch (event.type) {
    case 'start':
      return start(draft);
    case 'begin':
      return begin(draft, event);
    case 'stop':
      return stop(draft, event.by);
    case 'pause':
      return pause(draft, event.by);
    case 'resume':
      return resume(draft, event.by);
    case 'skip-task':
      return skipTask(draft, event.task, event.by, events);
    case 'set-priority':
      return setPriority(draft, event.priority, event.by);
    case 'discard':
      return discard(draft, event.reason);
    case 'withdrawn':
      return withdrawn(draft, event.tasks, event.by);
    case 'attempt-ended':
      return planned(draft, event.attempt.task).definition.broadcast === undefined
        ? attemptEnded(draft, event)
        : broadcastAttemptEnded(draft, event);
    case 'fan-out':
      return fanOutLater(draft, event.task);
    case 'settle':
      return undefined;
  }
}

/** A stopping instance ends these with all the others, when nothing of it runs any more. */
function withdrawn(draft: Draft, tasks: readonly WithdrawnTask[], by?: string): void {
  if (!goesOn(draft)) return;
  const ids = tasks.map(({ task }) => task);
  requireRecords(draft, ids);
  requireCascade(draft, ids);
  for (const { task, attempt, from } of tasks) {
    // An operator may have skipped it while it was nowhere.
    if (recordOf(draft, task).end !== undefined) continue;
    const ran = attempt > 1;
    const state = ran ? 'stopped' : 'skipped';
    const ending =
      by === undefined ? ({ task, state, attempt: 0, reason: FAILURE_ENDS_INSTANCE } as const) : skippedBy(task, by);
    // Held ones keep the state that they had: from both, the same ends are allowed.
    endTask(draft, from === 'held' ? 'ready' : from, ending);
  }
}

function endIfDone(draft: Draft): void {
  if (!goesOn(draft) || draft.live.unfinished > 0) return;
  const { failed, failure } = draft.live;
  const state: InstanceEndState = failed > 0 ? 'failed' : failure === null ? 'succeeded' : 'stopped';
  assertInstanceTransition(draft.live.state, state);
  const reason =
    failure === null
      ? null
      : { code: failed > 0 ? 'task-failed' : 'task-stopped', message: `${failure.task}: ${failure.reason.message}` };
  draft.end = { state, reason };
  draft.events.push({ type: 'instance-ended', state, ...(reason === null ? {} : { reason }) });
  if (reason !== null && state === 'failed')
    draft.alerts.push({ kind: 'instance-failed', payload: { task: failure?.task ?? '', message: reason.message } });
}

/**
 * The task rows that these events will most likely need, so that they can be loaded together with the lock. A wrong
 * guess costs one more read, never a wrong decision.
 */
export function firstDemand(
  plan: WorkflowPlan,
  events: readonly { readonly task: string; readonly failed: boolean }[],
): string[] {
  const demand = new Set<string>();
  for (const { task, failed } of events) {
    const here = plan.tasks.get(task);
    // What an end of a subtask reaches is only known when it is the last one.
    if (here === undefined || here.definition.broadcast !== undefined) continue;
    const reached = failed && here.definition.retry.max === 0 ? downstream(plan, task) : here.successors;
    for (const id of reached) {
      const successor = plan.tasks.get(id);
      if (successor === undefined) continue;
      if (needsRecord(successor)) demand.add(id);
      for (const ref of successor.conditionRefs) if (ref !== task) demand.add(ref);
    }
  }
  return [...demand];
}
