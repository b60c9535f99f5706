import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { openSync, closeSync, readFileSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly at: number;
}

export interface ProcessSpec {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Standard output and error go there, appended. */
  readonly logFile: string;
  /** Said in the log when it is ready for work. */
  readonly readyWords: string;
  /** The same as the launcher of a worker would find it: nothing of the campaign's own surroundings. */
  readonly cwd: string;
}

/** A process of the cluster that is started again, under the same name, whenever the campaign wants it to run. */
export interface ManagedProcess {
  readonly name: string;
  readonly logFile: string;
  pid(): number | undefined;
  isUp(): boolean;
  /** Starts it, and waits until it says that it is ready. One that ends before that is started again, as any supervisor does. */
  start(deadlineMs?: number): Promise<void>;
  /** Sends a signal; false: there was no process. */
  signal(signal: NodeJS.Signals): boolean;
  /** The end of the process that runs now; at once when there is none. */
  exited(): Promise<Exit | undefined>;
  /** Told of every end that `expectEnd` did not announce. */
  onUnexpectedEnd(listener: (exit: Exit) => void): void;
  /** The next end is the campaign's doing. */
  expectEnd(): void;
}

const READY_MS = 60_000;
const LOOK_MS = 25;
const AGAIN_MS = 500;

export function manageProcess(spec: ProcessSpec): ManagedProcess {
  let child: ChildProcess | undefined;
  let ended: Promise<Exit> | undefined;
  let expected = false;
  let starting = false;
  const listeners: ((exit: Exit) => void)[] = [];
  const isUp = (): boolean => child !== undefined && child.exitCode === null && child.signalCode === null;

  const launch = (): void => {
    const [program = '', ...args] = [...diesWithCampaign(), ...spec.command];
    const log = openSync(spec.logFile, 'a');
    const started = spawn(program, args, {
      cwd: spec.cwd,
      env: surroundings(spec.env),
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    child = started;
    expected = false;
    ended = new Promise((resolve) => {
      started.once('error', () => resolve({ code: null, signal: null, at: Date.now() }));
      started.once('exit', (code, signal) => {
        const exit = { code, signal, at: Date.now() };
        resolve(exit);
        if (!expected && !starting && child === started) for (const listener of listeners) listener(exit);
      });
    });
  };

  return {
    name: spec.name,
    logFile: spec.logFile,
    pid: () => (isUp() ? child?.pid : undefined),
    isUp,
    start: async (deadlineMs = READY_MS) => {
      const until = Date.now() + deadlineMs;
      for (let said = ''; ; await delay(AGAIN_MS)) {
        if (isUp()) return;
        const from = await sizeOf(spec.logFile);
        launch();
        starting = true;
        while (isUp() && Date.now() <= until) {
          said = await readFrom(spec.logFile, from);
          if (said.includes(spec.readyWords)) {
            starting = false;
            return;
          }
          await delay(LOOK_MS);
        }
        starting = false;
        // Shot again while it started: whoever did that starts it again.
        if (expected) return;
        if (Date.now() > until)
          throw new Error(`${spec.name} was not ready in ${deadlineMs} ms:\n${said.slice(-2000)}`);
      }
    },
    signal: (signal) => {
      if (!isUp()) return false;
      return child?.kill(signal) ?? false;
    },
    exited: async () => ended,
    onUnexpectedEnd: (listener) => void listeners.push(listener),
    expectEnd: () => {
      expected = true;
    },
  };
}

let guard: readonly string[] | undefined;

/** A campaign that is killed leaves no cluster behind, where setpriv exists. */
function diesWithCampaign(): readonly string[] {
  const prefix = ['setpriv', '--pdeathsig', 'KILL'];
  guard ??= spawnSync('setpriv', [...prefix.slice(1), 'true'], { stdio: 'ignore' }).status === 0 ? prefix : [];
  return guard;
}

/** What stands around the campaign must not lead a process of the cluster elsewhere. */
function surroundings(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:KEELSON_|NODE_TEST|NODE_OPTIONS)/.test(name));
  return { ...Object.fromEntries(own), NO_COLOR: '1', ...env };
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => ({ size: 0 }))).size;
}

async function readFrom(path: string, offset: number): Promise<string> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return '';
  try {
    const length = (await file.stat()).size - offset;
    if (length <= 0) return '';
    return (await file.read(Buffer.alloc(length), 0, length, offset)).buffer.toString('utf8');
  } finally {
    await file.close();
  }
}

/** `R`, `S`, `T` (stopped), `Z`, … of /proc; undefined when it is gone. */
export function processState(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  } catch {
    return undefined;
  }
}

/** Whether a process of this id runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  const state = processState(pid);
  return state !== undefined && state !== 'Z' && state !== 'X';
}
