import type { TaskPlan } from '../definition/plan.ts';
import { answerBegin, carriedTasks, carry, knowAll, priorEnds } from './carry.ts';
import { planned, recordOf } from './draft.ts';
import type { Draft } from './draft.ts';
import { heeds } from './operate.ts';
import { FORCED_SUCCESS } from './operations.ts';
import { admit, endTask, meetsNeed, needNotMet, recordEnd, skipped } from './progress.ts';
import { assertInstanceTransition } from './states.ts';
import type { EngineEvent } from './view.ts';

/** The first generation begins: what needs nothing is admitted. */
export function start(draft: Draft): void {
  if (!mayBegin(draft) || draft.live.generation > 1) return;
  const { plan } = draft.view;
  if (draft.live.endedAhead) knowAll(draft);
  setBegun(draft);
  draft.events.push({ type: 'instance-started', tasks: plan.taskCount });
  if (draft.live.endedAhead) return launch(draft, arrivals(draft));
  for (const root of plan.roots) {
    const ended = admit(draft, planned(draft, root));
    if (ended !== undefined) endTask(draft, 'waiting', ended);
  }
}

/** A later generation begins: it keeps some ends of the one before, and makes the other tasks anew. */
export function begin(draft: Draft, { mode, task, by }: Extract<EngineEvent, { readonly type: 'begin' }>): void {
  const { generation, versionId: version } = draft.live;
  if (!mayBegin(draft) || generation === 1) return;
  const prior = priorEnds(draft);
  knowAll(draft);
  setBegun(draft);
  const answer = answerBegin(draft, prior, mode, task);
  const wanted = answer.kind === 'apply' ? carriedTasks(draft, prior, mode, task) : [...draft.view.plan.tasks.keys()];
  const carried = carry(draft, prior, wanted);
  const named = task === undefined ? {} : { task };
  draft.events.push({ type: 'generation-started', generation, mode, ...named, by, version, carried });
  const goes = heeds(draft, answer, mode, by, task);
  const alone = goes && mode === 'only' ? task : undefined;
  if (alone !== undefined) skipStrangers(draft, alone);
  const arrived = arrivals(draft, alone);
  if (goes && mode === 'force-success' && task !== undefined) forceSuccess(draft, task, by);
  launch(draft, arrived);
}

/** Once: a second command, from a sweeper that looked at the same moment as another, changes nothing. */
function mayBegin({ live, end }: Draft): boolean {
  return !live.begun && live.state !== 'stopping' && end === undefined;
}

function setBegun(draft: Draft): void {
  if (draft.live.state === 'queued') {
    assertInstanceTransition('queued', 'running');
    draft.live = { ...draft.live, state: 'running' };
  }
  draft.live = { ...draft.live, begun: true };
}

function forceSuccess(draft: Draft, task: string, by: string): void {
  if (recordOf(draft, task).end !== undefined) return;
  const reason = { code: FORCED_SUCCESS, message: `forced to success by ${by}` };
  endTask(draft, 'waiting', { task, state: 'succeeded', attempt: 0, reason });
}

/** Tasks that the generation before did not have yet: they were not asked for. */
function skipStrangers(draft: Draft, alone: string): void {
  const reason = { code: 'not-asked-for', message: `only ${alone} was to run` };
  for (const task of draft.view.plan.tasks.keys())
    if (task !== alone && recordOf(draft, task).end === undefined)
      recordEnd(draft, 'waiting', { task, state: 'skipped', attempt: 0, reason });
}

interface Arrivals {
  /** Every need has ended, as it has to; or there is none. */
  readonly admitted: readonly TaskPlan[];
  /** With the need that ended otherwise. */
  readonly refused: readonly { readonly task: TaskPlan; readonly need: string }[];
}

/** What the ends that are there already mean for the tasks that have none: counts the needs that are met. `alone` starts whatever it needs. */
function arrivals(draft: Draft, alone?: string): Arrivals {
  const admitted: TaskPlan[] = [];
  const refused: { task: TaskPlan; need: string }[] = [];
  for (const [id, task] of draft.view.plan.tasks) {
    if (recordOf(draft, id).end !== undefined) continue;
    const ended = task.needs.filter((need) => recordOf(draft, need).end !== undefined);
    const unmet = ended.find((need) => !meetsNeed(task.definition.needs[need], recordOf(draft, need).end));
    if (id === alone) admitted.push(task);
    else if (unmet !== undefined) refused.push({ task, need: unmet });
    else if (ended.length === task.needs.length) admitted.push(task);
    else if (ended.length > 0) {
      draft.tasks.set(id, { met: ended.length });
      draft.counters.set(id, ended.length);
    }
  }
  return { admitted, refused };
}

/** Starts what can start, and skips what cannot; a cascade of the ones may have ended others. */
function launch(draft: Draft, { admitted, refused }: Arrivals): void {
  const isOpen = ({ definition: { id } }: TaskPlan): boolean => recordOf(draft, id).end === undefined;
  for (const { task, need } of refused) {
    const end = recordOf(draft, need).end;
    if (end === undefined || !isOpen(task)) continue;
    const { id, needs } = task.definition;
    endTask(draft, 'waiting', skipped(draft, id, needNotMet({ task: need, state: end.state }, needs[need] ?? [])));
  }
  for (const task of admitted) {
    if (!isOpen(task)) continue;
    const ended = admit(draft, task);
    if (ended !== undefined) endTask(draft, 'waiting', ended);
  }
}
