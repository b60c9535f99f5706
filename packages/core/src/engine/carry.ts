import { downstream } from './downstream.ts';
import { MissingRows, NOTHING_MISSING, recordOf } from './draft.ts';
import type { Draft } from './draft.ts';
import { SKIPPED_BY_OPERATOR, TASK_OPERATION_TABLE, unknownTask } from './operations.ts';
import type { OperationAnswer } from './operations.ts';
import { FAILURE_ENDS_INSTANCE } from './progress.ts';
import type { GenerationMode, PriorEnd } from './view.ts';

type Prior = ReadonlyMap<string, PriorEnd>;

/** How all tasks ended in the generation before; with the outputs that conditions of this one may read. */
export function priorEnds({ view }: Draft): Prior {
  if (view.prior !== undefined) return view.prior;
  const outputs = new Set<string>();
  for (const { conditionRefs } of view.plan.tasks.values()) for (const ref of conditionRefs) outputs.add(ref);
  throw new MissingRows({ ...NOTHING_MISSING, prior: { outputs: [...outputs] } });
}

/** Why a generation of this mode makes no sense; `apply` when it does. */
export function answerBegin(
  draft: Draft,
  prior: Prior,
  mode: GenerationMode,
  task: string | undefined,
): OperationAnswer {
  if (mode === 'rerun' || mode === 'recover') return { kind: 'apply' };
  if (task === undefined || !draft.view.plan.tasks.has(task)) return unknownTask(task ?? '');
  if (mode !== 'force-success') return { kind: 'apply' };
  return TASK_OPERATION_TABLE['force-success'][prior.get(task)?.state ?? 'waiting'];
}

/** The tasks whose ends hold in this generation too, in the order of the file. */
export function carriedTasks(draft: Draft, prior: Prior, mode: GenerationMode, task = ''): string[] {
  const { plan } = draft.view;
  const fresh = freshTasks(draft, prior, mode, task);
  return [...plan.tasks.keys()].filter((id) => prior.has(id) && !fresh.has(id));
}

function freshTasks({ view: { plan } }: Draft, prior: Prior, mode: GenerationMode, task: string): ReadonlySet<string> {
  switch (mode) {
    case 'rerun':
      return new Set(prior.keys());
    case 'only':
      return new Set([task]);
    case 'from':
      return downstream(plan, task).add(task);
    case 'force-success': {
      const ended = endedBy(plan.tasks, prior, task);
      const kept = [...ended, ...downstream(plan, task, ...ended)].filter((id) => neverRan(prior.get(id)));
      return new Set([task, ...kept]);
    }
    case 'recover':
      return undone(plan.tasks, prior);
  }
}

/** What `onFailure: end` has ended because of this task: where another one failed too it may have been that one. */
function endedBy(tasks: Draft['view']['plan']['tasks'], prior: Prior, task: string): string[] {
  const ids = [...tasks.keys()];
  const failed = (id: string): boolean =>
    prior.get(id)?.state === 'failed' && tasks.get(id)?.definition.allowFailure !== true;
  if (ids.some((id) => id !== task && failed(id))) return [];
  return ids.filter((id) => prior.get(id)?.reason?.code === FAILURE_ENDS_INSTANCE.code && neverRan(prior.get(id)));
}

/** What an operator skipped stays skipped. */
function neverRan(end: PriorEnd | undefined): boolean {
  if (end === undefined || end.ran || end.reason?.code === SKIPPED_BY_OPERATOR) return false;
  return end.state === 'skipped' || end.state === 'stopped';
}

/** Tasks that a recovery does again. A condition that was false is asked again where something that the task needs is done again. */
function undone(
  tasks: ReadonlyMap<string, { readonly needs: readonly string[]; readonly successors: readonly string[] }>,
  prior: Prior,
): Set<string> {
  const isDone = (id: string): boolean => {
    const end = prior.get(id);
    return end?.state === 'succeeded' || (end?.state === 'skipped' && end.reason?.code === SKIPPED_BY_OPERATOR);
  };
  const isConditional = (id: string): boolean => {
    const end = prior.get(id);
    return end?.state === 'skipped' && end.reason?.code === 'condition-false';
  };
  const fresh = new Set([...tasks.keys()].filter((id) => !isDone(id) && !isConditional(id)));
  const open = [...fresh];
  for (let next = open.pop(); next !== undefined; next = open.pop())
    for (const id of tasks.get(next)?.successors ?? []) {
      if (fresh.has(id) || !isConditional(id)) continue;
      fresh.add(id);
      open.push(id);
    }
  return fresh;
}

/** These tasks have ended as they did before; one that an operator has skipped meanwhile stays so. Answers those that are carried. */
export function carry(draft: Draft, prior: Prior, tasks: readonly string[]): string[] {
  const { plan } = draft.view;
  const kept: string[] = [];
  let { live } = draft;
  for (const task of tasks) {
    const end = prior.get(task);
    if (end === undefined || recordOf(draft, task).end !== undefined) continue;
    const { state, outputs, reason } = end;
    draft.tasks.set(task, { met: 0, end: { state, outputs, ...(reason === null ? {} : { code: reason.code }) } });
    kept.push(task);
    const fails = state === 'failed' && plan.tasks.get(task)?.definition.allowFailure !== true;
    live = {
      ...live,
      unfinished: live.unfinished - 1,
      failed: live.failed + (fails ? 1 : 0),
      hasArtifacts: live.hasArtifacts || end.artifacts,
    };
  }
  draft.carried.push(...kept);
  draft.live = { ...live, endedAhead: live.endedAhead || kept.length > 0, failure: firstTrouble(draft, prior, kept) };
  return kept;
}

/** What the instance will have failed of, or else was stopped of, if nothing else fails. */
function firstTrouble({ view: { plan } }: Draft, prior: Prior, carried: readonly string[]): Draft['live']['failure'] {
  const failed = carried.find(
    (id) => prior.get(id)?.state === 'failed' && plan.tasks.get(id)?.definition.allowFailure !== true,
  );
  const stopped = carried.find((id) => ['stopped', 'lost'].includes(prior.get(id)?.state ?? ''));
  const task = failed ?? stopped;
  if (task === undefined) return null;
  const reason = prior.get(task)?.reason ?? { code: 'failed', message: 'the task gave no reason' };
  return { task, reason };
}

/** A generation after the first that ends before it has begun: all that was done before stays done, for a later recovery. */
export function carryUnbegun(draft: Draft): void {
  if (draft.live.begun || draft.live.generation === 1) return;
  const prior = priorEnds(draft);
  knowAll(draft);
  const tasks = carry(draft, prior, [...draft.view.plan.tasks.keys()]);
  draft.events.push({ type: 'tasks-carried', tasks });
}

/** Nothing of a generation that has not begun has rows, but for tasks that were skipped meanwhile. */
export function knowAll(draft: Draft): void {
  const { plan, tasks } = draft.view;
  const unknown = [...plan.tasks.keys()].filter((id) => !draft.tasks.has(id) && !tasks.has(id));
  if (draft.live.endedAhead && unknown.length > 0) throw new MissingRows({ ...NOTHING_MISSING, tasks: unknown });
  for (const id of unknown) draft.tasks.set(id, { met: 0 });
}
