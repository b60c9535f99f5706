import { beginRunning } from './fold-instance.ts';
import { endTask } from './fold-task.ts';
import { freshTasks, violate } from './folded.ts';
import type { Fold, FoldedGeneration } from './folded.ts';
import type { HistoryEvent } from './history.ts';

type EventOf<Type extends HistoryEvent['type']> = Extract<HistoryEvent, { readonly type: Type }>;

/** The instance lives again; its tasks wait. */
export function generationCreated(
  fold: Fold,
  event: EventOf<'generation-created'> | EventOf<'generation-started'>,
): void {
  const { folded } = fold;
  if (folded.end === undefined)
    violate(fold, 'illegal-transition', `generation ${event.generation} is asked for while the one before is alive`);
  if (event.generation !== folded.generation + 1)
    violate(fold, 'wrong-count', `generation ${event.generation} comes after ${folded.generation}`);
  const { created: _created, previous, violations: _violations, ...before } = folded;
  previous.push(before);
  fold.definition = fold.versions(event.version) ?? fold.definition;
  fold.tasks = freshTasks(fold.definition);
  const { generation, mode, task, version } = event;
  const fresh: FoldedGeneration = {
    generation,
    mode,
    ...(task === undefined ? {} : { modeTask: task }),
    version,
    started: false,
    state: 'queued' in event ? 'queued' : 'running',
    ending: false,
    failures: [],
    stopped: [],
    tasks: fold.tasks,
    unfinished: fold.tasks.size,
  };
  for (const key of ['end', 'parked', 'modeTask']) Reflect.deleteProperty(folded, key);
  Object.assign(folded, fresh);
}

/** A master has taken it up. */
export function generationStarted(fold: Fold, event: EventOf<'generation-started'>): void {
  const { folded } = fold;
  if (folded.end !== undefined) generationCreated(fold, event);
  const { generation, mode, task } = event;
  if (generation !== folded.generation || mode !== folded.mode || task !== folded.modeTask)
    violate(
      fold,
      'wrong-count',
      `generation ${generation} (${mode}) begins where ${folded.generation} (${folded.mode ?? 'the first'}) was asked for`,
    );
  beginRunning(fold, 'generation-started');
  carried(fold, event.carried);
}

/** These tasks have ended as in the generation before. */
export function carried(fold: Fold, ids: readonly string[]): void {
  const before = fold.folded.previous.at(-1);
  for (const id of ids) {
    const task = fold.tasks.get(id);
    const prior = before?.tasks.get(id);
    if (task === undefined) {
      violate(fold, 'unknown-task', 'a task is carried that the version does not have', id);
      continue;
    }
    if (task.end !== undefined) violate(fold, 'illegal-transition', 'a task is carried that has ended already', id);
    if (prior?.end === undefined) {
      violate(fold, 'illegal-transition', 'a task is carried that had not ended in the generation before', id);
      continue;
    }
    const { end } = prior;
    task.state = end.state;
    task.attempt = end.attempt;
    task.carriedFrom = prior.carriedFrom ?? before?.generation ?? 0;
    task.attempts.push(...prior.attempts.filter(({ attemptId }) => attemptId === end.attemptId));
    endTask(fold, task, id, end);
    if (end.state === 'stopped' || end.state === 'lost') fold.folded.stopped.push(id);
  }
}
