/** A worker of a bench, in a process of its own. It joins and leaves on request, so that it can be warm before it joins. */
import { createWorker } from '@keelson/worker';
import type { Worker, WorkerLog } from '@keelson/worker';
import type { Answer } from './child.ts';
import { fibo } from './fibo.ts';

export interface WorkerSetup {
  readonly server: string;
  readonly token: string;
  readonly name: string;
  readonly slots: number;
  readonly dataDir: string;
}

const BARE_ROUNDS = 5;

const complain: WorkerLog = (level, message, fields = {}) => {
  if (level === 'error' || level === 'warn')
    say({ type: 'complaint', message: `${message} ${JSON.stringify(fields)}` });
};

let worker: Worker | undefined;

function say(answer: Answer): void {
  if (process.connected) process.send?.(answer);
}

function argument(args: unknown, name: string): number {
  const value = typeof args === 'object' && args !== null ? (args as Record<string, unknown>)[name] : undefined;
  if (typeof value !== 'number') throw new TypeError(`args.${name} must be a number`);
  return value;
}

async function join({ server, token, name, slots, dataDir }: WorkerSetup): Promise<void> {
  worker = createWorker({
    servers: [server],
    token,
    name,
    group: 'default',
    slots,
    dataDir,
    processors: {
      noop: () => {},
      hold: ({ signal }) =>
        new Promise<void>((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
      fibo: ({ args }) => void fibo(argument(args, 'n')),
      // The monotonic clock is the whole machine's: the load process compares it with its own.
      probe: ({ instanceId }) => say({ type: 'probe', instanceId, at: String(process.hrtime.bigint()) }),
    },
    log: complain,
  });
  await worker.start();
}

async function leave(): Promise<void> {
  await worker?.drain();
  worker = undefined;
}

/** Milliseconds that one call takes in this process, without any engine: the best of some rounds. */
function bareFibo(n: number): number {
  let best = Infinity;
  for (let round = 0; round < BARE_ROUNDS; round++) {
    const began = performance.now();
    fibo(n);
    best = Math.min(best, performance.now() - began);
  }
  return best;
}

async function obey(message: Answer): Promise<Answer> {
  switch (message.type) {
    case 'join':
      await join(message as Answer & WorkerSetup);
      return { type: 'joined' };
    case 'leave':
      await leave();
      return { type: 'left' };
    case 'bare-fibo':
      return { type: 'bare-fibo', ms: bareFibo(Number(message['n'])) };
    default:
      throw new Error(`unknown message ${message.type}`);
  }
}

process.on('message', (message: Answer) => {
  obey(message).then(say, (error: unknown) => say({ type: 'failed', message: String(error) }));
});
process.once('disconnect', () => {
  void leave().finally(() => process.exit(0));
});
