import {
  broadcastStarted,
  subtaskAgain,
  subtaskDispatched,
  subtaskEnded,
  subtasksOver,
  subtasksWithdrawn,
} from './fold-broadcast.ts';
import { carried, generationCreated, generationStarted } from './fold-generation.ts';
import { created, failureEnds, instanceEnded, moveInstance, paused, remainingEnded, started } from './fold-instance.ts';
import { activeOf, close, endTask, moveTask, needsMet } from './fold-task.ts';
import type { Holder } from './fold-task.ts';
import { endOfAttempt, violate } from './folded.ts';
import type { Fold, FoldedTask } from './folded.ts';
import type { HistoryEvent } from './history.ts';
import { FORCED_SUCCESS } from './operations.ts';

type EventOf<Type extends HistoryEvent['type']> = Extract<HistoryEvent, { readonly type: Type }>;

/** What may be told of an instance that has ended: of operations, that they came too late. */
const AFTER_END: ReadonlySet<string> = new Set([
  'repaired',
  'operation-refused',
  'generation-created',
  'generation-started',
] satisfies HistoryEvent['type'][]);

/** Applies one event, and notes what forbids it. */
export function applyEvent(fold: Fold, event: HistoryEvent): void {
  const { folded } = fold;
  if (folded.end !== undefined && !AFTER_END.has(event.type))
    violate(
      fold,
      'event-after-end',
      `${event.type} after the instance has ended`,
      'task' in event ? event.task : undefined,
    );
  if (folded.created === undefined && event.type !== 'instance-created' && event.type !== 'repaired') {
    violate(fold, 'no-creation', `${event.type} before instance-created`);
    folded.created = { by: '', version: '' };
  }
  switch (event.type) {
    case 'instance-created':
      return created(fold, event);
    case 'instance-started':
      return started(fold, event);
    case 'generation-created':
      return generationCreated(fold, event);
    case 'generation-started':
      return generationStarted(fold, event);
    case 'tasks-carried':
      return carried(fold, event.tasks);
    case 'stop-requested':
      // What was to follow the attempts that ended here ends with the instance.
      fold.between.clear();
      return moveInstance(fold, 'stopping');
    case 'pause-requested':
      return moveInstance(fold, 'pausing');
    case 'instance-paused':
      return paused(fold);
    case 'resumed':
      return moveInstance(fold, 'running');
    case 'failure-ends-instance':
      return failureEnds(fold, event);
    case 'remaining-ended':
      return remainingEnded(fold, event);
    case 'command-parked':
      folded.parked = event.reason;
      return undefined;
    case 'instance-ended':
      return instanceEnded(fold, event);
    case 'repaired':
    case 'priority-set':
    case 'operation-refused':
      return undefined;
    default:
      return applyTaskEvent(fold, event);
  }
}

type TaskEvent = EventOf<
  | 'task-delayed'
  | 'task-ready'
  | 'task-dispatched'
  | 'task-running'
  | 'timeout-passed'
  | 'attempt-ended'
  | 'task-ended'
  | 'skip-requested'
  | 'broadcast-started'
  | 'subtask-ended'
  | 'subtasks-withdrawn'
>;

function applyTaskEvent(fold: Fold, event: HistoryEvent): void {
  const task = 'task' in event ? fold.tasks.get(event.task) : undefined;
  if (task === undefined) {
    const named = 'task' in event ? event.task : undefined;
    if (named === undefined) violate(fold, 'unknown-event', `${event.type} is no event that this release knows`);
    else violate(fold, 'unknown-task', `${event.type} of a task that the version does not have`, named);
    return;
  }
  const known = event as TaskEvent;
  switch (known.type) {
    case 'task-delayed':
    case 'task-ready':
      return inLine(fold, task, known);
    case 'task-dispatched': {
      const { subtask } = known;
      if (fold.folded.state === 'paused')
        violate(fold, 'illegal-transition', 'it is dispatched while the instance is paused', known.task);
      return subtask === undefined
        ? dispatched(fold, task, known)
        : subtaskDispatched(fold, task, { ...known, subtask });
    }
    case 'task-running':
      return running(fold, task, known);
    case 'timeout-passed':
      activeOf(fold, holderOf(task, known.attemptId), known);
      return undefined;
    case 'attempt-ended': {
      const { subtask } = known;
      return subtask === undefined ? attemptEnded(fold, task, known) : subtaskAgain(fold, task, { ...known, subtask });
    }
    case 'broadcast-started':
      return broadcastStarted(fold, task, known);
    case 'subtask-ended':
      return subtaskEnded(fold, task, known);
    case 'subtasks-withdrawn':
      return subtasksWithdrawn(fold, task, known);
    case 'task-ended':
      return taskEnded(fold, task, known);
    case 'skip-requested':
      return undefined;
    default:
      violate(fold, 'unknown-event', `${event.type} is no event that this release knows`);
  }
}

