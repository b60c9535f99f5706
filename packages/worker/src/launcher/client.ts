import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { ProcessCommand, ProcessEnd } from '@keelson/tasks';
import type { OutputLimits } from '../log/output-limit.ts';
import { endCgroup } from './cgroup.ts';
import { createFrameReader, encodeFrame, type Frame } from './frames.ts';
import {
  ATTEMPT_KEY,
  DEADLINE,
  ENDED,
  KILL,
  OUTPUT,
  START,
  STARTED,
  type EndedMessage,
  type StartMessage,
} from './messages.ts';
import { killByKey, signalGroup } from './process-tree.ts';
import { removePipes, spawnLauncher } from './spawn-launcher.ts';

/** Where the output of a process goes. `write` gets bytes that are good only during the call. */
export interface OutputSink {
  write(chunk: Uint8Array): void;
  /** `bytes` of output were left out here. */
  gap(bytes: number): void;
}

export interface LaunchedProcess {
  /** Settles when the process, its group and its output are at their end; rejects with LauncherDied. */
  readonly end: Promise<ProcessEnd>;
  /** SIGTERM to the group, SIGKILL to all that is left of it after the grace. */
  kill(graceMs: number): void;
}

export interface Launcher {
  readonly pid: number | undefined;
  run(command: ProcessCommand, sink: OutputSink): LaunchedProcess;
  /** When everything must be dead: milliseconds of `machineNow()`; undefined: no lease is held, nothing runs. */
  setDeadline(at: number | undefined): void;
  /** Kills what still runs and ends the launcher. */
  close(): Promise<void>;
}

export interface LauncherOptions {
  readonly dataDir: string;
  /** Begins every attempt key of this data directory. */
  readonly dataDirId: string;
  readonly limits: OutputLimits;
  /** Kill this process when the lease ends without renewal. Default true. */
  readonly killWorker?: boolean;
  readonly onDeath?: (lostProcesses: number) => void;
}

/** The launcher process ended unexpectedly; its tasks were killed. */
export class LauncherDied extends Error {
  constructor() {
    super('the launcher process ended unexpectedly, and the task was killed');
    this.name = 'LauncherDied';
  }
}

interface Launched {
  readonly sink: OutputSink;
  pid: number | undefined;
  resolve(end: ProcessEnd): void;
  reject(error: Error): void;
}

/** One life of the launcher process. */
interface Life {
  readonly child: ChildProcess;
  readonly keyPrefix: string;
  readonly launched: Map<number, Launched>;
}

const RESTART_DELAY_MS = 1000;

/** Starts the launcher process, and a new one whenever it dies. */
export function startLauncher(options: LauncherOptions): Launcher {
  let nextId = 1;
  let deadline: number | undefined;
  let closing = false;
  /** The groups of the last life are gone. */
  let cleared: Promise<unknown> = Promise.resolve();
  let life: Life | undefined = begin();

  function begin(): Life {
    const keyPrefix = `${options.dataDirId}:${randomBytes(6).toString('hex')}.`;
    const launched = new Map<number, Launched>();
    const { child, cgroup } = spawnLauncher(options, keyPrefix);
    child.stdin?.on('error', () => undefined);
    child.stdout?.on(
      'data',
      createFrameReader((frame) => onFrame(launched, frame)),
    );
    const begunAt = performance.now();
    let over = false;
    const onOver = (): void => {
      if (over) return;
      over = true;
      if (cgroup !== undefined) cleared = endCgroup(cgroup);
      died(launched, keyPrefix, performance.now() - begunAt);
    };
    child.once('error', onOver);
    // Not at its exit: what it said last may still be on the way.
    child.once('close', onOver);
    return { child, keyPrefix, launched };
  }

  function died(launched: Map<number, Launched>, keyPrefix: string, livedMs: number): void {
    life = undefined;
    for (const task of launched.values()) if (task.pid !== undefined) signalGroup(task.pid, 'SIGKILL');
    if (!closing) killByKey((key) => key.startsWith(keyPrefix));
    removePipes(options.dataDir, keyPrefix);
    for (const task of launched.values()) task.reject(new LauncherDied());
    if (closing) return;
    options.onDeath?.(launched.size);
    const restart = (): void => {
      if (closing) return;
      life = begin();
      sendDeadline();
    };
    // One that dies at once would otherwise be started in a tight loop.
    if (livedMs >= RESTART_DELAY_MS) restart();
    else setTimeout(restart, RESTART_DELAY_MS);
  }

  function sendDeadline(): void {
    sendTo(life, DEADLINE, 0, { at: deadline ?? null });
  }

  return {
    get pid() {
      return life?.child.pid;
    },
    run: (command, sink) => launch(life, nextId++, command, options.limits, sink),
    setDeadline(at) {
      deadline = at;
      sendDeadline();
    },
    async close() {
      closing = true;
      const child = life?.child;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
      child.stdin?.end();
      await gone;
      await cleared;
    },
  };
}

function launch(
  life: Life | undefined,
  id: number,
  command: ProcessCommand,
  limits: OutputLimits,
  sink: OutputSink,
): LaunchedProcess {
  if (life === undefined) return { end: Promise.reject(new LauncherDied()), kill: () => undefined };
  const env = { ...command.env, [ATTEMPT_KEY]: `${life.keyPrefix}${id}` };
  const message: StartMessage = { argv: command.argv, cwd: command.cwd, env, limits };
  const end = new Promise<ProcessEnd>((resolve, reject) =>
    life.launched.set(id, { sink, pid: undefined, resolve, reject }),
  );
  sendTo(life, START, id, message);
  return { end, kill: (graceMs) => void (life.launched.has(id) && sendTo(life, KILL, id, { graceMs })) };
}

function sendTo(life: Life | undefined, kind: number, id: number, message: object): void {
  life?.child.stdin?.write(encodeFrame(kind, id, Buffer.from(JSON.stringify(message))));
}

function onFrame(launched: Map<number, Launched>, frame: Frame): void {
  const task = launched.get(frame.id);
  if (task === undefined) return;
  if (frame.kind === OUTPUT) task.sink.write(frame.payload);
  else if (frame.kind === STARTED) task.pid = frame.payload.readUInt32LE(0);
  else if (frame.kind === ENDED) {
    launched.delete(frame.id);
    const jsonEnd = 4 + frame.payload.readUInt32LE(0);
    const message = JSON.parse(frame.payload.toString('utf8', 4, jsonEnd)) as EndedMessage;
    const tailAt = jsonEnd + message.headBytes;
    if (message.headBytes > 0) task.sink.write(frame.payload.subarray(jsonEnd, tailAt));
    if (message.leftOut > 0) task.sink.gap(message.leftOut);
    if (tailAt < frame.payload.length) task.sink.write(frame.payload.subarray(tailAt));
    task.resolve(message.end);
  }
}
