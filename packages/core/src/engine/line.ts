import type { HeldTask } from './changes.ts';
import type { Draft } from './draft.ts';
import { assertTaskTransition } from './states.ts';
import type { TaskState } from './states.ts';

/** Tasks of such an instance go on: what follows from an end follows, though it may be held. */
export function goesOn({ live, end }: Pick<Draft, 'live' | 'end'>): boolean {
  return end === undefined && live.begun && GOING.has(live.state);
}

const GOING: ReadonlySet<string> = new Set(['running', 'pausing', 'paused']);

/** What is to start now waits until the instance is resumed. */
export function isHolding({ live }: Pick<Draft, 'live'>): boolean {
  return live.state === 'pausing' || live.state === 'paused';
}

/** Puts a task in line, or to its delay if there is a cause for one; while the instance is pausing or paused it is held instead. */
export function lineUp(draft: Draft, from: TaskState, item: HeldTask): void {
  const { task, attempt, cause, delayMs } = item;
  assertTaskTransition(from, cause === undefined ? 'ready' : 'delayed');
  const held = isHolding(draft) ? { held: true as const } : {};
  if (isHolding(draft)) draft.held.push(item);
  else startLine(draft, item);
  if (cause === undefined) draft.events.push({ type: 'task-ready', task, attempt, ...held });
  else draft.events.push({ type: 'task-delayed', task, attempt, cause, delayMs, ...held });
}

function startLine(draft: Draft, { cause, delayMs, fanOut, ...task }: HeldTask): void {
  if (cause === undefined) draft.ready.push(task);
  else draft.delayed.push({ ...task, cause, delayMs, ...(fanOut === undefined ? {} : { fanOut }) });
}

/** What this decision has put in line so far is held. */
export function holdLine(draft: Draft): void {
  draft.held.push(...draft.ready.splice(0).map((task) => ({ ...task, delayMs: 0 })), ...draft.delayed.splice(0));
}

/** What this decision has held so far goes in line. */
export function releaseLine(draft: Draft): void {
  for (const item of draft.held.splice(0)) startLine(draft, item);
}

/** Nothing that this decision has put in line so far shall start after all. */
export function undoLine(draft: Draft): void {
  for (const { task, attempt } of draft.ready.splice(0)) draft.takenBack.push({ task, attempt, from: 'ready' });
  for (const { task, attempt } of draft.delayed.splice(0)) draft.takenBack.push({ task, attempt, from: 'delayed' });
  for (const { task, attempt } of draft.held.splice(0)) draft.takenBack.push({ task, attempt, from: 'held' });
}

/** Takes this task out of what this decision has put in line. Answers the state that it was in there. */
export function leaveLine(draft: Draft, task: string): 'ready' | 'delayed' | undefined {
  for (const line of [draft.ready, draft.delayed, draft.held]) {
    const at = line.findIndex((one) => one.task === task);
    if (at < 0) continue;
    const [taken] = line.splice(at, 1);
    return taken !== undefined && 'cause' in taken && taken.cause !== undefined ? 'delayed' : 'ready';
  }
  return undefined;
}
