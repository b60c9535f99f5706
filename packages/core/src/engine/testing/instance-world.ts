import fc from 'fast-check';
import type { WorkflowDefinition } from '../../definition/model.ts';
import { compileWorkflow } from '../../definition/plan.ts';
import { runContext } from '../../expression/scope.ts';
import { taskOf, workflowOf } from '../../testing/definitions.ts';
import type { InstanceChanges } from '../changes.ts';
import { HANDED_BACK } from '../attempt.ts';
import { decide } from '../decide.ts';
import type { HistoryEntry } from '../folded.ts';
import type { HistoryEvent } from '../history.ts';
import type { Reason } from '../reason.ts';
import type { TaskEndState } from '../states.ts';
import type {
  ActiveAttempt,
  AttemptEnded,
  BroadcastRecord,
  EngineEvent,
  InstanceView,
  LiveInstance,
  SnapshotWorker,
  TaskRecord,
} from '../view.ts';
import type { Fate } from './reference.ts';

const ACCEPTS: readonly (readonly TaskEndState[])[] = [
  ['succeeded'],
  ['succeeded', 'failed'],
  ['failed'],
  ['skipped'],
  ['succeeded', 'skipped', 'failed'],
  ['stopped', 'succeeded'],
];

const taskSpec = fc.record({
  needs: fc.array(fc.record({ back: fc.integer({ min: 1, max: 6 }), accepts: fc.constantFrom(...ACCEPTS) }), {
    maxLength: 3,
  }),
  condition: fc.constantFrom(undefined, 'true', 'false', 'params.none == 1'),
  fates: fc.array(fc.constantFrom<Fate>('succeeded', 'failed', 'lost'), { minLength: 6, maxLength: 6 }),
  retries: fc.integer({ min: 0, max: 2 }),
  lossesAllowed: fc.constantFrom(undefined, 0, 1, 2),
  delayed: fc.boolean(),
  allowFailure: fc.boolean(),
});
export type TaskSpec = typeof taskSpec extends fc.Arbitrary<infer T> ? T : never;

/** A random workflow, how each attempt of its tasks would end, and the order in which things happen. */
export const scenario = fc.record({
  specs: fc.array(taskSpec, { minLength: 1, maxLength: 14 }),
  onFailure: fc.constantFrom('continue' as const, 'end' as const),
  order: fc.array(fc.nat(), { minLength: 200, maxLength: 200 }),
});

/** The workflow of these specs: tasks `t0`, `t1`, …, each needing earlier ones only. */
export function definitionOf(specs: readonly TaskSpec[], onFailure: 'continue' | 'end'): WorkflowDefinition {
  const tasks = specs.map((spec, index) => {
    const needs = Object.fromEntries(
      spec.needs.flatMap(({ back, accepts }) => (index - back < 0 ? [] : [[`t${index - back}`, accepts]])),
    );
    return taskOf(`t${index}`, [], {
      needs,
      retry: { max: spec.retries, delayMs: spec.delayed ? 10 : 0, backoff: 'exponential', maxDelayMs: 100 },
      delayMs: spec.delayed ? 5 : 0,
      allowFailure: spec.allowFailure,
      ...(spec.lossesAllowed === undefined ? {} : { onLost: { retries: spec.lossesAllowed } }),
      ...(spec.condition === undefined ? {} : { if: spec.condition }),
    });
  });
  return workflowOf(tasks, { onFailure });
}

