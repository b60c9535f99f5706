import type { TaskInstance } from '@keelson/protocol';
import { createLogUpdate } from 'log-update';
import type { Terminal } from '../terminal/terminal.ts';
import { painter } from '../terminal/terminal.ts';
import { frameLines, headLine } from './frame.ts';
import type { WatchedInstance } from './instance-model.ts';
import { taskLine } from './task-line.ts';
import { layoutTree } from './task-tree.ts';
import type { TreeRow } from './task-tree.ts';

/** Where the progress of an instance is shown. */
export interface ProgressView {
  /** Something is different; `changed` are the tasks whose state is. */
  update(watched: WatchedInstance, changed: readonly TaskInstance[]): void;
  /** Lines that stay, such as those of a log. */
  print(lines: readonly string[]): void;
  /** The last picture; nothing moves afterwards. */
  close(): void;
}

const FRAME_MS = 100;
const CLOCK_MS = 1000;

/** A tree that is redrawn in place, at most ten times a second, and once a second for the durations. */
export function liveView(terminal: Terminal, now: () => number = Date.now): ProgressView {
  const stream = terminal.stdout;
  const paint = painter(stream, terminal.env);
  const draw = createLogUpdate(stream as NodeJS.WriteStream);
  let watched: WatchedInstance | undefined;
  let tree: readonly TreeRow[] = [];
  let pending: NodeJS.Timeout | undefined;
  let kept: string[] = [];

  const picture = (rows: number | undefined) =>
    watched === undefined ? [] : frameLines(watched, tree, { now: now(), paint, columns: stream.columns ?? 80, rows });
  const flush = () => {
    pending = undefined;
    if (kept.length > 0) {
      draw.persist(kept.join('\n'));
      kept = [];
    }
    // One line is left free for the cursor.
    draw(picture((stream.rows ?? 24) - 1).join('\n'));
  };
  const schedule = () => {
    pending ??= setTimeout(flush, FRAME_MS);
  };
  const clock = setInterval(schedule, CLOCK_MS);
  clock.unref();

  return {
    update(next) {
      if (watched === undefined || watched.tasks.size !== next.tasks.size || tree.length !== next.tasks.size)
        tree = layoutTree([...next.tasks.values()]);
      watched = next;
      schedule();
    },
    print(lines) {
      kept.push(...lines);
      schedule();
    },
    close() {
      clearInterval(clock);
      clearTimeout(pending);
      flush();
      draw.done();
    },
  };
}

/** One line for each change, for a pipe or a file. */
export function plainView(terminal: Terminal, now: () => number = Date.now): ProgressView {
  const paint = painter(terminal.stdout, terminal.env);
  let shownState: string | undefined;
  let last: WatchedInstance | undefined;
  const line = (text: string) => terminal.stdout.write(`${text}\n`);
  return {
    update(watched, changed) {
      const opts = { now: now(), paint, width: 0 };
      for (const task of changed) line(taskLine(task, opts));
      const { instance } = watched;
      last = watched;
      if (instance.state === shownState || instance.endedAt !== null) return;
      if (shownState !== undefined) line(headLine(watched, opts));
      shownState = instance.state;
    },
    print(lines) {
      for (const text of lines) line(text);
    },
    close() {
      if (last === undefined || last.instance.endedAt === null) return;
      line(headLine(last, { now: now(), paint }));
    },
  };
}

/** Shows nothing: for `--json`. */
export function silentView(): ProgressView {
  return { update: () => undefined, print: () => undefined, close: () => undefined };
}
