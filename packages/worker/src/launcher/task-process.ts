import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessEnd } from '@keelson/tasks';
import { capture, fromPipe, fromStreams, type Capture } from './capture.ts';
import type { EscapeeHunt } from './escapee-hunt.ts';
import { ATTEMPT_KEY, type StartMessage } from './messages.ts';
import type { Pipe } from './pipes.ts';
import { signalGroup } from './process-tree.ts';

/** One process that the launcher started, with its group. */
export interface TaskProcess {
  readonly pid: number;
  readonly key: string;
  readonly output: Capture;
  /** SIGTERM to the group now; SIGKILL to it and to its escapees when the grace is over. */
  kill(graceMs: number): void;
  /** SIGKILL to the group. */
  killNow(): void;
}

/** How long something that nobody should hold any more may keep the output open after the main process's exit. */
const OUTPUT_END_MS = 150;

/**
 * Starts a process in a group of its own, with exactly the given environment. `onEnd` is called once: when it has
 * exited, its group is dead and its output is at its end; or, later than the return, when it could not be started.
 */
export function startTaskProcess(
  message: StartMessage,
  pipe: Pipe | undefined,
  hunt: EscapeeHunt,
  onOutput: () => void,
  onEnd: (end: ProcessEnd) => void,
): TaskProcess | undefined {
  const child = spawnChild(message, pipe, onEnd);
  if (child === undefined) return undefined;
  if (child.pid === undefined) {
    if (pipe !== undefined) closeSync(pipe.readEnd);
    child.once('error', (error) => onEnd(notStarted(error, message)));
    return undefined;
  }
  const source =
    pipe === undefined
      ? fromStreams([child.stdout, child.stderr].filter((stream) => stream !== null))
      : fromPipe(pipe.readEnd);
  const output = capture(source, message.limits, onOutput);
  return supervise(child, child.pid, message.env[ATTEMPT_KEY] ?? '', output, hunt, onEnd);
}

function spawnChild(
  message: StartMessage,
  pipe: Pipe | undefined,
  onEnd: (end: ProcessEnd) => void,
): ChildProcess | undefined {
  const [file = '', ...args] = message.argv;
  // Without named pipes Node opens two sockets, and the order between stdout and stderr is only near the truth.
  const sink = pipe?.writeEnd ?? 'pipe';
  try {
    return spawn(file, args, {
      cwd: message.cwd,
      env: { ...message.env },
      detached: true,
      stdio: ['ignore', sink, sink],
    });
  } catch (error) {
    if (pipe !== undefined) closeSync(pipe.readEnd);
    setImmediate(() => onEnd(notStarted(error, message)));
    return undefined;
  } finally {
    if (pipe !== undefined) closeSync(pipe.writeEnd);
  }
}

function notStarted(error: unknown, message: StartMessage): ProcessEnd {
  const given = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EINVAL';
  // A folder of PATH that may not be searched makes the system say EACCES for a command that is nowhere.
  const errno = given === 'EACCES' && isNowhere(message) ? 'ENOENT' : given;
  const text = error instanceof Error ? error.message : String(error);
  const noDirectory = errno === 'ENOENT' && !existsSync(message.cwd);
  return {
    kind: 'not-started',
    errno,
    message: noDirectory ? `the working directory ${message.cwd} does not exist` : text,
  };
}

function isNowhere({ argv: [command = ''], env }: StartMessage): boolean {
  if (command.includes('/')) return false;
  return !(env['PATH'] ?? '').split(':').some((folder) => folder !== '' && existsSync(join(folder, command)));
}

function supervise(
  child: ChildProcess,
  pid: number,
  key: string,
  output: Capture,
  hunt: EscapeeHunt,
  onEnd: (end: ProcessEnd) => void,
): TaskProcess {
  let graceEndsAt: number | undefined;
  let exited: ProcessEnd | undefined;

  function killTree(done: () => void): void {
    signalGroup(pid, 'SIGKILL');
    hunt.kill(key, done);
  }

  /** The main process is gone; during a kill's grace the rest of its group may still tidy up. */
  function endGroup(end: ProcessEnd): void {
    if (graceEndsAt === undefined) {
      signalGroup(pid, 'SIGKILL');
      endOutput(end);
    } else hunt.awaitGroup(pid, graceEndsAt, () => killTree(() => endOutput(end)));
  }

  /** The pipe still holds what was printed last; whoever keeps it open beyond that has escaped. */
  function endOutput(end: ProcessEnd): void {
    if (output.ended) return onEnd(end);
    const timer = setTimeout(() => hunt.kill(key, () => setImmediate(finish)), OUTPUT_END_MS);
    let finished = false;
    const finish = (): void => {
      if (finished) return;
      finished = true;
      output.onEnd(() => undefined);
      clearTimeout(timer);
      onEnd(end);
    };
    output.onEnd(finish);
  }

  child.once('exit', (code, signal) => {
    exited = signal === null ? { kind: 'exited', exitCode: code ?? -1 } : { kind: 'signalled', signal };
    endGroup(exited);
  });

  return {
    pid,
    key,
    output,
    kill(graceMs) {
      const until = performance.now() + graceMs;
      if (graceEndsAt === undefined && exited === undefined) signalGroup(pid, 'SIGTERM');
      if (graceEndsAt !== undefined && graceEndsAt <= until) return;
      graceEndsAt = until;
      // What still tidies up has less time now.
      if (exited !== undefined) return hunt.awaitGroup(pid, until, () => undefined);
      setTimeout(() => exited === undefined && killTree(() => undefined), graceMs);
    },
    killNow: () => void signalGroup(pid, 'SIGKILL'),
  };
}
