import { activeOf, close, moveTask, needsMet } from './fold-task.ts';
import { violate } from './folded.ts';
import type { Fold, FoldedSubtask, FoldedTask } from './folded.ts';
import type { HistoryEvent } from './history.ts';

type EventOf<Type extends HistoryEvent['type']> = Extract<HistoryEvent, { readonly type: Type }>;

/** From now on the task has these subtasks, each on its worker, and never others. */
export function broadcastStarted(fold: Fold, task: FoldedTask, event: EventOf<'broadcast-started'>): void {
  const { task: id, workers } = event;
  if (fold.definition.tasks[id]?.broadcast === undefined)
    violate(fold, 'illegal-transition', 'a broadcast of a task that is none', id);
  if (task.subtasks !== undefined) violate(fold, 'illegal-transition', 'its workers were chosen before', id);
  if (task.active !== undefined)
    violate(fold, 'second-active-attempt', `its workers are chosen while attempt ${task.active.attempt} is active`, id);
  if (
    new Set(workers.flatMap(({ incarnation, worker }) => [`i${incarnation}`, `w${worker}`])).size <
    2 * workers.length
  )
    violate(fold, 'wrong-worker', 'a worker has more than one subtask', id);
  if (task.state === 'waiting') needsMet(fold, id);
  if (task.state !== 'running') moveTask(fold, task, id, 'running');
  fold.between.delete(id);
  // A delay before it was no attempt.
  task.attempt = task.attempts.at(-1)?.attempt ?? 0;
  task.subtasks = workers.map(({ incarnation, worker }, index) => ({ index, incarnation, worker, attempts: [] }));
}

/** A subtask is handed to the worker that it belongs to. */
export function subtaskDispatched(
  fold: Fold,
  task: FoldedTask,
  event: EventOf<'task-dispatched'> & { readonly subtask: number },
): void {
  const { task: id, attempt, attemptId, incarnation, subtask: index } = event;
  const subtask = subtaskOf(fold, task, id, index);
  if (subtask === undefined) return;
  ownWorker(fold, id, subtask, incarnation);
  if (subtask.end !== undefined)
    violate(fold, 'illegal-transition', `subtask ${index} is dispatched after its end`, id);
  if (subtask.active !== undefined)
    violate(
      fold,
      'second-active-attempt',
      `subtask ${index} is dispatched while ${subtask.active.attemptId} is active`,
      id,
    );
  const last = subtask.attempts.at(-1);
  if (attempt !== (last?.attempt ?? 0) + 1)
    violate(fold, 'wrong-attempt', `attempt ${attempt} of subtask ${index} comes after ${last?.attempt ?? 'none'}`, id);
  if (last !== undefined && BigInt(attemptId) <= BigInt(last.attemptId))
    violate(fold, 'token-not-new', `token ${attemptId} comes after ${last.attemptId} and is not greater`, id);
  subtask.active = { attempt, attemptId, incarnation, state: 'dispatched' };
  subtask.attempts.push(subtask.active);
}

/** An attempt of a subtask has ended, and the subtask gets another one. */
export function subtaskAgain(
  fold: Fold,
  task: FoldedTask,
  event: EventOf<'attempt-ended'> & { readonly subtask: number },
): void {
  const subtask = subtaskOf(fold, task, event.task, event.subtask);
  if (subtask === undefined || !activeOf(fold, subtask, event)) return;
  if (event.end !== 'failed')
    violate(
      fold,
      'illegal-transition',
      `subtask ${event.subtask} gets another attempt after it was ${event.end}`,
      event.task,
    );
  close(subtask, event.end, event.reason);
}

export function subtaskEnded(fold: Fold, task: FoldedTask, event: EventOf<'subtask-ended'>): void {
  const { task: id, state, attempt, attemptId, incarnation, reason } = event;
  const subtask = subtaskOf(fold, task, id, event.subtask);
  if (subtask === undefined) return;
  ownWorker(fold, id, subtask, incarnation);
  if (subtask.end !== undefined) {
    violate(fold, 'attempt-ended-twice', `subtask ${event.subtask} had ended ${subtask.end.state}`, id);
    return;
  }
  if (subtask.active !== undefined) {
    if (activeOf(fold, subtask, event)) close(subtask, state === 'skipped' ? 'stopped' : state, reason);
  } else if (state !== 'lost' && state !== 'stopped')
    violate(fold, 'illegal-transition', `subtask ${event.subtask} ended ${state} and was never handed over`, id);
  subtask.end = { state, attempt, attemptId, ...(reason === undefined ? {} : { reason }) };
}

/** Those that were never handed over end together. */
export function subtasksWithdrawn(fold: Fold, task: FoldedTask, event: EventOf<'subtasks-withdrawn'>): void {
  const bound = (task.subtasks ?? []).filter(({ active, end }) => active === undefined && end === undefined);
  if (bound.length !== event.count)
    violate(
      fold,
      'wrong-count',
      `${event.count} subtasks are withdrawn; ${bound.length} were not handed over`,
      event.task,
    );
  for (const subtask of bound) {
    const attempt = (subtask.attempts.at(-1)?.attempt ?? 0) + 1;
    subtask.end = { state: event.state, attempt, reason: event.reason };
  }
}

/** What comes after the subtasks needs the ends of all of them. */
export function subtasksOver(fold: Fold, task: FoldedTask, id: string, what: string): void {
  const open = (task.subtasks ?? []).filter(({ end }) => end === undefined);
  if (open.length > 0)
    violate(
      fold,
      'ended-too-early',
      `${what} while subtasks ${open.map(({ index }) => index).join(', ')} have not ended`,
      id,
    );
}

function subtaskOf(fold: Fold, task: FoldedTask, id: string, index: number): FoldedSubtask | undefined {
  const subtask = task.subtasks?.[index];
  if (subtask === undefined) violate(fold, 'wrong-worker', `there is no subtask ${index}`, id);
  return subtask;
}

function ownWorker(fold: Fold, id: string, subtask: FoldedSubtask, incarnation: string): void {
  if (subtask.incarnation !== incarnation)
    violate(
      fold,
      'wrong-worker',
      `subtask ${subtask.index} belongs to incarnation ${subtask.incarnation}, not to ${incarnation}`,
      id,
    );
}
