import { createHash } from 'node:crypto';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Processor } from '@keelson/tasks';
import { createWorker, type Worker, type WorkerLog } from '@keelson/worker';

export interface RunWorkerOptions {
  /** `http://host:7400`, or several: the next one is used when one fails. Default: `KEELSON_URL`. */
  readonly server?: string | readonly string[];
  /** A token of the role worker. Default: `KEELSON_TOKEN`. */
  readonly token?: string;
  /** What tasks call by name: `uses: processor, with: { processor: NAME, args: … }`. */
  readonly processors: Readonly<Record<string, Processor>>;
  /** Default: `default`. */
  readonly group?: string;
  /** How many processors run at the same time. Default 16. */
  readonly slots?: number;
  /** Unique among the live workers. Default: made from the host, the directory and the process. */
  readonly name?: string;
  /** Built-in task types that this worker runs too, such as `shell`. Default: none. */
  readonly taskTypes?: readonly string[];
  /** A directory of its own on a local disk. Default: below the system's directory for temporary files. */
  readonly dataDir?: string;
  /** How long running processors may go on after SIGINT or SIGTERM. Default 30 s. */
  readonly drainMs?: number;
  /** Drain at SIGINT and SIGTERM; a second signal ends at once. Default true. */
  readonly handleSignals?: boolean;
  readonly log?: WorkerLog;
}

const DEFAULT_SLOTS = 16;
const DEFAULT_DRAIN_MS = 30_000;
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Runs processors as a worker until it is stopped or the process gets SIGINT or SIGTERM. Settles when it is registered;
 * throws when the server refuses it. A server that is not there yet is waited for.
 *
 *     await runWorker({ server: 'http://localhost:7400', token, processors: { resize: async ({ args }) => ({ … }) } });
 */
export async function runWorker(options: RunWorkerOptions): Promise<Worker> {
  const servers = listOf(options.server ?? process.env['KEELSON_URL']);
  if (servers.length === 0) throw new Error('which server? Give runWorker a `server`, or set KEELSON_URL');
  const token = options.token ?? process.env['KEELSON_TOKEN'] ?? '';
  if (token === '') throw new Error('a worker needs a token: give runWorker a `token`, or set KEELSON_TOKEN');
  const name = options.name ?? defaultName();
  const worker = createWorker({
    servers,
    token,
    name,
    group: options.group ?? 'default',
    slots: options.slots ?? DEFAULT_SLOTS,
    dataDir: options.dataDir ?? join(tmpdir(), `keelson-worker-${process.getuid?.() ?? 0}-${fingerprint(name)}`),
    processors: options.processors,
    taskTypes: options.taskTypes ?? [],
    ...(options.log === undefined ? {} : { log: options.log }),
  });
  if (options.handleSignals ?? true) drainOnSignal(worker, options.drainMs ?? DEFAULT_DRAIN_MS);
  await worker.start();
  return worker;
}

function drainOnSignal(worker: Worker, drainMs: number): void {
  let asked = false;
  const onSignal = (): void => {
    void (asked ? worker.stop() : worker.drain(drainMs));
    asked = true;
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  worker.events.once('left', () => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  });
}

/** Several processes of one host are several workers. */
function defaultName(): string {
  return `${hostname()}-${fingerprint(process.cwd())}-${process.pid}`;
}

function fingerprint(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

function listOf(server: string | readonly string[] | undefined): readonly string[] {
  if (server === undefined || server === '') return [];
  return typeof server === 'string' ? [server] : server;
}
