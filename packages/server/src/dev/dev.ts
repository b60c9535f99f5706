import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { migrate } from '@keelson/store';
import type { Store } from '@keelson/store';
import { startEmbeddedPostgres } from '@keelson/store/embedded';
import type { EmbeddedPostgres } from '@keelson/store/embedded';
import type { Logger } from 'pino';
import { startServer } from '../serve.ts';
import type { RunningServer } from '../serve.ts';
import { offerWarehouse } from './warehouse.ts';
import { startWorkerProcess } from './worker-process.ts';
import type { WorkerProcess } from './worker-process.ts';

export interface DevOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Holds everything: the database, the secret key, the workers' directories. */
  readonly dataDir: string;
  readonly workers: number;
  /** Tasks at once, per worker. */
  readonly slots: number;
  readonly log: Logger;
}

export interface RunningDev {
  readonly url: string;
  /** An admin's, good until `stop`. */
  readonly token: string;
  /** Resolves with a sentence when a part of it has ended by itself. */
  readonly broken: Promise<string>;
  /** Lets running tasks finish for a moment, then ends everything. Any number of calls. */
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';

/**
 * Everything on this machine: an embedded PostgreSQL, all server roles in this process, and workers in processes of their own (a worker
 * that loses its lease is killed, and must not take the server with it).
 */
export async function startDev(options: DevOptions): Promise<RunningDev> {
  const { dataDir, port, log } = options;
  await mkdir(dataDir, { recursive: true }).catch((error: unknown) => {
    throw new Error(
      `the data directory ${dataDir} cannot be made: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  const database = await startEmbeddedPostgres({ dataDir, log: (line) => log.debug({ part: 'postgres' }, line) });
  const started: { server?: RunningServer; workers: WorkerProcess[] } = { workers: [] };
  const stop = async (): Promise<void> => {
    await Promise.all(started.workers.map((worker) => worker.stop()));
    await started.server?.stop();
    await rm(join(dataDir, 'dev.json'), { force: true });
    await database.stop();
  };
  try {
    await migrate(database.url);
    const secretKey = await ensureSecretKey(dataDir);
    const server = (started.server = await startServer({
      roles: ['api', 'master', 'alert'],
      databaseUrl: database.url,
      listen: { host: HOST, port },
      secretKey,
      log,
    }));
    await offerWarehouse(database.url, server.store.datasources);
    const token = await freshToken(server.store, 'admin', 'dev');
    await startWorkers(options, server, started.workers);
    await writePrivate(join(dataDir, 'dev.json'), JSON.stringify({ url: server.url, token, pid: process.pid }));
    let stopping: Promise<void> | undefined;
    return { url: server.url, token, broken: broken(database, started.workers), stop: () => (stopping ??= stop()) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startWorkers(
  { dataDir, workers, slots }: DevOptions,
  server: RunningServer,
  into: WorkerProcess[],
): Promise<void> {
  const token = await freshToken(server.store, 'worker', 'dev-worker');
  for (let number = 1; number <= workers; number++) {
    into.push(
      startWorkerProcess({
        server: server.url,
        token,
        name: `dev-${number}`,
        slots,
        dataDir: join(dataDir, `worker-${number}`),
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

async function broken(database: EmbeddedPostgres, workers: readonly WorkerProcess[]): Promise<string> {
  return Promise.race([database.ended, ...workers.map((worker) => worker.ended)]);
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
