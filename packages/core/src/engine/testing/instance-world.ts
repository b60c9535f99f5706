import type { WorkflowDefinition } from '../../definition/model.ts';
import { compileWorkflow } from '../../definition/plan.ts';
import { runContext } from '../../expression/scope.ts';
import { HANDED_BACK } from '../attempt.ts';
import { decide } from '../decide.ts';
import type {
  EngineEvent,
  GenerationMode,
  InstanceView,
  PriorEnd,
  SnapshotWorker,
  TaskPlace,
  TaskRecord,
} from '../view.ts';
import { freshLive, must, newRows } from './rows.ts';
import type { Rows } from './rows.ts';
import { write } from './write-rows.ts';

/**
 * Holds the rows as the store would, and applies what `decide` says, loading only what it asks for.
 *
 * @param queued a limit holds it back until `letIn`
 */
export function instanceWorld(definition: WorkflowDefinition, { queued = false } = {}) {
  const rows = newRows(definition, queued);
  const { ready, delayed, active, note } = rows;
  note([{ type: 'instance-created', by: 'test', version: '1', ...(queued ? { queued: true } : {}) }]);

  const claim = (task: string): void => {
    const from = ready.get(task);
    if (from === undefined) return;
    must(rows.live.state !== 'paused', 'nothing is claimed of a paused instance');
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
    ready.set(task, { attempt: from.attempt, losses: from.losses });
    note([{ type: 'task-ready', task, attempt: from.attempt }]);
  };

  const step = (events: readonly EngineEvent[]): void => stepOn(rows, events);
  const again = (mode: GenerationMode, task?: string, more: Again = {}): void => newGeneration(rows, mode, task, more);
  return Object.assign(rows, { step, claim, release, again, instance: () => rows.live });
}

export type InstanceWorld = ReturnType<typeof instanceWorld>;

interface Again {
  /** Another version. */
  readonly definition?: WorkflowDefinition;
  readonly queued?: boolean;
}

/** As the API's transaction does it. What a limit holds back gets its `begin` when it is let in. */
function newGeneration(rows: Rows, mode: GenerationMode, task: string | undefined, more: Again): void {
  const { definition = rows.definition, queued = false } = more;
  must(rows.state.end !== undefined, 'only an instance that has ended begins again');
  const generation = rows.live.generation + 1;
  rows.prior = new Map([...rows.finished].map(([id]) => [id, priorEnd(rows, id)]));
  rows.priorRows = new Map(rows.finished);
  rows.definition = definition;
  rows.plan = compileWorkflow(definition);
  rows.live = freshLive(definition, generation, queued);
  rows.state = { loads: 0 };
  for (const ended of [rows.ends, rows.finished, rows.carried]) ended.clear();
  rows.earlier.length = 0;
  rows.commands.length = 0;
  rows.finishedSubtasks.length = 0;
  const named = task === undefined ? {} : { task };
  const held = queued ? { queued: true as const } : {};
  rows.note([{ type: 'generation-created', generation, mode, ...named, by: 'test', version: '1', ...held }]);
  if (!queued) rows.commands.push({ type: 'begin', mode, ...named, by: 'test' });
}

function priorEnd({ finished, earlier, carried, prior }: Rows, id: string): PriorEnd {
  const row = finished.get(id);
  must(row !== undefined, `${id} has ended`);
  const began = row.attempt > 0 || row.startedAgoMs !== undefined || earlier.some(({ task }) => task === id);
  const ran = carried.has(id) ? prior.get(id)?.ran === true : began;
  const { state, reason = null, outputs = {} } = row;
  return { state, reason, ran, artifacts: (row.artifacts?.length ?? 0) > 0, outputs };
}

function recordOf(rows: Rows, task: string): TaskRecord {
  const end = rows.ends.get(task);
  const code = rows.finished.get(task)?.reason?.code;
  return {
    met: rows.counters.get(task) ?? 0,
    ...(end === undefined ? {} : { end: { state: end, outputs: {}, ...(code === undefined ? {} : { code }) } }),
  };
}

function placeOf({ delayed, ready, held, active }: Rows, id: string): TaskPlace {
  if ([...active.values()].some(({ task }) => task === id)) return 'active';
  return delayed.has(id) ? 'delayed' : ready.has(id) ? 'ready' : held.has(id) ? 'held' : 'none';
}

function stepOn(rows: Rows, events: readonly EngineEvent[]): void {
  const tasks = new Map<string, TaskRecord>();
  let activeAttempts: number | undefined;
  let broadcasts: InstanceView['broadcasts'];
  let prior: InstanceView['prior'];
  const handedBack = new Map<string, readonly number[]>();
  const workers = new Map<string, readonly SnapshotWorker[]>();
  const places = new Map<string, TaskPlace>();
  for (;;) {
    const run = runContext({ id: '1', workflow: 'w', project: 'p', timeUtc: '2026-01-01T00:00:00Z', zone: 'UTC' });
    const view: InstanceView = {
      live: rows.live,
      plan: rows.plan,
      scope: { params: {}, run },
      tasks,
      workers,
      handedBack,
      places,
      ...(activeAttempts === undefined ? {} : { activeAttempts }),
      ...(broadcasts === undefined ? {} : { broadcasts }),
      ...(prior === undefined ? {} : { prior }),
    };
    const decision = decide(view, events);
    if (decision.kind === 'decided') return write(rows, decision.changes);
    must(++rows.state.loads < 100_000, 'a decision is made in the end');
    for (const task of decision.missing.tasks) tasks.set(task, recordOf(rows, task));
    if (decision.missing.activeAttempts) activeAttempts = rows.active.size;
    if (decision.missing.broadcasts) broadcasts = new Map(rows.broadcasts);
    if (decision.missing.prior !== undefined) prior = rows.prior;
    for (const task of decision.missing.places) places.set(task, placeOf(rows, task));
    for (const task of decision.missing.workers) workers.set(task, [...rows.workers]);
    for (const task of decision.missing.handedBack) handedBack.set(task, handedBackOf(rows, task));
  }
}

function handedBackOf({ earlier }: Rows, task: string): number[] {
  const back = earlier.filter((one) => one.task === task && one.reason?.code === HANDED_BACK && one.state === 'lost');
  return back.map(({ attempt }) => attempt);
}
