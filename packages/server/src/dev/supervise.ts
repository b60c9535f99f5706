import { fork, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Logger } from 'pino';
import type { ChildAnswer, ChildSettings } from './child-settings.ts';
import { isAnswer } from './child-settings.ts';
import { forwardLog } from './forward-log.ts';

export interface Supervised {
  /** Resolves once it works for the first time, with its URL if it has one; rejects when it cannot start. */
  readonly ready: Promise<string | undefined>;
  /** Asks it to leave, and waits until it has. */
  stop(): Promise<void>;
}

export interface SupervisedOptions {
  /** For people: `worker dev-1`. */
  readonly name: string;
  readonly module: URL;
  readonly settings: ChildSettings;
  /** It is killed when it has not left by then. */
  readonly stopWithinMs: number;
  readonly log: Logger;
}

const BACKOFF_MS = { first: 200, most: 10_000 };
/** After so long a life its next death counts as the first. */
const STEADY_MS = 30_000;

/**
 * A process of `dev`. When it ends without having been asked to it is started again, sooner the first time than the tenth. It never
 * outlives this process: the channel's end ends it, and where the system offers that a signal of the system's too.
 */
export function supervise({ name, module, settings, stopWithinMs, log }: SupervisedOptions): Supervised {
  const ready = Promise.withResolvers<string | undefined>();
  const stopping = new AbortController();
  let child: Child | undefined;
  let current = settings;

  const life = async (): Promise<void> => {
    let deaths = 0;
    let wasReady = false;
    while (!stopping.signal.aborted) {
      const bornAt = performance.now();
      child = startChild(module, current, log);
      const answer = await child.answer;
      if (answer.kind === 'ready') {
        // The same port again after a restart: others know it by that.
        if (current.kind === 'server' && answer.url !== undefined)
          current = { ...current, port: Number(new URL(answer.url).port) };
        if (wasReady) log.warn(`${name} is up again`);
        wasReady = true;
        ready.resolve(answer.url);
      }
      const how = await child.exited;
      if (stopping.signal.aborted) return;
      const why = answer.kind === 'failed' ? answer.message : how;
      if (!wasReady) return ready.reject(startFailure(name, answer, how));
      if (performance.now() - bornAt >= STEADY_MS) deaths = 0;
      const pauseMs = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** deaths++);
      log.warn(`${name} ended by itself (${why}); it is started again in ${pauseMs / 1000} s`);
      await pause(pauseMs, stopping.signal);
    }
  };
  const lived = life();
  return {
    ready: ready.promise,
    stop: async () => {
      stopping.abort();
      child?.leave(stopWithinMs);
      await lived;
    },
  };
}

interface Child {
  /** Also settles when it ends without an answer. */
  readonly answer: Promise<ChildAnswer>;
  /** In words. */
  readonly exited: Promise<string>;
  leave(withinMs: number): void;
}

function startChild(module: URL, settings: ChildSettings, log: Logger): Child {
  const [execPath = process.execPath, ...execArgv] = [...diesWithUs(), process.execPath, ...process.execArgv];
  // Out of the terminal's process group: a Ctrl-C is this process's to pass on.
  const output = settings.kind === 'server' ? 'pipe' : 'inherit';
  const stdio = ['ignore', output, 'inherit', 'ipc'] as const;
  const child = fork(module, [], { stdio: [...stdio], detached: true, execPath, execArgv });
  if (child.stdout !== null) forwardLog(child.stdout, log);
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  const answer = new Promise<ChildAnswer>((resolve) => {
    child.once('message', (said) => isAnswer(said) && resolve(said));
    void exited.then((how) => resolve({ kind: 'failed', message: how }));
  });
  child.send(settings, () => undefined);
  return { answer, exited, leave: (withinMs) => void leave(child, exited, withinMs) };
}

async function leave(child: ChildProcess, exited: Promise<string>, withinMs: number): Promise<void> {
  if (child.connected) child.send('leave', () => undefined);
  const timer = setTimeout(() => child.kill('SIGKILL'), withinMs);
  await exited;
  clearTimeout(timer);
}

function startFailure(name: string, answer: ChildAnswer, how: string): Error {
  if (answer.kind === 'ready') return new Error(`${name} ended as soon as it had started: ${how}`);
  const { message, code, syscall } = answer;
  if (code === undefined) return new Error(`${name} did not start: ${message}`);
  return Object.assign(new Error(message), { code, ...(syscall === undefined ? {} : { syscall }) });
}

let prefix: readonly string[] | undefined;

/** A kill -9 of this process also ends a child that is stopped or busy and does not see the end of its channel. Linux only. */
function diesWithUs(): readonly string[] {
  if (prefix !== undefined) return prefix;
  const command = ['setpriv', '--pdeathsig', 'KILL', '--'];
  const [program = '', ...args] = command;
  const works = process.platform === 'linux' && spawnSync(program, [...args, 'true'], { stdio: 'ignore' }).status === 0;
  return (prefix = works ? command : []);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
