import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endCgroup, makeCgroup } from './cgroup.ts';
import type { LauncherOptions } from './client.ts';
import { PRIME, type LauncherConfig } from './messages.ts';

/** Small, so that a fork of it is cheap. */
const NODE_FLAGS = ['--max-semi-space-size=1', '--v8-pool-size=1', '--disable-warning=ExperimentalWarning'];
const MEMORY_DIR = '/dev/shm';
const PIPES = 'keelson-pipes-';
const CGROUP_RECORD = 'cgroup';
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** A launcher process, and the control group of its tasks where there can be one. */
export interface SpawnedLauncher {
  readonly child: ChildProcess;
  readonly cgroup: string | undefined;
}

/** Starts the launcher in a session of its own: a Ctrl-C at the terminal is the worker's business alone. */
export function spawnLauncher(options: LauncherOptions, keyPrefix: string): SpawnedLauncher {
  const pipeDir = pipeDirOf(options.dataDir, keyPrefix);
  mkdirSync(pipeDir, { recursive: true, mode: 0o700 });
  const cgroup = makeCgroup(plainName(keyPrefix));
  // Whoever starts in this directory next can kill what is left in there, even if all who know of it are killed at once.
  if (cgroup !== undefined) writeFileSync(join(options.dataDir, CGROUP_RECORD), cgroup, { mode: 0o600 });
  const config: LauncherConfig = {
    workerPid: process.pid,
    pipeDir,
    keyPrefix,
    killWorker: options.killWorker ?? true,
    ...(cgroup === undefined ? {} : { cgroup }),
  };
  const child = spawn(process.execPath, [...NODE_FLAGS, MAIN, JSON.stringify(config)], {
    cwd: options.dataDir,
    env: launcherEnv(codeCache(options.dataDir)),
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  return { child, cgroup };
}

/** Kills what the last launcher of this data directory left in its control group. Answers how many processes that were. */
export async function endRecordedCgroup(dataDir: string): Promise<number> {
  const file = join(dataDir, CGROUP_RECORD);
  if (!existsSync(file)) return 0;
  const count = await endCgroup(readFileSync(file, 'utf8').trim());
  rmSync(file, { force: true });
  return count;
}

const plainName = (keyPrefix: string): string => keyPrefix.replaceAll(/[^A-Za-z0-9]/g, '-');

/** In memory where the machine offers that: a name on a journalling disk costs 50 times as much, and a pipe needs one. */
function pipesParent(dataDir: string): string {
  try {
    accessSync(MEMORY_DIR, constants.W_OK);
    return MEMORY_DIR;
  } catch {
    return dataDir;
  }
}

function pipeDirOf(dataDir: string, keyPrefix: string): string {
  return join(pipesParent(dataDir), `${PIPES}${plainName(keyPrefix)}`);
}

/** Removes the pipes of a launcher that has ended. */
export function removePipes(dataDir: string, keyPrefix: string): void {
  rmSync(pipeDirOf(dataDir, keyPrefix), { recursive: true, force: true });
}

/** Removes the pipes that earlier launchers of this data directory left. */
export function removeOldPipes(dataDir: string, dataDirId: string): void {
  const parent = pipesParent(dataDir);
  for (const name of readdirSync(parent)) {
    if (name.startsWith(`${PIPES}${dataDirId}-`)) rmSync(join(parent, name), { recursive: true, force: true });
  }
}

/**
 * The directory of the launcher's code without its types, filled once for each version of it. Without that the launcher
 * loads the type stripper, 18 MB more to fork: 640 starts/s against 890 on 2 cores.
 */
function codeCache(dataDir: string): string {
  const parent = join(dataDir, 'code-cache');
  const dir = join(parent, `${process.version}-${sourceStamp()}`);
  if (existsSync(dir)) return dir;
  rmSync(parent, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  spawnSync(process.execPath, [...NODE_FLAGS, MAIN, PRIME], { cwd: dataDir, env: launcherEnv(dir), stdio: 'ignore' });
  return dir;
}

function sourceStamp(): string {
  const dirs = [new URL('.', import.meta.url), new URL('../log/', import.meta.url)].map((url) => fileURLToPath(url));
  const times = dirs.flatMap((dir) => readdirSync(dir).map((name) => statSync(join(dir, name)).mtimeMs));
  return String(Math.round(Math.max(...times)));
}

function launcherEnv(cacheDir: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { NODE_COMPILE_CACHE: cacheDir };
  for (const name of ['PATH', 'HOME', 'TMPDIR']) if (process.env[name] !== undefined) env[name] = process.env[name];
  return env;
}
