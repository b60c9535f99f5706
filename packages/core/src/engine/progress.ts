import type { TaskPlan } from '../definition/plan.ts';
import { beginBroadcast, dropBroadcast, haltBroadcasts } from './broadcast-begin.ts';
import { ExpressionError } from '../expression/expression-error.ts';
import { evaluateCondition } from '../expression/evaluate.ts';
import type { Scope } from '../expression/scope.ts';
import type { JsonObject } from '../json.ts';
import type { FinishedTask } from './changes.ts';
import { mayHaveRows, needsRecord, planned, recordOf, requireRecords } from './draft.ts';
import type { Draft } from './draft.ts';
import { goesOn, lineUp, undoLine } from './line.ts';
import { SKIPPED_BY_OPERATOR } from './operations.ts';
import type { Reason } from './reason.ts';
import { assertTaskTransition } from './states.ts';
import type { TaskEndState, TaskState } from './states.ts';

/**
 * Writes the end of a task and everything that follows from it at once: successors that become ready, delayed or
 * skipped, and the successors of those. Iterative, so that a chain of any length can be skipped.
 */
export function endTask(draft: Draft, from: TaskState, ending: FinishedTask): void {
  recordEnd(draft, from, ending);
  const ended: FinishedTask[] = [ending];
  for (let next = ended.pop(); next !== undefined; next = ended.pop()) {
    if (!goesOn(draft)) continue;
    requireRecords(draft, neededFor(draft, next.task));
    for (const successor of planned(draft, next.task).successors) {
      const followUp = arrive(draft, planned(draft, successor), next);
      if (followUp === undefined) continue;
      recordEnd(draft, 'waiting', followUp);
      ended.push(followUp);
    }
  }
}

/** Rows that the arrival at its successors reads, all of them at once: each round of loading is a round trip under the lock. */
function* neededFor(draft: Draft, task: string): Generator<string> {
  for (const id of planned(draft, task).successors) {
    const successor = planned(draft, id);
    if (mayHaveRows(draft, successor)) yield id;
    for (const ref of successor.conditionRefs) if (ref !== task) yield ref;
  }
}

/** One need of `task` has ended. Answers the task's own end if that decides it, or puts the task in line. */
function arrive(draft: Draft, task: TaskPlan, need: FinishedTask): FinishedTask | undefined {
  const id = task.definition.id;
  const record = recordOf(draft, id);
  if (record.end !== undefined) return undefined;
  const accepts = task.definition.needs[need.task] ?? [];
  if (!meetsNeed(accepts, { state: need.state, code: need.reason?.code }))
    return skipped(draft, id, needNotMet(need, accepts));
  const met = record.met + 1;
  if (met < task.needs.length) {
    draft.tasks.set(id, { met });
    draft.counters.set(id, met);
    return undefined;
  }
  return admit(draft, task);
}

/** Every need of the task is met (or it has none): in line, skipped, or failed by its own condition. */
export function admit(draft: Draft, task: TaskPlan): FinishedTask | undefined {
  const { id, delayMs } = task.definition;
  if (draft.live.ending && !acceptsFailure(task)) return skipped(draft, id, FAILURE_ENDS_INSTANCE);
  const condition = conditionHolds(draft, task);
  if (condition !== true) {
    if (condition === false)
      return skipped(draft, id, { code: 'condition-false', message: `if: ${task.definition.if} is false` });
    requireCascade(draft, [id]);
    return { task: id, state: 'failed', attempt: 0, reason: condition };
  }
  if (task.definition.broadcast !== undefined) return admitBroadcast(draft, task);
  leaveWaiting(draft, task);
  lineUp(draft, 'waiting', { task: id, attempt: 1, losses: 0, delayMs, ...(delayMs > 0 ? { cause: 'delay' } : {}) });
  return undefined;
}

/** Fails at once where there is no worker for it. */
function admitBroadcast(draft: Draft, task: TaskPlan): FinishedTask | undefined {
  const ended = beginBroadcast(draft, task);
  if (ended === undefined) leaveWaiting(draft, task);
  else requireCascade(draft, [ended.task]);
  return ended;
}

export const FAILURE_ENDS_INSTANCE: Reason = {
  code: 'failure-ends-instance',
  message: 'another task failed and onFailure is end',
};

export function skipped(draft: Draft, task: string, reason: Reason): FinishedTask {
  requireCascade(draft, [task]);
  return { task, state: 'skipped', attempt: 0, reason };
}