/** An instance's rows as the store would hold them, and its history. */
function newRows(definition: WorkflowDefinition) {
  const plan = compileWorkflow(definition);
  const live: LiveInstance = {
    id: '1',
    versionId: '1',
    generation: 1,
    revision: 0,
    state: 'running',
    begun: false,
    endedAhead: false,
    unfinished: plan.taskCount,
    failed: 0,
    ending: false,
    hasArtifacts: false,
    failure: null,
    priority: 0,
  };
  const state: { end?: string; reason?: Reason | null; loads: number } = { loads: 0 };
  const history: HistoryEntry[] = [];
  return {
    definition,
    plan,
    live,
    state,
    counters: new Map<string, number>(),
    ends: new Map<string, TaskEndState>(),
    ready: new Map<string, Lined>(),
    delayed: new Map<string, Lined>(),
    active: new Map<string, ActiveAttempt>(),
    commands: [{ type: 'start' }] as EngineEvent[],
    finished: new Map<string, InstanceChanges['finished'][number]>(),
    earlier: [] as InstanceChanges['earlier'][number][],
    broadcasts: new Map<string, BroadcastRecord>(),
    finishedSubtasks: [] as InstanceChanges['finishedSubtasks'][number][],
    /** Alive: a broadcast that begins now is given to these. */
    workers: [] as SnapshotWorker[],
    lastAttempt: 0,
    history,
    note: (events: readonly HistoryEvent[]): void => {
      if (events.length > 0) history.push({ id: String(history.length + 1), events });
    },
  };
}

type Rows = ReturnType<typeof newRows>;
type Lined = { readonly attempt: number; readonly losses: number; readonly fanOut?: true };

function must(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}

/** Holds the rows as the store would, and applies what `decide` says, loading only what it asks for. */
export function instanceWorld(definition: WorkflowDefinition) {
  const rows = newRows(definition);
  const { ready, delayed, active, note } = rows;
  note([{ type: 'instance-created', by: 'test', version: '1' }]);

  const claim = (task: string): void => {
    const from = ready.get(task);
    if (from === undefined) return;
    ready.delete(task);
    const id = String(++rows.lastAttempt);
    active.set(id, { id, task, attempt: from.attempt, losses: from.losses, state: 'running', killReason: null });
    note([{ type: 'task-dispatched', task, attempt: from.attempt, attemptId: id, incarnation: '1' }]);
    note([{ type: 'task-running', task, attempt: from.attempt, attemptId: id }]);
  };

  const release = (task: string): void => {
    const from = delayed.get(task);
    if (from === undefined) return;
    delayed.delete(task);
    if (from.fanOut === true) return void rows.commands.push({ type: 'fan-out', task });
    ready.set(task, from);
    note([{ type: 'task-ready', task, attempt: from.attempt }]);
  };

  const step = (events: readonly EngineEvent[]): void => stepOn(rows, events);
  return { ...rows, step, claim, release, instance: () => rows.live };
}

function recordOf(rows: Rows, task: string): TaskRecord {
  const end = rows.ends.get(task);
  return { met: rows.counters.get(task) ?? 0, ...(end === undefined ? {} : { end: { state: end, outputs: {} } }) };
}

function stepOn(rows: Rows, events: readonly EngineEvent[]): void {
  const tasks = new Map<string, TaskRecord>();
  let activeAttempts: number | undefined;
  let broadcasts: InstanceView['broadcasts'];
  const handedBack = new Map<string, readonly number[]>();
  const workers = new Map<string, readonly SnapshotWorker[]>();
  for (;;) {
    const run = runContext({ id: '1', workflow: 'w', project: 'p', timeUtc: '2026-01-01T00:00:00Z', zone: 'UTC' });
    const view: InstanceView = {
      live: rows.live,
      plan: rows.plan,
      scope: { params: {}, run },
      tasks,
      workers,
      handedBack,
      ...(activeAttempts === undefined ? {} : { activeAttempts }),
      ...(broadcasts === undefined ? {} : { broadcasts }),
    };
    const decision = decide(view, events);
    if (decision.kind === 'decided') return write(rows, decision.changes);
    rows.state.loads++;
    for (const task of decision.missing.tasks) tasks.set(task, recordOf(rows, task));
    if (decision.missing.activeAttempts) activeAttempts = rows.active.size;
    if (decision.missing.broadcasts) broadcasts = new Map(rows.broadcasts);
    for (const task of decision.missing.workers) workers.set(task, [...rows.workers]);
    for (const task of decision.missing.handedBack) handedBack.set(task, handedBackOf(rows, task));
  }
}

