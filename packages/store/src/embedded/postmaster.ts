import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { open, readFile, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runAs } from './account.ts';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import { cannotRun } from './cluster.ts';
import { EmbeddedPostgresError } from './failure.ts';
import type { Home } from './home.ts';
import { pidExists } from './process-identity.ts';

/** A server process that accepts connections. `ended` resolves with a sentence once it is gone, whoever stopped it. */
export type Postmaster = { pid: number; child: ChildProcess; ended: Promise<string> };

const POLL_MS = 10;
const FAST_SHUTDOWN_MS = 60_000;
const IMMEDIATE_SHUTDOWN_MS = 10_000;
const LOG_LIMIT_BYTES = 10_000_000;

/**
 * Starts the server and waits until it accepts connections. Crash recovery may take its time: there is no deadline while
 * the process lives. The server gets a session of its own, so that Ctrl-C reaches only us, and dies with us where setpriv exists.
 */
export async function startPostmaster(
  home: Home,
  binaries: Binaries,
  account: Account | undefined,
  settings: Record<string, string>,
): Promise<Postmaster> {
  await rotateLog(home.log);
  const logFile = await open(home.log, 'a', 0o600);
  const logStart = (await logFile.stat()).size;
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [program, ...args] = [...diesWithParent(), binaries.postgres, '-D', home.data, ...options];
  const child = spawn(program ?? binaries.postgres, args, {
    ...runAs(account),
    cwd: home.dir,
    detached: true,
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
    stdio: ['ignore', logFile.fd, logFile.fd],
  });
  child.unref();
  await logFile.close();
  const failed = new Promise<never>((_, reject) =>
    child.once('error', (error) => reject(cannotRun(binaries.postgres, error))),
  );
  const ended = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) =>
      resolve(`PostgreSQL ended (${signal ?? `exit ${code ?? '?'}`}); its log is ${home.log}`),
    ),
  );
  failed.catch(() => undefined);
  const { pid } = child;
  if (pid === undefined) return failed;
  await Promise.race([failed, whenReady(home, child, logStart)]);
  return { pid, child, ended };
}

/** Stops the server cleanly; if that takes too long, at once (the next start then replays the log). */
export async function stopPostmaster(pid: number, isGone: () => boolean, log: (line: string) => void): Promise<void> {
  if (isGone()) return;
  signal(pid, 'SIGINT');
  if (await waitFor(isGone, FAST_SHUTDOWN_MS)) return;
  log(`PostgreSQL (pid ${pid}) did not stop within ${FAST_SHUTDOWN_MS / 1000} s; stopping it at once`);
  signal(pid, 'SIGQUIT');
  if (await waitFor(isGone, IMMEDIATE_SHUTDOWN_MS)) return;
  throw new EmbeddedPostgresError('postgres-start-failed', `PostgreSQL (pid ${pid}) cannot be stopped`);
}

/**
 * Stops the server that a crashed Keelson left behind, and removes a postmaster.pid whose process id now belongs to
 * something else (PostgreSQL itself would refuse to start then). Call it only under the lock of the data directory.
 */
export async function stopLeftover(home: Home, log: (line: string) => void): Promise<void> {
  const pid = (await readPidFile(home)).pid;
  if (pid === undefined) return;
  if (pidExists(pid) && (await servesFrom(pid, home.data))) {
    log(`stopping the PostgreSQL (pid ${pid}) that an earlier run left behind`);
    await stopPostmaster(pid, () => !pidExists(pid), log);
  } else {
    await rm(join(home.data, 'postmaster.pid'), { force: true });
  }
}

async function whenReady(home: Home, child: ChildProcess, logStart: number): Promise<void> {
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw await startFailure(home, child, logStart);
    const { pid, status } = await readPidFile(home);
    if (pid === child.pid && status === 'ready') return;
    await delay(POLL_MS);
  }
}

async function startFailure(home: Home, child: ChildProcess, logStart: number): Promise<EmbeddedPostgresError> {
  const text = (await readFile(home.log)).subarray(logStart).toString('utf8').trim();
  const lines = text.split('\n').map((line) => line.replace(/^\S+ \S+ \S+ \[\d+\] /, ''));
  const telling = lines.filter((line) => /^(FATAL|PANIC|ERROR|HINT|DETAIL|setpriv)/.test(line));
  const said = (telling.length > 0 ? telling : lines.slice(-3)).join(' · ');
  const status = child.signalCode ?? `exit ${child.exitCode ?? '?'}`;
  if (/no space left on device|disk quota exceeded/i.test(text)) {
    return new EmbeddedPostgresError('disk-full', `the disk is full: PostgreSQL could not start (${said})`);
  }
  if (/could not create any TCP\/IP sockets|Address already in use/.test(text)) {
    return new EmbeddedPostgresError('port-in-use', `PostgreSQL could not start: its port is in use (${said})`);
  }
  return new EmbeddedPostgresError(
    'postgres-start-failed',
    `PostgreSQL could not start (${status}): ${said} · log: ${home.log}`,
  );
}

/** The first line of postmaster.pid is the process id, the eighth `starting`, `ready` or `stopping`. */
async function readPidFile(home: Home): Promise<{ pid: number | undefined; status: string | undefined }> {
  const text = await readFile(join(home.data, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Number.parseInt(lines[0] ?? '', 10);
  return { pid: Number.isInteger(pid) && pid > 1 ? pid : undefined, status: lines[7]?.trim() };
}

/** A server's working directory is its data directory; without /proc its command line names it. */
async function servesFrom(pid: number, data: string): Promise<boolean> {
  const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  if (folder !== undefined) return folder === (await realpath(data));
  const listing = spawnSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8' });
  return listing.status === 0 && listing.stdout.includes(`-D ${data}`);
}

let parentDeathPrefix: string[] | undefined;

function diesWithParent(): string[] {
  if (parentDeathPrefix === undefined) {
    const probe =
      process.platform === 'linux'
        ? spawnSync('setpriv', ['--pdeathsig', 'INT', 'true'], { stdio: 'ignore' })
        : undefined;
    parentDeathPrefix = probe?.status === 0 ? ['setpriv', '--pdeathsig', 'INT', '--'] : [];
  }
  return parentDeathPrefix;
}

async function rotateLog(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined && found.size > LOG_LIMIT_BYTES) await rename(path, `${path}.1`);
}

async function waitFor(condition: () => boolean, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (pidExists(pid)) throw error;
  }
}
