import type { BroadcastDefinition } from '../definition/model.ts';
import type { TaskPlan } from '../definition/plan.ts';
import type { FinishedTask } from './changes.ts';
import { MissingRows, NOTHING_MISSING, planned } from './draft.ts';
import type { BroadcastDraft, Draft } from './draft.ts';
import { isHolding, lineUp } from './line.ts';
import type { Reason } from './reason.ts';
import { assertTaskTransition } from './states.ts';
import type { BroadcastRecord, SnapshotWorker } from './view.ts';

export const NEW_RECORD: BroadcastRecord = {
  phase: 'before',
  priorAttempts: 0,
  total: 0,
  waiting: 0,
  running: 0,
  succeeded: 0,
  failed: 0,
  lost: 0,
  stopped: 0,
  skipped: 0,
  sinceAgoMs: 0,
};

/** How a task is broadcast. Throws for one that is not. */
export function broadcastOf(draft: Draft, task: string): BroadcastDefinition {
  const { broadcast } = planned(draft, task).definition;
  if (broadcast === undefined) throw new Error(`task ${task} is no broadcast`);
  return broadcast;
}

/**
 * A broadcast's needs are met: its `before` goes in line like any task; without one the workers are looked at once its delay is over.
 * Answers the task's end if there are none.
 */
export function beginBroadcast(draft: Draft, { definition }: TaskPlan): FinishedTask | undefined {
  const { id: task, delayMs, broadcast } = definition;
  const first = { task, attempt: 1, losses: 0 };
  if (broadcast?.before !== undefined) {
    setRecord(draft, task, NEW_RECORD);
    const cause = delayMs > 0 ? { cause: 'delay' as const } : {};
    lineUp(draft, 'waiting', { ...first, step: 'before', ...cause, delayMs });
    return undefined;
  }
  if (delayMs === 0 && !isHolding(draft)) return fanOut(draft, task, 'waiting', NEW_RECORD);
  lineUp(draft, 'waiting', { ...first, cause: 'delay', delayMs, fanOut: true });
  return undefined;
}

/**
 * Binds a subtask to every worker that is alive in this very transaction; nobody who comes later gets one. Answers the task's end if there
 * is no worker.
 */
export function fanOut(
  draft: Draft,
  task: string,
  from: 'waiting' | 'delayed' | 'dispatched' | 'running',
  record: BroadcastRecord,
): FinishedTask | undefined {
  const workers = draft.view.workers?.get(task);
  if (workers === undefined) throw new MissingRows({ ...NOTHING_MISSING, workers: [task] });
  if (workers.length === 0) return { task, state: 'failed', attempt: 0, reason: noWorkers(draft, task) };
  if (from !== 'running') assertTaskTransition(from, 'running');
  const { parallel = workers.length } = broadcastOf(draft, task);
  const running = Math.min(parallel, workers.length);
  const total = workers.length;
  draft.broadcasts.set(task, {
    change: {
      ...kept(draft, task),
      task,
      record: { ...record, phase: 'fan', total, running, waiting: total - running },
      promote: 0,
    },
    begun: true,
    failures: [],
    retried: [],
  });
  bindAll(draft, task, workers, running);
  draft.events.push({ type: 'broadcast-started', task, workers: [...workers] });
  return undefined;
}

/** What this decision has noted of the broadcast and must not be forgotten by its next phase. */
function kept(draft: Draft, task: string): Pick<BroadcastDraft['change'], 'outputs'> {
  const outputs = draft.broadcasts.get(task)?.change.outputs;
  return outputs === undefined ? {} : { outputs };
}

function bindAll(draft: Draft, task: string, workers: readonly SnapshotWorker[], handedOver: number): void {
  for (const [index, { incarnation }] of workers.entries())
    draft.subtasks.push({
      task,
      attempt: 1,
      incarnation,
      index,
      state: index < handedOver ? 'dispatched' : 'bound',
      delayMs: 0,
    });
}

function noWorkers(draft: Draft, task: string): Reason {
  const { workerGroup, uses } = planned(draft, task).definition;
  return {
    code: 'no-workers',
    message: `there is no live worker in group ${workerGroup} that can run it (${uses}): a broadcast does not wait for one`,
  };
}

