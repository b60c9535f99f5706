import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { serverAccount } from './account.ts';
import type { Account } from './account.ts';
import { usableBinaries } from './binaries.ts';
import type { Binaries } from './binaries.ts';
import { ROLE, ensureCluster } from './cluster.ts';
import { EmbeddedPostgresError, systemErrorCode } from './failure.ts';
import { freePort } from './free-port.ts';
import { settleHome } from './home.ts';
import type { Home } from './home.ts';
import { acquireLock } from './lock.ts';
import { startPostmaster, stopLeftover, stopPostmaster } from './postmaster.ts';
import type { Postmaster } from './postmaster.ts';
import { serverSettings } from './server-settings.ts';

export { EmbeddedPostgresError } from './failure.ts';
export type { EmbeddedPostgresCode } from './failure.ts';
export { ensureGuestDatabase } from './guest-database.ts';
export type { GuestDatabase } from './guest-database.ts';

export type EmbeddedPostgresOptions = {
  /** Keelson's data directory; the cluster is made in its folder `postgres`, the lock is its `keelson.lock`. */
  dataDir: string;
  /** A TCP port on 127.0.0.1; by default the one of the last start if it is free, else any free one. */
  port?: number;
  /** Server settings over the defaults, as in postgresql.conf. */
  settings?: Record<string, string>;
  /** False for a database that may be lost in a power cut (tests): `fsync` off, too. */
  durable?: boolean;
  log: (line: string) => void;
};

export type EmbeddedPostgres = {
  /** The database `keelson` as its superuser, with the password in it. */
  url: string;
  port: number;
  pid: number;
  /** Resolves with a sentence when the server is gone, also if it ends by itself. */
  ended: Promise<string>;
  /** Ends open connections, writes everything out, and waits for the end. Any number of calls. */
  stop(): Promise<void>;
};

/** Starts the PostgreSQL of this data directory on 127.0.0.1, made on first use. Rejects with an EmbeddedPostgresError. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    return await startUnderLock(options);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOSPC') throw error;
    throw new EmbeddedPostgresError('disk-full', `the disk is full: cannot write to ${options.dataDir}`, {
      cause: error,
    });
  }
}

function startUnderLock(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  return underLock(options, async (home, account, release) => {
    const { log } = options;
    const binaries = await usableBinaries(account, home.dir, log);
    await stopLeftover(home, log);
    const password = await ensureCluster(home, binaries, account, { sync: options.durable !== false, log });
    const { postmaster, port } = await startOnFreePort(home, binaries, account, options);
    const hurry = () => postmaster.child.kill('SIGINT');
    process.on('exit', hurry);
    const stop = async () => {
      postmaster.child.ref();
      await stopPostmaster(postmaster.pid, () => hasEnded(postmaster), log);
      process.off('exit', hurry);
      await release();
    };
    try {
      const url = `postgres://${ROLE}:${password}@127.0.0.1:${port}/${ROLE}`;
      await ensureDatabase(url);
      let stopping: Promise<void> | undefined;
      return { url, port, pid: postmaster.pid, ended: postmaster.ended, stop: () => (stopping ??= stop()) };
    } catch (error) {
      await stop();
      throw error;
    }
  });
}

/** Stops what may still run there and deletes the cluster of this data directory with all its data. */
export async function discardEmbeddedPostgres(options: {
  dataDir: string;
  log: (line: string) => void;
}): Promise<void> {
  await underLock(options, async (home, _account, release) => {
    await stopLeftover(home, options.log);
    await rm(home.dir, { recursive: true, force: true });
    await rm(join(options.dataDir, 'postgres-elsewhere'), { force: true });
    await release();
  });
}

async function underLock<T>(
  { dataDir, log }: { dataDir: string; log: (line: string) => void },
  action: (home: Home, account: Account | undefined, release: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const account = serverAccount();
  const home = await settleHome(dataDir, account, log);
  const lock = await acquireLock(join(dataDir, 'keelson.lock'));
  if (!lock.taken) {
    throw new EmbeddedPostgresError(
      'data-directory-in-use',
      `the data directory ${dataDir} is in use by another Keelson (pid ${lock.holder.pid}); stop it, or choose another with --data`,
    );
  }
  try {
    return await action(home, await accountOfCluster(home, account), lock.release);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Root runs an existing cluster as the user who owns it, whichever that is. */
async function accountOfCluster(home: Home, account: Account | undefined): Promise<Account | undefined> {
  if (account === undefined) return undefined;
  const found = await stat(home.data).catch(() => undefined);
  if (found === undefined || found.uid === account.uid || found.uid === 0) return account;
  return { name: `of uid ${found.uid}`, uid: found.uid, gid: found.gid };
}

async function startOnFreePort(
  home: Home,
  binaries: Binaries,
  account: Account | undefined,
  options: EmbeddedPostgresOptions,
): Promise<{ postmaster: Postmaster; port: number }> {
  const attempts = 8;
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort(attempt === 1 ? await lastPort(home) : 0));
    const settings = { ...serverSettings(port, options.durable !== false), ...options.settings };
    try {
      const postmaster = await startPostmaster(home, binaries, account, settings);
      await writeFile(home.port, String(port));
      return { postmaster, port };
    } catch (error) {
      if (!(error instanceof EmbeddedPostgresError) || attempt === attempts) throw error;
      const portTaken = error.code === 'port-in-use' && options.port === undefined;
      // After a kill -9 of the server its children need a moment to notice.
      const childrenLeft = /pre-existing shared memory block/.test(error.message);
      if (!portTaken && !childrenLeft) throw error;
      if (childrenLeft) await delay(500);
    }
  }
}

async function lastPort(home: Home): Promise<number> {
  const port = Number.parseInt(await readFile(home.port, 'utf8').catch(() => ''), 10);
  return port > 0 && port < 65_536 ? port : 0;
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
  } catch (error) {
    const missing = error instanceof pg.DatabaseError && error.code === '3D000';
    if (!missing) throw connectFailure(error);
    await createDatabase(url);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function createDatabase(url: string): Promise<void> {
  const admin = new URL(url);
  admin.pathname = '/postgres';
  const client = new pg.Client({ connectionString: admin.href });
  await client.connect();
  try {
    await client.query(`create database ${ROLE}`);
  } finally {
    await client.end();
  }
}

function connectFailure(error: unknown): EmbeddedPostgresError {
  const reason = error instanceof Error ? error.message : String(error);
  return new EmbeddedPostgresError('postgres-start-failed', `PostgreSQL started but refuses us: ${reason}`, {
    cause: error,
  });
}

function hasEnded({ child }: Postmaster): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
