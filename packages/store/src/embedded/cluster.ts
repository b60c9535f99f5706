import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runAs } from './account.ts';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import { EmbeddedPostgresError, systemErrorCode } from './failure.ts';
import type { Home } from './home.ts';

/** The only role that is made: the cluster's superuser. */
export const ROLE = 'keelson';

/**
 * Makes the cluster of `home` unless it exists, and returns the role's password.
 * It is made under another name and renamed, so that a crash leaves no half a cluster.
 */
export async function ensureCluster(
  home: Home,
  binaries: Binaries,
  account: Account | undefined,
  options: { sync: boolean; log: (line: string) => void },
): Promise<string> {
  const major = await clusterMajor(home);
  if (major === undefined) return initialise(home, binaries, account, options);
  if (major !== binaries.major) {
    throw new EmbeddedPostgresError(
      'postgres-version-mismatch',
      `${home.data} was made by PostgreSQL ${major}, this Keelson brings PostgreSQL ${binaries.major}: export with the older Keelson, or choose another --data`,
    );
  }
  try {
    return (await readFile(home.password, 'utf8')).trim();
  } catch (error) {
    throw new EmbeddedPostgresError(
      'data-directory-unusable',
      `cannot read ${home.password}, the password of the database in ${home.data} (${systemErrorCode(error) ?? String(error)})`,
      { cause: error },
    );
  }
}

/** The major version of the cluster's maker; undefined if there is no cluster yet. */
async function clusterMajor(home: Home): Promise<number | undefined> {
  const path = join(home.data, 'PG_VERSION');
  try {
    return Number.parseInt(await readFile(path, 'utf8'), 10);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') return undefined;
    throw new EmbeddedPostgresError(
      'data-directory-unusable',
      `cannot read ${path} (${code ?? String(error)}); was it made by another user?`,
      { cause: error },
    );
  }
}

async function initialise(
  home: Home,
  binaries: Binaries,
  account: Account | undefined,
  options: { sync: boolean; log: (line: string) => void },
): Promise<string> {
  options.log(`making a PostgreSQL ${binaries.major} database cluster in ${home.data}`);
  const password = randomBytes(24).toString('hex');
  const draft = `${home.data}.new`;
  const passwordFile = join(home.dir, 'password.initdb');
  try {
    for (const leftover of [draft, passwordFile]) await rm(leftover, { recursive: true, force: true });
    await mkdir(draft, { mode: 0o700 });
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (account !== undefined) for (const path of [draft, passwordFile]) await chown(path, account.uid, account.gid);
    await runInitdb(binaries, account, initdbArguments(draft, passwordFile, options.sync), home.dir);
    // The password goes first: a cluster without one would be lost.
    await writeFile(home.password, password, { mode: 0o600 });
    await publish(draft, home);
    return password;
  } catch (error) {
    if (error instanceof EmbeddedPostgresError || systemErrorCode(error) !== 'ENOSPC') throw error;
    throw new EmbeddedPostgresError('disk-full', `the disk is full: cannot make a database in ${home.dir}`, {
      cause: error,
    });
  } finally {
    await rm(passwordFile, { force: true });
  }
}

async function publish(draft: string, home: Home): Promise<void> {
  try {
    await rename(draft, home.data);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOTEMPTY' && systemErrorCode(error) !== 'EEXIST') throw error;
    throw new EmbeddedPostgresError(
      'data-directory-unusable',
      `${home.data} is not empty and holds no PostgreSQL cluster; look at it, then move it away`,
      { cause: error },
    );
  }
  const folder = await open(home.dir);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The built-in C.UTF-8 sorts the same on every platform and with every C library. */
function initdbArguments(data: string, passwordFile: string, sync: boolean): string[] {
  return [
    `--pgdata=${data}`,
    `--username=${ROLE}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(sync ? [] : ['--no-sync']),
  ];
}

async function runInitdb(binaries: Binaries, account: Account | undefined, args: string[], cwd: string): Promise<void> {
  const child = spawn(binaries.initdb, args, {
    ...runAs(account),
    cwd,
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const status = await new Promise<string | number>((resolve, reject) => {
    child.once('error', (error) => reject(cannotRun(binaries.initdb, error)));
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  if (status === 0) return;
  const said = stderr
    .trim()
    .split('\n')
    .filter((line) => !line.includes('removing'))
    .join(' · ');
  if (/no space left on device|disk quota exceeded/i.test(stderr)) {
    throw new EmbeddedPostgresError('disk-full', `the disk is full: initdb could not make a database (${said})`);
  }
  throw new EmbeddedPostgresError(
    'postgres-init-failed',
    `initdb failed (exit ${status}): ${said || 'it said nothing'}`,
  );
}

/** A program that exists and cannot be found lacks its loader: the programs are linked with glibc. */
export function cannotRun(program: string, error: Error): EmbeddedPostgresError {
  const why =
    systemErrorCode(error) === 'ENOENT' ? 'its loader is missing (the programs need glibc, not musl)' : error.message;
  return new EmbeddedPostgresError('postgres-start-failed', `cannot run ${program}: ${why}`, { cause: error });
}