/** The broadcast as this decision has it so far; undefined when it is not under way. */
export function broadcastDraft(draft: Draft, task: string): BroadcastDraft | undefined {
  const known = draft.broadcasts.get(task);
  if (known !== undefined) return known;
  const record = loadedBroadcasts(draft).get(task);
  if (record === undefined) return undefined;
  const fresh: BroadcastDraft = { change: { task, record, promote: 0 }, begun: false, failures: [], retried: [] };
  draft.broadcasts.set(task, fresh);
  return fresh;
}

function loadedBroadcasts(draft: Draft): ReadonlyMap<string, BroadcastRecord> {
  const { broadcasts } = draft.view;
  if (broadcasts === undefined) throw new MissingRows({ ...NOTHING_MISSING, broadcasts: true });
  return broadcasts;
}

export function setRecord(draft: Draft, task: string, record: BroadcastRecord): void {
  const known = draft.broadcasts.get(task);
  if (known === undefined)
    draft.broadcasts.set(task, { change: { task, record, promote: 0 }, begun: false, failures: [], retried: [] });
  else known.change = { ...known.change, record };
}

/** The task has ended, and its row with it. */
export function dropBroadcast(draft: Draft, task: string): void {
  const known = draft.broadcasts.get(task);
  const { withdraw } = known?.change ?? {};
  const change = { task, promote: 0, ...(withdraw === undefined ? {} : { withdraw }) };
  draft.broadcasts.set(task, { change, begun: false, failures: [], retried: [] });
}

/** Looks at all broadcasts that are under way: there may be places for subtasks that wait. */
export function touchBroadcasts(draft: Draft): void {
  if (!draft.view.plan.broadcasts) return;
  for (const task of loadedBroadcasts(draft).keys()) broadcastDraft(draft, task);
}

/** Nothing more of any broadcast is handed over: what runs is ended by the kill order, what waits by `settleBroadcasts`. */
export function haltBroadcasts(draft: Draft, reason: Reason): void {
  if (!draft.view.plan.broadcasts) return;
  for (const [task, { begun }] of draft.broadcasts) if (begun) cancel(draft, task);
  for (const task of loadedBroadcasts(draft).keys()) {
    const found = broadcastDraft(draft, task);
    if (found?.change.record === undefined) continue;
    undoStarts(draft, found);
    found.halted ??= reason;
  }
}

/** What this decision had handed over stays; failures that it had given another attempt are open again. */
export function undoStarts(draft: Draft, found: BroadcastDraft): void {
  const { task, record, promote } = found.change;
  if (record === undefined) return;
  const { waiting, running } = record;
  const retried = found.retried.splice(0);
  const again = new Set(retried.map(({ attempt }) => attempt.id));
  removeWhere(draft.subtasks, (one) => one.task === task);
  removeWhere(draft.earlier, ({ attemptId }) => again.has(attemptId));
  removeWhere(draft.events, (event) => event.type === 'attempt-ended' && again.has(event.attemptId));
  found.failures.push(...retried);
  found.change = {
    ...found.change,
    promote: 0,
    record: {
      ...record,
      waiting: waiting + promote - (isHolding(draft) ? retried.length : 0),
      running: running - promote - (isHolding(draft) ? 0 : retried.length),
    },
  };
}

/** It began in this very decision: as if it had not, but for what it had run before. */
function cancel(draft: Draft, task: string): void {
  const prior = draft.broadcasts.get(task)?.change.record?.priorAttempts ?? 0;
  dropBroadcast(draft, task);
  removeWhere(draft.subtasks, (one) => one.task === task);
  removeWhere(draft.events, (event) => event.type === 'broadcast-started' && event.task === task);
  draft.takenBack.push({ task, from: 'ready', attempt: prior + 1 });
}

function removeWhere<T>(list: T[], unwanted: (item: T) => boolean): void {
  const left = list.filter((item) => !unwanted(item));
  list.splice(0, list.length, ...left);
}

export function withdrawWaiting(
  draft: Draft,
  found: BroadcastDraft,
  state: 'skipped' | 'stopped',
  reason: Reason,
): void {
  const { record, task } = found.change;
  if (record === undefined || record.waiting === 0) return;
  const count = record.waiting;
  found.change = {
    ...found.change,
    record: { ...record, waiting: 0, [state]: record[state] + count },
    withdraw: { state, reason },
  };
  draft.events.push({ type: 'subtasks-withdrawn', task, count, state, reason });
}
