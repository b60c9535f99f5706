import type { TaskDefinition, WorkflowDefinition } from '../../definition/model.ts';
import type { InstanceState } from '../states.ts';
import type { GenerationMode } from '../view.ts';
import type { Fate } from './reference.ts';

/**
 * What an instance and its tasks are, as sets would tell it: no counters, no lines, no events. `skipped*` is what an operator skipped, `skipped?` what
 * its condition did, `skipped!` what the failure of another task did. After anything that happens, everything that follows is found by looking at all tasks again and again until nothing changes: slow, and plain.
 */
export interface Model {
  readonly definition: WorkflowDefinition;
  readonly state: InstanceState;
  readonly begun: boolean;
  readonly ending: boolean;
  readonly tasks: Readonly<Record<string, ModelState>>;
  /** In line for another attempt: these have run before. */
  readonly again: Readonly<Record<string, { readonly failures: number; readonly losses: number }>>;
  /** The one that runs alone, whatever it needs. */
  readonly alone?: string;
  /** Tasks that were carried into this generation. */
  readonly carried: readonly string[];
  readonly refused?: string;
}

export type ModelState = 'waiting' | 'line' | 'running' | ModelEnd;
type ModelEnd = 'succeeded' | 'failed' | 'skipped' | 'skipped*' | 'skipped?' | 'skipped!' | 'stopped';

const isEnd = (state: ModelState | undefined): state is ModelEnd =>
  state !== undefined && !['waiting', 'line', 'running'].includes(state);
const OVER: readonly InstanceState[] = ['succeeded', 'failed', 'stopped'];

export function newModel(definition: WorkflowDefinition, queued: boolean): Model {
  const tasks = Object.fromEntries(Object.keys(definition.tasks).map((id) => [id, 'waiting' as const]));
  return {
    definition,
    state: queued ? 'queued' : 'running',
    begun: false,
    ending: false,
    tasks,
    again: {},
    carried: [],
  };
}

const set = (model: Model, task: string, state: ModelState): Model => ({
  ...model,
  tasks: { ...model.tasks, [task]: state },
});
const tasksThatAre = ({ tasks }: Model, state: ModelState): string[] =>
  Object.keys(tasks).filter((id) => tasks[id] === state);

export function started(model: Model): Model {
  return follow({ ...model, begun: true, state: model.state === 'queued' ? 'running' : model.state });
}

export function claimed(model: Model, task: string): Model {
  return set(model, task, 'running');
}

/** An attempt has ended; `killed`: it had been asked to. */
export function attemptEnded(model: Model, task: string, fate: Fate | 'stopped'): Model {
  const definition = model.definition.tasks[task];
  if (definition === undefined) throw new Error(`no task ${task}`);
  if (fate === 'succeeded') return follow(set(model, task, 'succeeded'));
  const before = model.again[task] ?? { failures: 0, losses: 0 };
  const windsUp = model.ending || model.state === 'stopping';
  if (windsUp) return follow(fate === 'failed' ? failed(model, task) : set(model, task, 'stopped'));
  const counted = {
    failures: before.failures + (fate === 'failed' ? 1 : 0),
    losses: before.losses + (fate === 'failed' ? 0 : 1),
  };
  const over =
    fate === 'failed' ? counted.failures > definition.retry.max : counted.losses > (definition.onLost?.retries ?? 3);
  if (over) return follow(failed(model, task));
  return follow({ ...set(model, task, 'line'), again: { ...model.again, [task]: counted } });
}

function failed(model: Model, task: string): Model {
  const after = set(model, task, 'failed');
  const strikes =
    model.definition.onFailure === 'end' &&
    model.definition.tasks[task]?.allowFailure !== true &&
    !model.ending &&
    model.state !== 'stopping';
  if (!strikes) return after;
  const line = tasksThatAre(after, 'line').map((id) => [id, id in model.again ? 'stopped' : 'skipped!'] as const);
  return { ...after, ending: true, tasks: { ...after.tasks, ...Object.fromEntries(line) } };
}

/** What an operator asks; `refused` says why not. */
export function operated(model: Model, operation: 'pause' | 'resume' | 'stop' | 'skip-task', task = ''): Model {
  const fresh: Model = { ...model };
  const no = (refused: string): Model => ({ ...fresh, refused });
  const { state } = model;
  if (OVER.includes(state)) return no('instance-ended');
  if (operation === 'stop') {
    if (state === 'queued') return finished({ ...fresh, state: 'stopping' });
    return follow({ ...fresh, state: 'stopping' });
  }
  if (state === 'stopping') return no('instance-stopping');
  if (operation === 'skip-task') return skipped(fresh, task, no);
  if (state === 'queued') return no('instance-queued');
  if (operation === 'resume') return follow({ ...fresh, state: 'running' });
  return follow({ ...fresh, state: state === 'paused' ? 'paused' : 'pausing' });
}

function skipped(model: Model, task: string, no: (code: string) => Model): Model {
  const now = model.tasks[task];
  if (now === undefined) return no('unknown-task');
  if (now === 'running') return no('task-running');
  if (now === 'skipped*') return model;
  if (isEnd(now)) return no('task-ended');
  const after = set(model, task, 'skipped*');
  return model.begun ? follow(after) : after;
}

function meets(end: ModelEnd, accepts: readonly string[]): boolean {
  if (end === 'skipped*') return accepts.includes('succeeded') || accepts.includes('skipped');
  return accepts.includes(end === 'skipped?' || end === 'skipped!' ? 'skipped' : end);
}

