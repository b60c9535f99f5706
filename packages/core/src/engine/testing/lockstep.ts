import { isHolding } from '../line.ts';
import { SKIPPED_BY_OPERATOR } from '../operations.ts';
import type { AttemptEnded, EngineEvent, GenerationMode } from '../view.ts';
import { instanceWorld } from './instance-world.ts';
import { asked, attemptEnded, begun, claimed, newModel, operated, started, unbegun } from './model.ts';
import type { Model, ModelState } from './model.ts';
import type { Fate } from './reference.ts';
import { definitionOf } from './scenario.ts';
import type { TaskSpec } from './scenario.ts';

export const MODES: readonly GenerationMode[] = ['rerun', 'recover', 'from', 'only', 'force-success'];

/** The engine and the model, side by side: the same happens to both, and after each step they have to agree. */
export function lockstep(specs: readonly TaskSpec[], onFailure: 'continue' | 'end', queued: boolean) {
  const definition = definitionOf(specs, onFailure);
  const it = instanceWorld(definition, { queued });
  const both = {
    it,
    specs,
    model: newModel(definition, queued),
    before: newModel(definition, false),
    begin: undefined as Begin,
  };
  if (!queued) drained(both, started);
  return both;
}

type Begin = Extract<EngineEvent, { readonly type: 'begin' }> | undefined;
export type Both = ReturnType<typeof lockstep>;

/** Applies all commands in their order; then the model makes the same move, and both are compared. */
export function drained(both: Both, move: (model: Model) => Model): void {
  const { it } = both;
  const from = it.history.length;
  const raced: string[] = [];
  it.meanwhile = (): void => {
    for (const task of [...it.ready.keys()].slice(0, 1)) {
      it.claim(task);
      raced.push(task);
    }
  };
  while (it.commands.length > 0 && it.state.end === undefined) it.step(it.commands.splice(0, 1));
  it.meanwhile = () => undefined;
  const { refused: _refused, ...model } = both.model;
  both.model = move(raced.reduce(claimed, model));
  const events = it.history.slice(from).flatMap((entry) => entry.events);
  const refusals = events.flatMap((event) => (event.type === 'operation-refused' ? [event.reason.code] : []));
  same(both, refusals, both.model.refused === undefined ? [] : [both.model.refused]);
  compare(both);
}

function compare(both: Both): void {
  const { it, model } = both;
  same(both, it.state.end ?? it.live.state, model.state);
  const ids = Object.keys(model.tasks);
  // What a stop took out of the line ends with the instance.
  const inLine = model.state === 'stopping' ? 'waiting' : 'line';
  same(
    both,
    ids.map((id) => [id, seenAs(it, id)]),
    ids.map((id) => [id, model.tasks[id] === 'line' ? inLine : model.tasks[id]]),
  );
  if (isHolding(it)) same(both, [it.ready.size, it.delayed.size], [0, 0]);
  else same(both, it.held.size, 0);
}

/** Throws with all that has happened, for the one who reads a failure. */
function same({ it }: Both, seen: unknown, expected: unknown): void {
  if (JSON.stringify(seen) === JSON.stringify(expected)) return;
  const told = it.history.map(({ events }) => JSON.stringify(events)).join('\n');
  throw new Error(`${told}\nthe engine: ${JSON.stringify(seen)}\nthe model:  ${JSON.stringify(expected)}`);
}

function seenAs(it: Both['it'], id: string): ModelState {
  const end = it.finished.get(id);
  const { code } = end?.reason ?? {};
  if (end?.state === 'skipped')
    return code === SKIPPED_BY_OPERATOR
      ? 'skipped*'
      : code === 'condition-false'
        ? 'skipped?'
        : code === 'failure-ends-instance'
          ? 'skipped!'
          : 'skipped';
  if (end?.state === 'lost') throw new Error('no task ends lost');
  if (end !== undefined) return end.state;
  if (it.ready.has(id) || it.delayed.has(id) || it.held.has(id)) return 'line';
  return [...it.active.values()].some(({ task }) => task === id) ? 'running' : 'waiting';
}

/** An operator's command, and the model's. */
export function operate(both: Both, operation: 'pause' | 'resume' | 'stop' | 'skip-task', task: string): void {
  const { it, model, before } = both;
  const named = operation === 'skip-task' ? { task } : {};
  const event = { type: operation, by: 'op', ...named } as EngineEvent;
  it.commands.push(event);
  // Nobody leaves a command for an instance that has ended.
  if (it.state.end !== undefined) return void it.commands.splice(0);
  drained(both, (now) => {
    const keeps = operation === 'stop' && !now.begun && it.live.generation > 1;
    return operated(keeps ? unbegun(now, before) : now, operation, task);
  });
  if (model.state === 'queued') both.begin = it.state.end === undefined ? both.begin : undefined;
}

/** The limit has a place for it. */
export function letIn(both: Both): void {
  const { it, before, begin } = both;
  it.commands.push(begin ?? { type: 'start' });
  both.begin = undefined;
  const ran = ranBefore(both);
  drained(both, (now) => (begin === undefined ? started(now) : begun(now, before, ran, begin.mode, begin.task)));
}

/** The limit has no place for it, and its policy is not to wait. */
export function discard(both: Both): void {
  const { it, before } = both;
  it.commands.push({ type: 'discard', reason: { code: 'discarded', message: 'no place' } });
  drained(both, (now) => operated(it.live.generation > 1 ? unbegun(now, before) : now, 'stop'));
}

export function again(both: Both, mode: GenerationMode, task: string, queued: boolean): void {
  const { it } = both;
  const named = mode === 'rerun' || mode === 'recover' ? undefined : task;
  both.before = both.model;
  both.model = asked(both.model, queued);
  it.again(mode, named, { queued });
  const { before } = both;
  const ran = ranBefore(both);
  if (queued) both.begin = { type: 'begin', mode, by: 'test', ...(named === undefined ? {} : { task: named }) };
  else drained(both, (now) => begun(now, before, ran, mode, named));
}

function ranBefore({ it }: Both): Set<string> {
  return new Set([...it.prior].filter(([, { ran }]) => ran).map(([id]) => id));
}

/** An attempt ends: as its spec says, or as it was asked to. */
export function endOne(both: Both, pick: number): void {
  const { it, specs } = both;
  const running = [...it.active.values()];
  const attempt = running[pick % running.length];
  if (attempt === undefined) return;
  const fates = specs[Number(attempt.task.slice(1))]?.fates ?? [];
  const fate = fates[(attempt.attempt - 1 + it.live.generation) % fates.length] ?? 'succeeded';
  const end: Fate | 'stopped' = attempt.killReason !== null && pick % 3 > 0 ? 'stopped' : fate;
  const event: AttemptEnded = { type: 'attempt-ended', attempt, end, reason: { code: 'x', message: 'x' } };
  it.commands.unshift(event);
  drained(both, (now) => attemptEnded(now, attempt.task, end));
}

/** A worker takes a task. */
export function claimOne(both: Both, pick: number): void {
  const { it } = both;
  const task = [...it.ready.keys()][pick % it.ready.size];
  if (task === undefined) return;
  it.claim(task);
  drained(both, (now) => claimed(now, task));
}

/** A delay is over. */
export function releaseOne(both: Both, pick: number): void {
  const { it } = both;
  const task = [...it.delayed.keys()][pick % it.delayed.size];
  if (task === undefined) return;
  it.release(task);
  drained(both, (now) => now);
}
