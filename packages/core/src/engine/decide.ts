import { downstream } from './downstream.ts';
import type { WorkflowPlan } from '../definition/plan.ts';
import { attemptEnded } from './attempt.ts';
import { broadcastAttemptEnded, fanOutLater, settleBroadcasts } from './broadcast.ts';
import type { InstanceChanges } from './changes.ts';
import { changesOf, MissingRows, needsRecord, newDraft, planned, requireRecords } from './draft.ts';
import type { Draft, Missing } from './draft.ts';
import { admit, downstreamRecords, endTask, FAILURE_ENDS_INSTANCE } from './progress.ts';
import { assertInstanceTransition } from './states.ts';
import type { InstanceEndState } from './states.ts';
import { settle, stop } from './stop.ts';
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
    for (const event of events) apply(draft, event);
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

function apply(draft: Draft, event: EngineEvent): void {
  switch (event.type) {
    case 'start':
      return start(draft);
    case 'stop':
      return stop(draft, event.by);
    case 'withdrawn':
      return withdrawn(draft, event.tasks);
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

function start(draft: Draft): void {
  // Once: a second command, from a sweeper that looked at the same moment as another, changes nothing.
  const begun = draft.view.live.revision > 0 || draft.events.some(({ type }) => type === 'instance-started');
  if (begun || draft.live.state !== 'running') return;
  draft.events.push({ type: 'instance-started', tasks: draft.view.plan.tasks.size });
  for (const root of draft.view.plan.roots) {
    const ended = admit(draft, planned(draft, root));
    if (ended !== undefined) endTask(draft, 'waiting', ended);
  }
}

/** A stopping instance ends these with all the others, when nothing of it runs any more. */
function withdrawn(draft: Draft, tasks: readonly WithdrawnTask[]): void {
  if (draft.live.state !== 'running') return;
  requireRecords(draft, new Set(tasks.flatMap(({ task }) => [...downstreamRecords(draft, task)])));
  for (const { task, attempt, from } of tasks) {
    const ran = attempt > 1;
    // Held ones keep the state that they had: from both, the same ends are allowed.
    endTask(draft, from === 'held' ? 'ready' : from, {
      task,
      state: ran ? 'stopped' : 'skipped',
      attempt: 0,
      reason: FAILURE_ENDS_INSTANCE,
    });
  }
}

function endIfDone(draft: Draft): void {
  if (draft.end !== undefined || draft.live.state !== 'running' || draft.live.unfinished > 0) return;
  const state: InstanceEndState = draft.live.failed > 0 ? 'failed' : 'succeeded';
  assertInstanceTransition(draft.live.state, state);
  const failure = draft.live.failure;
  const reason =
    failure === null ? null : { code: 'task-failed', message: `${failure.task}: ${failure.reason.message}` };
  draft.end = { state, reason };
  draft.events.push({ type: 'instance-ended', state, ...(reason === null ? {} : { reason }) });
  if (reason !== null)
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
