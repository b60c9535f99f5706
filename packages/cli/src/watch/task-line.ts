import type { TaskInstance } from '@keelson/protocol';
import { stateSymbol, stateText } from '../terminal/states.ts';
import type { Paint } from '../terminal/terminal.ts';
import { elapsedText, plain } from '../terminal/text.ts';

export type WatchedTask = Pick<
  TaskInstance,
  | 'id'
  | 'task'
  | 'needs'
  | 'state'
  | 'attempt'
  | 'maxAttempts'
  | 'startedAt'
  | 'dispatchedAt'
  | 'endedAt'
  | 'dueAt'
  | 'reason'
  | 'progress'
  | 'broadcast'
  | 'held'
>;

/** Milliseconds that the attempt has been running, or ran; undefined when it never did. */
export function runningMs(
  { startedAt, dispatchedAt, endedAt, attempt, broadcast }: WatchedTask,
  now: number,
): number | undefined {
  const from = startedAt ?? dispatchedAt;
  // The subtasks of a broadcast have attempts of their own.
  if ((attempt === 0 && broadcast === undefined) || from === null) return undefined;
  return Math.max(0, (endedAt === null ? now : Date.parse(endedAt)) - Date.parse(from));
}

/** `✔ load  1.2s`, and what is worth knowing: attempts, a retry's time, the reason. */
export function taskLine(
  task: WatchedTask,
  { now, paint, width }: { readonly now: number; readonly paint: Paint; readonly width: number },
): string {
  const parts = [`${stateSymbol(task.state, paint)} ${task.task.padEnd(width)}`];
  const running = runningMs(task, now);
  if (task.state !== 'succeeded') parts.push(stateText(task.state, paint));
  if (running !== undefined && task.state !== 'delayed' && task.state !== 'ready') parts.push(elapsedText(running));
  if (task.attempt > 1)
    parts.push(paint('yellow', `attempt ${task.attempt} of ${Math.max(task.maxAttempts, task.attempt)}`));
  if (task.state === 'delayed' && task.dueAt !== null)
    parts.push(paint('dim', `starts in ${elapsedText(Date.parse(task.dueAt) - now)}`));
  if (task.held === true) parts.push(paint('dim', 'held'));
  if (task.state === 'running') parts.push(...progressText(task.progress));
  if (task.broadcast !== undefined) parts.push(broadcastText(task.broadcast));
  // A success has a reason only when a person made it one.
  if (task.reason !== null) parts.push(paint('dim', plain(task.reason.message)));
  return parts.join('  ').trimEnd();
}

/** `broadcast 3/4 succeeded, 1 lost`. */
export function broadcastText(summary: NonNullable<WatchedTask['broadcast']>): string {
  const { phase, total, succeeded } = summary;
  if (total === 0) return phase === 'before' ? 'broadcast, before' : 'broadcast';
  const others = (['running', 'waiting', 'failed', 'lost', 'stopped', 'skipped'] as const)
    .filter((state) => summary[state] > 0)
    .map((state) => `${summary[state]} ${state}`);
  const text = [`broadcast ${succeeded}/${total} succeeded`, ...others].join(', ');
  return phase === 'after' ? `${text}, after` : text;
}

function progressText(progress: WatchedTask['progress']): string[] {
  if (progress === null) return [];
  const { fraction, message } = progress;
  return [
    ...(typeof fraction === 'number' ? [`${Math.floor(fraction * 100)} %`] : []),
    ...(typeof message === 'string' && message !== '' ? [plain(message)] : []),
  ];
}