/** What becomes of a task that waits, by the tasks that it needs alone. */
function next(model: Model, { id, needs, if: condition }: TaskDefinition): ModelState {
  const entries = Object.entries(needs);
  const ends = entries.map(([need]) => model.tasks[need]);
  if (model.alone !== id) {
    if (
      entries.some(([, accepts], at) => {
        const end = ends[at];
        return isEnd(end) && !meets(end, accepts);
      })
    )
      return 'skipped';
    if (ends.some((end) => !isEnd(end))) return 'waiting';
  }
  if (model.ending && !entries.some(([, accepts]) => accepts.includes('failed'))) return 'skipped!';
  if (condition === 'false') return 'skipped?';
  return condition === undefined || condition === 'true' ? 'line' : 'failed';
}

function follow(model: Model): Model {
  let now = model;
  if (now.state !== 'stopping' && now.begun)
    for (let changed = true; changed;) {
      changed = false;
      for (const task of Object.values(now.definition.tasks)) {
        if (now.tasks[task.id] !== 'waiting') continue;
        const to = next(now, task);
        if (to === 'waiting') continue;
        now = to === 'failed' ? failed(now, task.id) : set(now, task.id, to);
        changed = true;
      }
    }
  return finished(now);
}

/** Comes to rest where nothing runs. */
function finished(model: Model): Model {
  const ended = Object.values(model.tasks).every(isEnd);
  const busy = tasksThatAre(model, 'running').length > 0;
  if (model.state === 'stopping' && !busy) {
    const rest = Object.keys(model.tasks).filter((id) => !isEnd(model.tasks[id]));
    return {
      ...model,
      state: 'stopped',
      tasks: { ...model.tasks, ...Object.fromEntries(rest.map((id) => [id, 'stopped' as const])) },
    };
  }
  if (model.state === 'stopping' || !model.begun) return model;
  if (ended) return { ...model, state: endState(model) };
  return model.state === 'pausing' && !busy ? { ...model, state: 'paused' } : model;
}

function endState(model: Model): InstanceState {
  const fails = tasksThatAre(model, 'failed').some((id) => model.definition.tasks[id]?.allowFailure !== true);
  if (fails) return 'failed';
  return model.carried.some((id) => model.tasks[id] === 'stopped') ? 'stopped' : 'succeeded';
}

/** The next generation, before it begins. */
export function asked(model: Model, queued: boolean): Model {
  return newModel(model.definition, queued);
}

/**
 * The generation begins.
 *
 * @param before the generation before it, ended
 * @param ran tasks of that one that had an attempt
 */
export function begun(model: Model, before: Model, ran: ReadonlySet<string>, mode: GenerationMode, task = ''): Model {
  const keeps = (id: string): boolean => {
    const end = before.tasks[id];
    if (mode === 'rerun') return false;
    if (mode === 'only') return id !== task;
    if (mode === 'from') return id !== task && !below(before.definition, task).has(id);
    if (mode === 'recover')
      return end === 'succeeded' || end === 'skipped*' || (end === 'skipped?' && settled(before, id));
    const neverRan = ['skipped', 'skipped?', 'skipped!', 'stopped'].includes(end ?? '') && !ran.has(id);
    return id !== task && !(neverRan && becauseOf(before, task).has(id));
  };
  const refused = refusal(before, mode, task);
  const carried = Object.keys(before.tasks).filter(
    (id) => (refused !== undefined || keeps(id)) && model.tasks[id] === 'waiting',
  );
  const kept = Object.fromEntries(carried.map((id) => [id, before.tasks[id] ?? 'waiting'] as const));
  const after: Model = { ...model, carried, tasks: { ...model.tasks, ...kept } };
  if (refused !== undefined) return started({ ...after, refused });
  if (mode === 'only') return started({ ...after, alone: task });
  return started(mode === 'force-success' && after.tasks[task] === 'waiting' ? set(after, task, 'succeeded') : after);
}

/** What had not run because of a task: what is below it; if no other failed, also what its failure ended, and what is below that. */
function becauseOf(before: Model, task: string): Set<string> {
  const { definition, tasks } = before;
  const reached = below(definition, task);
  const others = Object.keys(tasks).filter((id) => id !== task && tasks[id] === 'failed');
  if (others.some((id) => definition.tasks[id]?.allowFailure !== true)) return reached;
  for (const id of tasksThatAre(before, 'skipped!'))
    for (const also of [id, ...below(definition, id)]) reached.add(also);
  return reached;
}

/** A generation that ends before it began keeps what was done before. */
export function unbegun(model: Model, before: Model): Model {
  const kept = Object.keys(before.tasks).filter((id) => model.tasks[id] === 'waiting');
  return {
    ...model,
    tasks: { ...model.tasks, ...Object.fromEntries(kept.map((id) => [id, before.tasks[id] ?? 'waiting'] as const)) },
  };
}

function refusal(before: Model, mode: GenerationMode, task: string): string | undefined {
  if (mode === 'rerun' || mode === 'recover') return undefined;
  const end = before.tasks[task];
  if (end === undefined) return 'unknown-task';
  return mode === 'force-success' && end !== 'failed' && end !== 'stopped' ? 'task-not-failed' : undefined;
}

function below({ tasks }: WorkflowDefinition, task: string): Set<string> {
  const reached = new Set<string>();
  for (let size = -1; size < reached.size;) {
    size = reached.size;
    for (const { id, needs } of Object.values(tasks))
      if (task in needs || Object.keys(needs).some((need) => reached.has(need))) reached.add(id);
  }
  return reached;
}

/** Nothing above it is done again. */
function settled(model: Model, id: string): boolean {
  return Object.keys(model.definition.tasks[id]?.needs ?? {}).every((need) => {
    const end = model.tasks[need];
    return end === 'succeeded' || end === 'skipped*' || (end === 'skipped?' && settled(model, need));
  });
}
