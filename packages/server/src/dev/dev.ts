import { randomBytes } from 'node:crypto';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolders } from '@keelson/store';
import type { Store } from '@keelson/store';
import { EmbeddedPostgresError, startEmbeddedPostgres } from '@keelson/store/embedded';
import type { Logger } from 'pino';
import { migrateOwn } from './migrate-own.ts';
import { startDevServers } from './servers.ts';
import type { DevServers } from './servers.ts';
import { supervise } from './supervise.ts';
import type { Supervised } from './supervise.ts';
import { offerWarehouse } from './warehouse.ts';

export interface DevOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Holds everything: the database, the secret key, the workers' directories. */
  readonly dataDir: string;
  /** Server processes, each with all roles; with one, the default, it is this process. */
  readonly masters?: number;
  readonly workers: number;
  /** Tasks at once, per worker. */
  readonly slots: number;
  readonly log: Logger;
}

export interface RunningDev {
  readonly url: string;
  /** An admin's, good until `stop`. */
  readonly token: string;
  /** Resolves with a sentence when its database has ended by itself. Anything else that ends is started again. */
  readonly broken: Promise<string>;
  /** Lets running tasks finish for a moment, then ends everything. Any number of calls. */
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
const WORKER_MODULE = new URL('./worker-main.ts', import.meta.url);
const WORKER_STOP_WITHIN_MS = 20_000;

/**
 * Everything on this machine: an embedded PostgreSQL, all server roles in this process (or in several of their own), and workers in
 * processes of their own (a worker that loses its lease is killed, and must not take the server with it).
 */
export async function startDev(options: DevOptions): Promise<RunningDev> {
  const { dataDir, port, log } = options;
  await makeFolders(dataDir).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new EmbeddedPostgresError('data-directory-unusable', `the data directory ${dataDir} cannot be made: ${why}`);
  });
  const database = await startEmbeddedPostgres({ dataDir, log: (line) => log.debug({ part: 'postgres' }, line) });
  const started: { servers?: DevServers; workers: Supervised[] } = { workers: [] };
  const stop = async (): Promise<void> => {
    await Promise.all(started.workers.map((worker) => worker.stop()));
    await started.servers?.stop();
    await rm(join(dataDir, 'dev.json'), { force: true });
    await database.stop();
  };
  try {
    await migrateOwn(database.url, log);
    const secretKey = await ensureSecretKey(dataDir);
    const servers = (started.servers = await startDevServers({
      count: options.masters ?? 1,
      databaseUrl: database.url,
      secretKey,
      host: HOST,
      port,
      log,
    }));
    const [url = ''] = servers.urls;
    await offerWarehouse(database.url, servers.store.datasources);
    const token = await freshToken(servers.store, 'admin', 'dev');
    await startWorkers(options, servers, started.workers);
    await writePrivate(join(dataDir, 'dev.json'), JSON.stringify({ url, token, pid: process.pid }));
    let stopping: Promise<void> | undefined;
    return { url, token, broken: database.ended, stop: () => (stopping ??= stop()) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startWorkers(
  { dataDir, workers, slots, log }: DevOptions,
  { store, urls }: DevServers,
  into: Supervised[],
): Promise<void> {
  const token = await freshToken(store, 'worker', 'dev-worker');
  for (let number = 1; number <= workers; number++) {
    // Each begins with another server, so that all have some.
    const first = (number - 1) % urls.length;
    const name = `dev-${number}`;
    into.push(
      supervise({
        name: `worker ${name}`,
        module: WORKER_MODULE,
        settings: {
          kind: 'worker',
          servers: [...urls.slice(first), ...urls.slice(0, first)],
          token,
          name,
          slots,
          dataDir: join(dataDir, `worker-${number}`),
        },
        stopWithinMs: WORKER_STOP_WITHIN_MS,
        log,
      }),
    );
  }
  await Promise.all(into.map((worker) => worker.ready));
}

/** Tokens of earlier runs end with this one: each start prints its own. */
async function freshToken(store: Store, role: 'admin' | 'worker', name: string): Promise<string> {
  for (const old of await store.tokens.list())
    if (old.name === name && old.revokedAt === null) await store.tokens.revoke(old.id);
  return (await store.tokens.create({ name, role })).token;
}

/** The key is made once: what it encrypts in this data directory can only be read with it. */
async function ensureSecretKey(dataDir: string): Promise<string> {
  const file = join(dataDir, 'secret.key');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const key = randomBytes(32).toString('base64');
  await writePrivate(file, `${key}\n`);
  return key;
}

async function writePrivate(file: string, text: string): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  await chmod(file, 0o600);
}