function handedBackOf({ earlier }: Rows, task: string): number[] {
  const back = earlier.filter((one) => one.task === task && one.reason?.code === HANDED_BACK && one.state === 'lost');
  return back.map(({ attempt }) => attempt);
}

function write(rows: Rows, changes: InstanceChanges): void {
  const { ends, finished, counters, commands, state } = rows;
  must(changes.live.revision === rows.live.revision + 1, 'each step is one revision');
  rows.live = changes.live;
  rows.note(changes.events);
  rows.earlier.push(...changes.earlier);
  for (const one of changes.finished) {
    must(!ends.has(one.task), `${one.task} ends once`);
    ends.set(one.task, one.state);
    finished.set(one.task, one);
  }
  for (const id of changes.released) must(rows.active.delete(id), 'only an active attempt is released');
  for (const [task, met] of changes.counters) counters.set(task, met);
  for (const task of changes.droppedCounters) counters.delete(task);
  if (changes.withdraw !== undefined) withdraw(rows);
  if (changes.live.ending)
    for (const { task } of [...changes.ready, ...changes.delayed])
      must(acceptsFailure(rows, task), `${task} may start after a failure`);
  writeBroadcasts(rows, changes);
  for (const one of changes.ready) putIn(rows, rows.ready, one);
  for (const one of changes.delayed) putIn(rows, rows.delayed, one);
  if (changes.withdraw !== undefined)
    for (const { task, killReason } of rows.active.values())
      must(
        killReason !== null || (rows.live.state === 'running' && acceptsFailure(rows, task)),
        `${task} is to end, too`,
      );
  if (changes.withdraw === 'settle') commands.push({ type: 'settle' });
  if (changes.endRemaining?.broadcasts === true) rows.broadcasts.clear();
  if (changes.endRemaining !== undefined)
    for (const task of rows.plan.tasks.keys()) {
      if (ends.has(task)) continue;
      ends.set(task, changes.endRemaining.state);
      const { state: ended, reason } = changes.endRemaining;
      finished.set(task, { task, attempt: 0, state: ended, reason });
    }
  if (changes.end !== undefined) {
    state.end = changes.end.state;
    state.reason = changes.end.reason;
  }
}

function writeBroadcasts(rows: Rows, { broadcasts, subtasks, finishedSubtasks }: InstanceChanges): void {
  rows.finishedSubtasks.push(...finishedSubtasks);
  for (const { task, record, withdraw, promote } of broadcasts) {
    const bound = [...rows.active.values()].filter((one) => one.task === task && one.state === 'bound');
    if (withdraw !== undefined) for (const one of bound.splice(0)) endBound(rows, one, withdraw);
    must(bound.length >= promote, 'as many wait as are handed over');
    for (const one of bound.slice(0, promote)) handOver(rows, one);
    if (record === undefined) rows.broadcasts.delete(task);
    else rows.broadcasts.set(task, record);
  }
  for (const { task, attempt, incarnation, index, state } of subtasks) {
    const id = String(++rows.lastAttempt);
    const one: ActiveAttempt = {
      id,
      task,
      attempt,
      losses: 0,
      state: 'bound',
      killReason: null,
      subtask: { incarnation, index },
    };
    must(
      [...rows.active.values()].every((other) => other.task !== task || other.subtask?.incarnation !== incarnation),
      'a worker has one subtask of a broadcast',
    );
    rows.active.set(id, one);
    if (state === 'dispatched') handOver(rows, one);
  }
  for (const [task, record] of rows.broadcasts) checkCounts(rows, task, record);
}

function endBound(
  rows: Rows,
  one: ActiveAttempt,
  { state, reason }: { state: 'skipped' | 'stopped'; reason: Reason },
): void {
  const { id: attemptId, task, attempt, subtask } = one;
  rows.active.delete(attemptId);
  rows.finishedSubtasks.push({ task, attempt, attemptId, incarnation: subtask?.incarnation ?? '', state, reason });
}

