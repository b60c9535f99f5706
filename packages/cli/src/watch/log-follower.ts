import type { TaskInstance } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';

export interface LogFollower {
  /** A task that has begun: its log is followed from its first attempt on. Telling again is harmless. */
  begin(task: Pick<TaskInstance, 'id' | 'task' | 'attempt'>): void;
  /** Resolves when every log that was begun has been read to its end. Never throws: a log that cannot be read is said in its place. */
  drained(): Promise<void>;
}

export interface LogLine {
  readonly task: string;
  readonly attempt: number;
  readonly text: string;
}

/** Each followed log holds a connection of its own. */
const MOST_AT_ONCE = 40;

/** Follows the logs of many tasks at once, and gives them line by line. */
export function logFollower(
  client: Pick<KeelsonClient, 'followLog'>,
  print: (lines: readonly LogLine[]) => void,
): LogFollower {
  const begun = new Set<string>();
  const waiting: (() => void)[] = [];
  const open: Promise<void>[] = [];
  let running = 0;

  const follow = async (id: string, task: string) => {
    if (running >= MOST_AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
    running += 1;
    try {
      await printLog(client, id, task, print);
    } catch (error) {
      // What the instance came to must not depend on its logs.
      const why = error instanceof Error ? error.message : String(error);
      print([{ task, attempt: 0, text: `(this log cannot be followed: ${why})` }]);
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };

  return {
    begin({ id, task, attempt }) {
      if (attempt === 0 || begun.has(id)) return;
      begun.add(id);
      open.push(follow(id, task));
    },
    async drained() {
      await Promise.all(open);
    },
  };
}

async function printLog(
  client: Pick<KeelsonClient, 'followLog'>,
  id: string,
  task: string,
  print: (lines: readonly LogLine[]) => void,
): Promise<void> {
  const lines = lineCutter();
  let current = 1;
  for await (const event of client.followLog(id, { attempt: 1 })) {
    if (event.event === 'end') break;
    const { attempt, text } = event.data;
    const before = attempt === current ? [] : lines.rest();
    if (before.length > 0) print(before.map((line) => ({ task, attempt: current, text: line })));
    current = attempt;
    const complete = lines.take(text);
    if (complete.length > 0) print(complete.map((line) => ({ task, attempt, text: line })));
  }
  const unfinished = lines.rest();
  if (unfinished.length > 0) print(unfinished.map((line) => ({ task, attempt: current, text: line })));
}

/** A line that never ends is shown in parts, so that it holds no more memory than this. */
const LONGEST_LINE = 64 * 1024;

/** Cuts a stream of text into whole lines. */
export function lineCutter(): { take(text: string): string[]; rest(): string[] } {
  let pending = '';
  return {
    take(text) {
      const lines = (pending + text).split(/\r?\n/);
      pending = lines.pop() ?? '';
      if (pending.length > LONGEST_LINE) {
        lines.push(pending);
        pending = '';
      }
      return lines;
    },
    rest() {
      const last = pending;
      pending = '';
      return last === '' ? [] : [last];
    },
  };
}
