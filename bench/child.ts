import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a child process answers; `type` says to what. */
export interface Answer {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface Child {
  /** Sends a message and resolves with the next answer of this type; rejects when the child ends first. */
  ask(message: Answer, answerType: string): Promise<Answer>;
  onAnswer(listener: (answer: Answer) => void): void;
  /** Undefined when it could not be started. */
  readonly pid: number | undefined;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** Asks it to end by closing the channel, and kills it after a while. Any number of calls. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  /** Flags of the Node process, such as `--cpu-prof`. */
  readonly execArgv?: readonly string[];
}

const STOP_WITHIN_MS = 20_000;

const alive = new Set<ChildProcess>();
process.on('exit', () => alive.forEach((child) => child.kill('SIGKILL')));

/** A module of this folder in a process of its own, out of the terminal's group: a Ctrl-C is the bench's to pass on. */
export function startChild(module: string, { execArgv = [] }: ChildOptions = {}): Child {
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), [], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
    execArgv: [...execArgv],
  });
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  alive.add(child);
  void exited.then(() => alive.delete(child));
  let stopping: Promise<void> | undefined;
  return {
    ask: (message, answerType) => ask(child, module, exited, message, answerType),
    pid: child.pid,
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    onAnswer: (listener) => void child.on('message', (answer) => listener(answer as Answer)),
    stop: () => (stopping ??= stopChild(child, exited)),
  };
}

function ask(
  child: ChildProcess,
  module: string,
  exited: Promise<string>,
  message: Answer,
  answerType: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const listen = (answer: unknown): void => {
      const { type } = answer as Answer;
      if (type !== answerType && type !== 'failed') return;
      child.off('message', listen);
      if (type === 'failed') reject(new Error(`${module}: ${String((answer as Answer)['message'])}`));
      else resolve(answer as Answer);
    };
    child.on('message', listen);
    void exited.then((how) => reject(new Error(`${module} ended: ${how}`)));
    child.send(message);
  });
}

async function stopChild(child: ChildProcess, exited: Promise<string>): Promise<void> {
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  await exited;
  clearTimeout(timer);
}
