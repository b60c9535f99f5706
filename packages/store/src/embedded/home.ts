import { randomBytes } from 'node:crypto';
import { chmod, lstat, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canReach } from './account.ts';
import type { Account } from './account.ts';
import { makeFolders } from '../make-folders.ts';
import { EmbeddedPostgresError, systemErrorCode } from './failure.ts';

/** Where one cluster lives: `dir` is ours; `dir/data` belongs to the server's account. */
export type Home = { dir: string; data: string; password: string; log: string; port: string };

const POINTER = 'postgres-elsewhere';
const OWNER = 'belongs-to';

/**
 * Finds or makes the place of the cluster of `dataDir`: `dataDir/postgres`, unless the server's account cannot get
 * there (a clone under /root, mode 0700). Then it lies outside, and a pointer file in `dataDir` names the place, so that
 * removing `dataDir` means a fresh start.
 */
export async function settleHome(
  dataDir: string,
  account: Account | undefined,
  log: (line: string) => void,
): Promise<Home> {
  const root = await makeDataDirectory(dataDir, account);
  const inside = join(root, 'postgres');
  const pointed = await readFile(join(root, POINTER), 'utf8').catch(() => undefined);
  if (pointed !== undefined) return adopt(pointed.trim(), root);
  if (canReach(account, inside)) return homeAt(await makeFolder(inside));
  if (await exists(join(inside, 'data'))) {
    throw new EmbeddedPostgresError(
      'data-directory-unusable',
      `the user ${account?.name} that PostgreSQL runs as cannot pass through a folder above ${inside}; move ${root} back to where it was made, or open its parents with chmod o+x`,
    );
  }
  const outside = join(await sharedFolder(), `data-${randomBytes(6).toString('hex')}`);
  await makeFolder(outside);
  await writeFile(join(outside, OWNER), root);
  await writeFile(join(root, `${POINTER}.new`), outside);
  await rename(join(root, `${POINTER}.new`), join(root, POINTER));
  log(`the database lies in ${outside}: the user ${account?.name} that PostgreSQL runs as cannot get to ${root}`);
  return homeAt(outside);
}

/** A folder that every account can reach, for what may not lie in the data directory or in node_modules. */
export async function sharedFolder(): Promise<string> {
  const candidates = ['/var/lib/keelson', join(tmpdir(), 'keelson'), '/tmp/keelson'];
  for (const path of candidates) {
    try {
      await makeFolder(path);
      const found = await lstat(path);
      // Someone else's folder of that name in a temporary directory is not to be trusted with a database.
      if (found.isDirectory() && found.uid === process.getuid?.() && isOpen(path)) return path;
    } catch (error) {
      if (!['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'EEXIST', 'ENOTDIR'].includes(systemErrorCode(error) ?? ''))
        throw error;
    }
  }
  throw new EmbeddedPostgresError(
    'data-directory-unusable',
    `no folder that PostgreSQL's user can reach could be made (tried ${candidates.join(', ')}); choose another data directory with --data`,
  );
}

/** Makes a folder that others may pass through, whatever the umask says; what it holds guards itself. */
export async function makeFolder(path: string): Promise<string> {
  const made = await makeFolders(path);
  if (made !== undefined) await chmod(path, 0o755);
  return path;
}

async function makeDataDirectory(dataDir: string, account: Account | undefined): Promise<string> {
  try {
    await makeFolder(dataDir);
    const root = await realpath(dataDir);
    const { mode } = await stat(root);
    if (account !== undefined && (mode & 0o001) === 0) await chmod(root, mode | 0o111);
    return root;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EmbeddedPostgresError('data-directory-unusable', `cannot use the data directory ${dataDir}: ${reason}`, {
      cause: error,
    });
  }
}

async function adopt(dir: string, root: string): Promise<Home> {
  const owner = await readFile(join(dir, OWNER), 'utf8').catch(() => undefined);
  if (owner === undefined) {
    throw new EmbeddedPostgresError(
      'data-directory-unusable',
      `${join(root, POINTER)} names ${dir}, which is gone: the database is lost; remove ${root} to start afresh`,
    );
  }
  if (owner !== root) {
    const claim = await readFile(join(owner, POINTER), 'utf8').catch(() => undefined);
    if (claim?.trim() === dir) {
      throw new EmbeddedPostgresError(
        'data-directory-unusable',
        `${root} is a copy of ${owner}, whose database lies in ${dir}: a copied data directory cannot be started`,
      );
    }
    await writeFile(join(dir, OWNER), root); // The data directory was moved.
  }
  return homeAt(dir);
}

function homeAt(dir: string): Home {
  return {
    dir,
    data: join(dir, 'data'),
    password: join(dir, 'password'),
    log: join(dir, 'postgres.log'),
    port: join(dir, 'port'),
  };
}

function isOpen(path: string): boolean {
  return canReach({ name: 'anyone', uid: -1, gid: -1 }, join(path, 'x'));
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
