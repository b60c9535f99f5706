import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { killByKey } from '../launcher/process-tree.ts';
import { endRecordedCgroup, removeOldPipes } from '../launcher/spawn-launcher.ts';
import type { WorkerLog } from '../runtime/worker-log.ts';
import { lockDataDir } from './lock.ts';

/** A worker's directory, locked and free of what an earlier worker left there. */
export interface DataDir {
  readonly path: string;
  /** Begins the attempt key of every process that was ever started from here. */
  readonly id: string;
  readonly attemptsDir: string;
  readonly cacheDir: string;
  release(): void;
}

/** Locks the directory, kills what an earlier worker left running, removes its attempts. Throws DataDirInUse. */
export async function openDataDir(dir: string, log: WorkerLog): Promise<DataDir> {
  const path = resolve(dir);
  makeFolder(path);
  const release = await lockDataDir(path);
  try {
    const id = directoryId(path);
    const killed = (await endRecordedCgroup(path)) + killByKey((key) => key.startsWith(`${id}:`));
    if (killed > 0) log('warn', 'killed processes that an earlier worker had left behind', { processes: killed });
    const attemptsDir = join(path, 'attempts');
    await rm(attemptsDir, { recursive: true, force: true, maxRetries: 3 });
    removeOldPipes(path, id);
    mkdirSync(attemptsDir, { mode: 0o700 });
    return { path, id, attemptsDir, cacheDir: join(path, 'blobs'), release };
  } catch (error) {
    release();
    throw error;
  }
}

/** With those above it. Not by Node's recursive `mkdir`, which never comes back below /proc. */
function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`the data directory cannot be made: ${why}; choose another one with --data`, { cause: error });
  }
}

function directoryId(path: string): string {
  const file = join(path, 'id');
  try {
    const id = readFileSync(file, 'utf8').trim();
    if (/^[0-9a-f]{24}$/.test(id)) return id;
  } catch {
    // The first start in this directory.
  }
  const id = randomBytes(12).toString('hex');
  writeFileSync(file, `${id}\n`, { mode: 0o600 });
  return id;
}
