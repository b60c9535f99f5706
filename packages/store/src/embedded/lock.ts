import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { systemErrorCode } from './failure.ts';
import { isRunning, parseProcessIdentity, processIdentity } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

/** Either the lock, to be released by its holder, or the process that holds it. */
export type LockOutcome = { taken: true; release: () => Promise<void> } | { taken: false; holder: ProcessIdentity };

/**
 * Takes the lock file at `path` for this process, or tells who holds it. A lock whose process is gone is taken over.
 * Node has no flock, so the file appears complete by `link` and a takeover is serialised by a second such file.
 */
export async function acquireLock(path: string): Promise<LockOutcome> {
  const candidate = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const own = JSON.stringify(processIdentity());
  try {
    await writeFile(candidate, own, { mode: 0o644 });
    for (;;) {
      if (await linkUnlessExists(candidate, path)) return { taken: true, release: () => releaseLock(path, own) };
      const holder = await readHolder(path);
      if (holder !== undefined && isRunning(holder)) return { taken: false, holder };
      const outcome = await takeOver(path, candidate);
      if (outcome === 'taken') return { taken: true, release: () => releaseLock(path, own) };
      if (outcome !== 'again') return { taken: false, holder: outcome };
    }
  } finally {
    await rm(candidate, { force: true });
  }
}

async function takeOver(path: string, candidate: string): Promise<'taken' | 'again' | ProcessIdentity> {
  const guard = `${path}.takeover`;
  if (!(await linkUnlessExists(candidate, guard))) {
    const rival = await readHolder(guard);
    if (rival !== undefined && isRunning(rival)) return rival;
    await rm(guard, { force: true });
    return 'again';
  }
  try {
    const holder = await readHolder(path);
    if (holder !== undefined && isRunning(holder)) return holder;
    await rename(candidate, path);
    return 'taken';
  } finally {
    await rm(guard, { force: true });
  }
}

async function releaseLock(path: string, own: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === own) await rm(path, { force: true });
}

async function linkUnlessExists(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function readHolder(path: string): Promise<ProcessIdentity | undefined> {
  try {
    return parseProcessIdentity(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return undefined;
  }
}
