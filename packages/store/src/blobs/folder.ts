import { randomUUID } from 'node:crypto';
import { open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { BlobContent } from '../blobs.ts';
import { makeFolders } from '../make-folders.ts';
import { StoreError } from '../store-error.ts';
import type { ObjectStore } from './object-store.ts';

/** Objects as files under a folder that every role sees: written beside, synced, and renamed into place. */
export function folderObjects(root: string): ObjectStore {
  const pathOf = (name: string): string => {
    if (!/^[a-z0-9]+(\/[a-z0-9]+)+$/.test(name)) throw new Error(`bad object name ${JSON.stringify(name)}`);
    return join(root, name);
  };
  return {
    put: (name, content) => write(pathOf(name), join(root, DRAFTS, randomUUID()), content),
    get: async (name) => read(pathOf(name)),
    size: async (name) => orAbsent(stat(pathOf(name)).then(({ size }) => size)),
    remove: async (name) => {
      const path = pathOf(name);
      await rm(path, { force: true }).catch((error: unknown) => {
        throw unavailable(error);
      });
      // Of a log's folder nothing may be left; one that is not empty, or in use, stays.
      await rmdir(dirname(path)).catch(() => undefined);
    },
    sweep: (ageMs) => sweep(join(root, DRAFTS), ageMs),
    close: async () => undefined,
  };
}

const DRAFTS = 'incoming';

async function write(path: string, draft: string, content: BlobContent): Promise<{ size: number }> {
  try {
    await makeFolders(dirname(draft), 0o750);
    const file = await open(draft, 'wx', 0o640);
    let size = 0;
    try {
      for await (const bytes of content instanceof Uint8Array ? [content] : content) {
        await file.writeFile(bytes);
        size += bytes.length;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await makeFolders(dirname(path), 0o750);
    await rename(draft, path);
    await syncFolder(dirname(path));
    return { size };
  } catch (error) {
    await rm(draft, { force: true });
    throw unavailable(error);
  }
}

async function sweep(folder: string, ageMs: number): Promise<number> {
  let swept = 0;
  for (const name of (await orAbsent(readdir(folder))) ?? []) {
    const path = join(folder, name);
    const found = await orAbsent(stat(path));
    if (found === undefined || Date.now() - found.mtimeMs < ageMs) continue;
    await rm(path, { force: true });
    swept++;
  }
  return swept;
}

/** Without it the rename may not outlive a power cut. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function read(path: string): Promise<Readable | undefined> {
  const file = await orAbsent(open(path, 'r'));
  return file?.createReadStream();
}

async function orAbsent<Result>(found: Promise<Result>): Promise<Result | undefined> {
  try {
    return await found;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unavailable(error);
  }
}

function unavailable(error: unknown): unknown {
  const code = codeOf(error);
  if (error instanceof StoreError || code === undefined) return error;
  return new StoreError(
    'unavailable',
    'blob-store-unavailable',
    `the blob folder: ${error instanceof Error ? error.message : code}`,
    { cause: error },
  );
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