export function needNotMet(need: Pick<FinishedTask, 'task' | 'state'>, accepts: readonly TaskEndState[]): Reason {
  return {
    code: 'need-not-met',
    message: `needs ${need.task} to end ${accepts.join(' or ')}, but it ended ${need.state}`,
  };
}

/** Whether this end is what a successor needs. A task that an operator has skipped counts like one that succeeded. */
export function meetsNeed(
  accepts: readonly TaskEndState[] | undefined,
  end: { readonly state: TaskEndState; readonly code?: string | undefined } | undefined,
): boolean {
  if (accepts === undefined || end === undefined) return false;
  const { state, code } = end;
  return accepts.includes(state) || (code === SKIPPED_BY_OPERATOR && accepts.includes('succeeded'));
}

/** While `onFailure: end` winds an instance up, only such a task starts. */
export function acceptsFailure(task: TaskPlan): boolean {
  return Object.values(task.definition.needs).some((accepts) => accepts.includes('failed'));
}

/** Writes the end of a task, and nothing that follows from it. */
export function recordEnd(draft: Draft, from: TaskState, ending: FinishedTask): void {
  assertTaskTransition(from, ending.state);
  const task = planned(draft, ending.task);
  if (from === 'waiting') leaveWaiting(draft, task);
  if (task.definition.broadcast !== undefined) dropBroadcast(draft, ending.task);
  const code = ending.reason === undefined ? {} : { code: ending.reason.code };
  draft.tasks.set(ending.task, { met: 0, end: { state: ending.state, outputs: ending.outputs ?? {}, ...code } });
  draft.finished.push(ending);
  draft.live = {
    ...draft.live,
    unfinished: draft.live.unfinished - 1,
    hasArtifacts: draft.live.hasArtifacts || (ending.artifacts?.length ?? 0) > 0,
  };
  draft.events.push({
    type: 'task-ended',
    task: ending.task,
    state: ending.state,
    attempt: ending.attempt,
    ...(ending.attemptId === undefined ? {} : { attemptId: ending.attemptId }),
    ...(ending.reason === undefined ? {} : { reason: ending.reason }),
  });
  if (ending.state === 'failed' && !task.definition.allowFailure) noteFailure(draft, ending);
}

function noteFailure(draft: Draft, ending: FinishedTask): void {
  const reason = ending.reason ?? { code: 'failed', message: 'the task failed' };
  const { live } = draft;
  const strikes = draft.view.plan.definition.onFailure === 'end' && !live.ending && goesOn(draft);
  draft.live = {
    ...draft.live,
    failed: draft.live.failed + 1,
    failure: live.failed > 0 && live.failure !== null ? live.failure : { task: ending.task, reason },
    ending: draft.live.ending || strikes,
  };
  if (!strikes) return;
  draft.withdraw = 'skip';
  undoLine(draft);
  draft.events.push({ type: 'failure-ends-instance', task: ending.task });
  haltBroadcasts(draft, FAILURE_ENDS_INSTANCE);
}

function leaveWaiting(draft: Draft, task: TaskPlan): void {
  if (!needsRecord(task)) return;
  draft.counters.delete(task.definition.id);
  draft.droppedCounters.push(task.definition.id);
}

/** True, false, or the reason why the condition cannot be evaluated. */
function conditionHolds(draft: Draft, task: TaskPlan): boolean | Reason {
  if (task.condition === undefined) return true;
  requireRecords(draft, task.conditionRefs);
  const tasks: Record<string, { state: TaskState; outputs: JsonObject }> = {};
  for (const ref of task.conditionRefs) tasks[ref] = recordOf(draft, ref).end ?? { state: 'waiting', outputs: {} };
  const scope: Scope = { ...draft.view.scope, tasks };
  try {
    return evaluateCondition(task.condition, scope);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return { code: 'expression-error', message: `if: ${error.message}` };
  }
}

/**
 * Throws `MissingRows` for the rows below these tasks that a cascade of skips may touch, all of them at once. Each task is looked at once in
 * a decision, however long the cascade is.
 */
export function requireCascade(draft: Draft, tasks: readonly string[]): void {
  const wanted = new Set<string>();
  const open = [...tasks];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (draft.cascades.has(next)) continue;
    draft.cascades.add(next);
    for (const id of planned(draft, next).successors) {
      const below = planned(draft, id);
      if (mayHaveRows(draft, below)) wanted.add(id);
      for (const ref of below.conditionRefs) wanted.add(ref);
      open.push(id);
    }
  }
  requireRecords(draft, wanted);
}
