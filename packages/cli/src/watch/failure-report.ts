import type { CountedInstance, InstanceDetail } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { Paint } from '../terminal/terminal.ts';
import { plain } from '../terminal/text.ts';

const MOST_TASKS = 5;
const MOST_LOGS = 2;
const LOG_LINES = 10;

/** Why an instance did not succeed: its failed tasks, their reasons, the last lines of their logs, and where to see more. */
export async function failureReport(client: KeelsonClient, ended: CountedInstance, paint: Paint): Promise<string[]> {
  const detail = await client.getInstance(ended.id);
  const failed = failedTasks(detail);
  const lines: string[] = [];
  for (const [index, task] of failed.slice(0, MOST_TASKS).entries()) {
    const attempts = task.attempt > 1 ? ` after ${task.attempt} attempts` : '';
    lines.push(
      '',
      `${paint(['bold', 'red'], `✖ ${task.task}`)} ${task.state}${attempts}: ${plain(task.reason?.message ?? 'no reason is known')} ${paint('dim', `(${task.reason?.code ?? 'unknown'})`)}`,
    );
    if (index >= MOST_LOGS || task.attempt === 0) continue;
    const tail = await lastLogLines(client, task.id);
    lines.push(
      ...tail.map((line) => `  ${paint('dim', '│')} ${line}`),
      `  ${paint('dim', `all of it: keelson logs ${ended.id}/${task.task}`)}`,
    );
  }
  if (failed.length > MOST_TASKS) lines.push('', `… and ${failed.length - MOST_TASKS} more failed tasks`);
  if (failed.length === 0 && ended.reason !== null)
    lines.push('', `${plain(ended.reason.message)} ${paint('dim', `(${ended.reason.code})`)}`);
  return [
    ...lines,
    '',
    paint(
      'dim',
      `more: keelson show ${ended.id}   keelson why ${ended.id}   go on from there: keelson recover ${ended.id}`,
    ),
  ];
}

/** The one that the instance names as its failure comes first. */
function failedTasks({ tasks }: InstanceDetail) {
  return tasks
    .filter(({ state }) => state === 'failed' || state === 'lost')
    .toSorted((a, b) => (a.endedAt ?? '').localeCompare(b.endedAt ?? ''));
}

async function lastLogLines(client: KeelsonClient, id: string): Promise<string[]> {
  try {
    const { bytes } = await client.readLog(id, { tail: LOG_LINES });
    const text = new TextDecoder().decode(bytes).replace(/\r?\n$/, '');
    return text === '' ? ['(it printed nothing)'] : text.split(/\r?\n/);
  } catch {
    // The reason is known; a log that cannot be read must not hide it.
    return ['(its log cannot be read)'];
  }
}
