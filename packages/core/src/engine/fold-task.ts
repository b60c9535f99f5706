import { violate } from './folded.ts';
import type { Fold, FoldedAttempt, FoldedTask } from './folded.ts';
import type { HistoryEvent } from './history.ts';
import { meetsNeed } from './progress.ts';
import { TASK_TRANSITIONS } from './states.ts';
import type { TaskState } from './states.ts';

/** A task is put in line for the first time: every need has ended as it has to. */
export function needsMet(fold: Fold, id: string): void {
  const { state, mode, modeTask, started } = fold.folded;
  if (!started || state === 'queued' || state === 'stopping')
    violate(fold, 'illegal-transition', `it begins although the instance is ${started ? state : 'not begun'}`, id);
  // Run alone, whatever it needs.
  if (mode === 'only' && modeTask === id) return;
  for (const [need, accepts] of Object.entries(fold.definition.tasks[id]?.needs ?? {})) {
    const end = fold.tasks.get(need)?.end;
    if (!meetsNeed(accepts, end && { state: end.state, code: end.reason?.code }))
      violate(
        fold,
        'need-not-ended',
        `it begins, and ${need}, which has to be ${accepts.join(' or ')}, is ${end?.state ?? 'not ended'}`,
        id,
      );
  }
}

/** What holds attempts: a task, or a subtask of a broadcast. */
export interface Holder {
  active?: FoldedAttempt;
  readonly attempts: FoldedAttempt[];
}

/** Whether the event speaks of the attempt that is active. */
export function activeOf<Held extends Holder>(
  fold: Fold,
  holder: Held,
  event: { readonly type: string; readonly task: string; readonly attempt: number; readonly attemptId: string },
): holder is Held & { active: FoldedAttempt } {
  const { active } = holder;
  if (active?.attemptId === event.attemptId && active.attempt === event.attempt) return true;
  const ended = holder.attempts.some((one) => one !== active && one.attemptId === event.attemptId);
  violate(
    fold,
    ended ? 'attempt-ended-twice' : 'wrong-attempt',
    `${event.type} of attempt ${event.attempt} (${event.attemptId}), active is ${active === undefined ? 'none' : `${active.attempt} (${active.attemptId})`}`,
    event.task,
  );
  return false;
}

export function close(
  holder: Holder & { active: FoldedAttempt },
  end: FoldedAttempt['state'],
  reason: FoldedAttempt['reason'],
): void {
  holder.active.state = end;
  if (reason !== undefined) holder.active.reason = reason;
  Reflect.deleteProperty(holder, 'active');
}

type TaskEnd = Extract<HistoryEvent, { readonly type: 'task-ended' }>;

/** Notes how the task ended. */
export function endTask(
  fold: Fold,
  task: FoldedTask,
  id: string,
  { state, attempt, attemptId, reason }: Pick<TaskEnd, 'state' | 'attempt' | 'attemptId' | 'reason'>,
): void {
  if (task.end === undefined) {
    fold.folded.unfinished--;
    if (state === 'failed' && fold.definition.tasks[id]?.allowFailure !== true) fold.folded.failures.push(id);
  }
  task.end = {
    state,
    attempt,
    ...(attemptId === undefined ? {} : { attemptId }),
    ...(reason === undefined ? {} : { reason }),
  };
}

export function moveTask(fold: Fold, task: FoldedTask, id: string, to: TaskState): void {
  if (!TASK_TRANSITIONS[task.state].includes(to)) violate(fold, 'illegal-transition', `task ${task.state} → ${to}`, id);
  task.state = to;
}
