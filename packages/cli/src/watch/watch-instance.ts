import type { CountedInstance } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import { EXIT } from '../exit-codes.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, remark } from '../terminal/terminal.ts';
import { instanceModel } from './instance-model.ts';
import type { LogLine } from './log-follower.ts';
import { logFollower } from './log-follower.ts';
import type { ProgressView } from './view.ts';
import { liveView, plainView, silentView } from './view.ts';

export interface WatchOptions {
  /** Print the logs of all tasks. */
  readonly follow: boolean;
  readonly json: boolean;
}

/** Watches an instance to its end and gives how it ended. Ctrl-C leaves at once and says that the instance goes on. */
export function watchToEnd(
  client: KeelsonClient,
  id: string,
  terminal: Terminal,
  options: WatchOptions,
): Promise<CountedInstance> {
  return watchInstanceUntil(client, id, terminal, { ...options, enough: () => false });
}

/** Watches an instance until it is as wanted, or has ended. */
export async function watchInstanceUntil(
  client: KeelsonClient,
  id: string,
  terminal: Terminal,
  { follow, json, enough }: WatchOptions & { enough(instance: CountedInstance): boolean },
): Promise<CountedInstance> {
  const view = json
    ? silentView()
    : terminal.stdout.isTTY === true && terminal.env['TERM'] !== 'dumb'
      ? liveView(terminal)
      : plainView(terminal);
  const stopListening = terminal.onSignal(['SIGINT', 'SIGTERM'], () => {
    view.close();
    remark(terminal, `Instance ${id} goes on.  Watch it: keelson show ${id} --wait    Stop it: keelson stop ${id}`);
    terminal.exit(EXIT.interrupted);
  });
  const print = json ? jsonPrinter(terminal) : linePrinter(view, painter(terminal.stdout, terminal.env));
  const logs = follow ? logFollower(client, print) : undefined;
  const model = instanceModel();
  let interrupted = false;
  const onInterrupted = () => {
    if (!interrupted) remark(terminal, 'The connection broke; trying again …');
    interrupted = true;
  };
  try {
    for await (const event of client.watchInstance(id, { onInterrupted })) {
      interrupted = false;
      const changed = model.take(event);
      const watched = model.current();
      if (watched === undefined) continue;
      view.update(watched, changed);
      for (const task of changed)
        if (task.attempt > 0 && !['ready', 'delayed', 'dispatched'].includes(task.state)) logs?.begin(task);
      if (enough(watched.instance)) break;
    }
    await logs?.drained();
  } finally {
    stopListening();
    view.close();
  }
  const ended = model.current();
  if (ended === undefined) throw new Error('the stream of the instance ended before it began');
  return ended.instance;
}

const TASK_STYLES = ['cyan', 'magenta', 'yellow', 'blue', 'green'] as const;

/** `load | text`; each task has a colour of its own, as far as there are some. */
function linePrinter(view: ProgressView, paint: Paint): (lines: readonly LogLine[]) => void {
  const styles = new Map<string, (typeof TASK_STYLES)[number]>();
  return (lines) =>
    view.print(
      lines.map(({ task, text }) => {
        const style = styles.get(task) ?? TASK_STYLES[styles.size % TASK_STYLES.length] ?? 'cyan';
        styles.set(task, style);
        return `${paint(style, `${task} |`)} ${text}`;
      }),
    );
}

function jsonPrinter(terminal: Terminal): (lines: readonly LogLine[]) => void {
  return (lines) => {
    for (const line of lines) terminal.stdout.write(`${JSON.stringify(line)}\n`);
  };
}