/** The task, or the subtask whose attempt this is. */
function holderOf(task: FoldedTask, attemptId: string): Holder {
  return task.subtasks?.find(({ attempts }) => attempts.some((attempt) => attempt.attemptId === attemptId)) ?? task;
}

function running(fold: Fold, task: FoldedTask, event: EventOf<'task-running'>): void {
  const holder = holderOf(task, event.attemptId);
  if (!activeOf(fold, holder, event)) return;
  if (holder === task) moveTask(fold, task, event.task, 'running');
  else if (holder.active.state !== 'dispatched')
    violate(fold, 'illegal-transition', `subtask ${holder.active.state} → running`, event.task);
  holder.active.state = 'running';
}

/** Puts a task in line, at once or later: its first attempt, or another one. */
function inLine(fold: Fold, task: FoldedTask, event: EventOf<'task-delayed' | 'task-ready'>): void {
  const to = event.type === 'task-ready' ? 'ready' : 'delayed';
  if (task.active !== undefined)
    violate(fold, 'second-active-attempt', `${event.type} while attempt ${task.active.attempt} is active`, event.task);
  const expected = task.state === 'delayed' ? task.attempt : task.attempt + 1;
  if (event.attempt !== expected)
    violate(fold, 'wrong-attempt', `${event.type} of attempt ${event.attempt}, expected ${expected}`, event.task);
  if (task.state === 'waiting') needsMet(fold, event.task);
  if (event.held === true && fold.folded.state !== 'pausing' && fold.folded.state !== 'paused')
    violate(fold, 'illegal-transition', `it is held while the instance is ${fold.folded.state}`, event.task);
  subtasksOver(fold, task, event.task, event.type);
  fold.between.delete(event.task);
  moveTask(fold, task, event.task, to);
  task.attempt = event.attempt;
}

function dispatched(fold: Fold, task: FoldedTask, event: EventOf<'task-dispatched'>): void {
  const { attempt, attemptId, incarnation } = event;
  if (task.active !== undefined)
    violate(
      fold,
      'second-active-attempt',
      `attempt ${attempt} (${attemptId}) is dispatched while ${task.active.attempt} (${task.active.attemptId}) is active`,
      event.task,
    );
  if (attempt !== task.attempt)
    violate(fold, 'wrong-attempt', `attempt ${attempt} is dispatched, ${task.attempt} was in line`, event.task);
  const last = task.attempts.at(-1);
  if (last !== undefined && BigInt(attemptId) <= BigInt(last.attemptId))
    violate(fold, 'token-not-new', `token ${attemptId} comes after ${last.attemptId} and is not greater`, event.task);
  moveTask(fold, task, event.task, 'dispatched');
  task.attempt = attempt;
  task.active = { attempt, attemptId, incarnation, state: 'dispatched' };
  task.attempts.push(task.active);
}

function attemptEnded(fold: Fold, task: FoldedTask, event: EventOf<'attempt-ended'>): void {
  if (!activeOf(fold, task, event)) return;
  // Only of the step before a broadcast, which the broadcast follows.
  const isBefore = fold.definition.tasks[event.task]?.broadcast?.before !== undefined && task.subtasks === undefined;
  if (event.end === 'succeeded' && !isBefore)
    violate(fold, 'illegal-transition', 'another attempt after one that succeeded', event.task);
  close(task, event.end, event.reason);
  fold.between.add(event.task);
}

function taskEnded(fold: Fold, task: FoldedTask, event: EventOf<'task-ended'>): void {
  const { state, attempt, attemptId, reason } = event;
  fold.between.delete(event.task);
  if (attemptId !== undefined) {
    if (activeOf(fold, task, { ...event, attemptId })) close(task, endOfAttempt(state), reason);
  } else {
    if (attempt !== 0)
      violate(fold, 'wrong-attempt', `ended with attempt ${attempt} and without its token`, event.task);
    if (task.active !== undefined)
      violate(fold, 'ended-too-early', `it ended while attempt ${task.active.attempt} is active`, event.task);
  }
  subtasksOver(fold, task, event.task, 'it ended');
  if (task.state === 'waiting' && state === 'succeeded' && reason?.code !== FORCED_SUCCESS)
    violate(fold, 'illegal-transition', 'it succeeded and never ran', event.task);
  moveTask(fold, task, event.task, state);
  endTask(fold, task, event.task, event);
}
