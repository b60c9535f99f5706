import { subtasksOver } from './fold-broadcast.ts';
import { endTask } from './fold-task.ts';
import { REMAINING_REASON, violate } from './folded.ts';
import type { Fold } from './folded.ts';
import type { HistoryEvent } from './history.ts';
import { INSTANCE_TRANSITIONS } from './states.ts';
import type { InstanceState } from './states.ts';

type EventOf<Type extends HistoryEvent['type']> = Extract<HistoryEvent, { readonly type: Type }>;

export function created(fold: Fold, { by, version, queued }: EventOf<'instance-created'>): void {
  const { folded } = fold;
  if (folded.created !== undefined) violate(fold, 'created-twice', 'a second instance-created');
  folded.created = { by, version };
  folded.version = version;
  if (queued === true) folded.state = 'queued';
}

export function started(fold: Fold, { tasks }: EventOf<'instance-started'>): void {
  const { folded } = fold;
  if (folded.generation > 1) violate(fold, 'illegal-transition', 'a later generation is begun by generation-started');
  beginRunning(fold, 'instance-started');
  if (tasks !== fold.tasks.size)
    violate(fold, 'wrong-count', `started with ${tasks} tasks; its version has ${fold.tasks.size}`);
}

/** From here on its tasks may start. It may have been paused before. */
export function beginRunning(fold: Fold, what: string): void {
  const { folded } = fold;
  if (folded.started) violate(fold, 'illegal-transition', `a second ${what}`);
  if (folded.state === 'queued') folded.state = 'running';
  if (!['running', 'pausing', 'paused'].includes(folded.state))
    violate(fold, 'illegal-transition', `${what} while it is ${folded.state}`);
  folded.started = true;
}

export function moveInstance(fold: Fold, to: InstanceState): void {
  const { folded } = fold;
  // Giving up is allowed from every state that is alive.
  const givenUp = folded.parked !== undefined && to === 'failed' && folded.end === undefined;
  if (!givenUp && !INSTANCE_TRANSITIONS[folded.state].includes(to))
    violate(fold, 'illegal-transition', `instance ${folded.state} → ${to}`);
  folded.state = to;
}

/** Nothing of it runs from here on. */
export function paused(fold: Fold): void {
  moveInstance(fold, 'paused');
  for (const [id, { active, subtasks }] of fold.tasks)
    if (active !== undefined || subtasks?.some((one) => one.active !== undefined) === true)
      violate(fold, 'illegal-transition', 'the instance is paused while an attempt is active', id);
}

export function failureEnds(fold: Fold, { task }: EventOf<'failure-ends-instance'>): void {
  const { folded, definition } = fold;
  if (definition.onFailure !== 'end') violate(fold, 'illegal-transition', 'its onFailure is not end', task);
  if (!folded.failures.includes(task)) violate(fold, 'illegal-transition', 'the task has not failed', task);
  folded.ending = true;
}

export function remainingEnded(fold: Fold, event: EventOf<'remaining-ended'>): void {
  const { folded } = fold;
  if (folded.state !== 'stopping' && folded.state !== 'queued' && folded.parked === undefined)
    violate(fold, 'illegal-transition', `remaining-ended while the instance is ${folded.state}`);
  for (const [id, task] of fold.tasks) {
    if (task.end !== undefined) continue;
    if (task.active !== undefined)
      violate(fold, 'ended-too-early', `it ended with the instance while attempt ${task.active.attempt} is active`, id);
    subtasksOver(fold, task, id, 'it ended with the instance');
    task.state = event.state;
    endTask(fold, task, id, { state: event.state, attempt: 0, reason: event.reason ?? REMAINING_REASON });
  }
}

export function instanceEnded(fold: Fold, { state, reason }: EventOf<'instance-ended'>): void {
  const { folded } = fold;
  const by = folded.state;
  moveInstance(fold, state);
  if (folded.unfinished > 0)
    violate(fold, 'ended-too-early', `the instance ended ${state} with ${folded.unfinished} tasks that have not ended`);
  const asked = by === 'stopping' || by === 'queued' || folded.parked !== undefined;
  const told = folded.failures.length > 0 ? 'failed' : folded.stopped.length > 0 ? 'stopped' : 'succeeded';
  if (!asked && state !== told)
    violate(
      fold,
      'wrong-count',
      `the instance ended ${state} with ${folded.failures.length} failed tasks and ${folded.stopped.length} that had been stopped`,
    );
  folded.end ??= { state, reason: reason ?? null };
}
