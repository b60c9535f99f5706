import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { WorkerSettings } from './worker-settings.ts';

export interface WorkerProcess {
  /** Resolves once the worker has joined. */
  readonly ready: Promise<void>;
  /** Resolves with a sentence if it ends without having been asked to. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

const MODULE = fileURLToPath(new URL('./worker-main.ts', import.meta.url));
const STOP_WITHIN_MS = 20_000;

/** A worker of `dev` in a process of its own. It drains when it is asked to, and ends at once when this process dies. */
export function startWorkerProcess(settings: WorkerSettings): WorkerProcess {
  const { name } = settings;
  // Out of the terminal's process group: a Ctrl-C is this process's to pass on.
  const child = fork(MODULE, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true });
  child.send(settings);
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  let stopping = false;
  const ready = new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    void exited.then((how) => reject(new Error(`worker ${name} did not start: ${how}`)));
  });
  const endedByItself = async (): Promise<string> => {
    const how = await exited;
    // Asked to end, it has not ended by itself: then this never settles.
    return stopping ? new Promise<string>(() => undefined) : `worker ${name} ended: ${how}`;
  };
  return {
    ready,
    ended: endedByItself(),
    stop: async () => {
      stopping = true;
      await stopChild(child, exited);
    },
  };
}

async function stopChild(child: ChildProcess, exited: Promise<string>): Promise<void> {
  if (child.connected) child.send('leave');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  await exited;
  clearTimeout(timer);
}