function handOver(rows: Rows, one: ActiveAttempt): void {
  rows.active.set(one.id, { ...one, state: 'dispatched' });
  const { id: attemptId, task, attempt, subtask } = one;
  const incarnation = subtask?.incarnation ?? '';
  rows.note([{ type: 'task-dispatched', task, attempt, attemptId, incarnation, subtask: subtask?.index ?? 0 }]);
}

function checkCounts({ active, finishedSubtasks }: Rows, task: string, record: BroadcastRecord): void {
  const { total, waiting, running, succeeded, failed, lost, stopped, skipped } = record;
  must(waiting + running + succeeded + failed + lost + stopped + skipped === total, 'the counts add up');
  const subtasks = [...active.values()].filter((one) => one.task === task && one.subtask !== undefined);
  must(subtasks.filter(({ state }) => state === 'bound').length === waiting, 'as many wait as the row says');
  must(subtasks.filter(({ state }) => state !== 'bound').length === running, 'as many run as the row says');
  for (const [state, count] of Object.entries({ succeeded, failed, lost, stopped, skipped }))
    must(
      finishedSubtasks.filter((one) => one.task === task && one.state === state).length === count,
      `as many ${state}`,
    );
}

function acceptsFailure({ definition }: Rows, task: string): boolean {
  return Object.values(definition.tasks[task]?.needs ?? {}).some((accepts) => accepts.includes('failed'));
}

function putIn(rows: Rows, line: Map<string, Lined>, one: Lined & { readonly task: string }): void {
  const busy =
    rows.ready.has(one.task) ||
    rows.delayed.has(one.task) ||
    rows.ends.has(one.task) ||
    [...rows.active.values()].some(({ task }) => task === one.task);
  must(!busy, `${one.task} is in one place at a time`);
  line.set(one.task, one);
}

function withdraw({ delayed, ready, active, commands }: Rows): void {
  for (const [from, line] of [
    ['delayed', delayed],
    ['ready', ready],
  ] as const) {
    const tasks = [...line].map(([task, { attempt }]) => ({ task, attempt, from }));
    line.clear();
    if (tasks.length > 0) commands.push({ type: 'withdrawn', tasks });
  }
  for (const [id, attempt] of active) active.set(id, { ...attempt, killReason: 'stop' });
}

export type InstanceWorld = ReturnType<typeof instanceWorld>;

function endOf(it: InstanceWorld, attempt: ActiveAttempt, specs: readonly TaskSpec[]): AttemptEnded {
  const spec = specs[Number(attempt.task.slice(1))];
  if (attempt.killReason !== null) return { type: 'attempt-ended', attempt, end: 'stopped' };
  const fate = spec?.fates[attempt.attempt - 1] ?? 'succeeded';
  return {
    type: 'attempt-ended',
    attempt,
    end: fate,
    ...(fate === 'succeeded' ? {} : { reason: { code: 'x', message: 'x' } }),
  };
}

/** Drives the instance to its end in an order drawn from the scenario, some reports in batches. */
export function drive(
  it: InstanceWorld,
  specs: readonly TaskSpec[],
  order: readonly number[],
  stopAt = Infinity,
  look: () => void = () => undefined,
): void {
  for (let turn = 0; it.state.end === undefined; turn++) {
    must(turn < 2000, 'an instance ends');
    if (turn === stopAt) it.commands.push({ type: 'stop', by: 'test' });
    const pick = order[turn % order.length] ?? 0;
    const moves: (() => void)[] = [
      ...it.commands.map((command) => () => it.step(it.commands.splice(it.commands.indexOf(command), 1))),
      ...[...it.ready.keys()].map((task) => () => it.claim(task)),
      ...[...it.delayed.keys()].map((task) => () => it.release(task)),
    ];
    const running = [...it.active.values()];
    if (running.length > 0) {
      const first = pick % running.length;
      const batch = running.slice(first, first + 1 + (pick % 3));
      moves.push(() => it.step(batch.map((attempt) => endOf(it, attempt, specs))));
    }
    must(moves.length > 0, 'something always drives an instance that has not ended');
    moves[pick % moves.length]?.();
    look();
  }
}
