import { createHash } from 'node:crypto';
import { constants, createWriteStream } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BlobRef } from '@keelson/protocol';
import type { Outcome } from '../gateway/call.ts';
import { backoffMs, sleep, type Clock } from '@keelson/core';
import { systemRandom } from '@keelson/core/system';
import { AttemptFailure, storageFailure } from './attempt-failure.ts';

export type FetchBlob = (sha256: string, save: (body: Readable) => Promise<void>) => Promise<Outcome<void>>;

/** Files by their hash, fetched once and kept on the worker's disk up to a limit. */
export interface BlobCache {
  /** Puts the file at `path`, in a directory that exists, with its mode. Throws AttemptFailure. */
  place(blob: BlobRef, path: string, fetchBlob: FetchBlob, signal: AbortSignal): Promise<void>;
}

export const DEFAULT_CACHE_BYTES = 2 * 1024 ** 3;
const TRIES = 5;

/** Opens the cache; what an earlier worker left there is found again. */
export function openBlobCache(dir: string, maxBytes: number, clock: Clock): BlobCache {
  /** Sizes, the least recently used first. */
  const known = new Map<string, number>();
  const fetching = new Map<string, Promise<void>>();
  let opened: Promise<void> | undefined;
  let made = 0;

  async function open(): Promise<void> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(dir)) {
      if (!/^[0-9a-f]{64}$/.test(name)) await rm(join(dir, name), { force: true });
      else known.set(name, (await stat(join(dir, name))).size);
    }
  }

  async function download(blob: BlobRef, fetchBlob: FetchBlob, signal: AbortSignal): Promise<void> {
    const part = join(dir, `part-${made++}`);
    await fetchVerified(blob, part, fetchBlob, clock, signal);
    await rename(part, join(dir, blob.sha256));
    known.set(blob.sha256, blob.size);
    await evict();
  }

  async function evict(): Promise<void> {
    let total = [...known.values()].reduce((sum, size) => sum + size, 0);
    for (const [sha256, size] of known) {
      if (total <= maxBytes || known.size <= 1) return;
      known.delete(sha256);
      total -= size;
      await rm(join(dir, sha256), { force: true });
    }
  }

  async function present(blob: BlobRef, fetchBlob: FetchBlob, signal: AbortSignal): Promise<void> {
    await (opened ??= open());
    const size = known.get(blob.sha256);
    if (size !== undefined) {
      known.delete(blob.sha256);
      known.set(blob.sha256, size);
      return;
    }
    let shared = fetching.get(blob.sha256);
    if (shared === undefined) {
      shared = download(blob, fetchBlob, signal).finally(() => fetching.delete(blob.sha256));
      fetching.set(blob.sha256, shared);
    }
    await shared;
  }

  return {
    async place(blob, path, fetchBlob, signal) {
      for (let round = 0; ; round += 1) {
        try {
          await present(blob, fetchBlob, signal);
          // A copy, no hard link: a task that writes into its file must not change it for all others.
          await copyFile(join(dir, blob.sha256), path, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
          await chmod(path, blob.mode);
          return;
        } catch (error) {
          // Evicted, or removed by someone, between the look and the copy.
          const vanished = error instanceof Error && 'code' in error && error.code === 'ENOENT';
          if (!vanished || round >= 2) throw storageFailure(error, `placing the file ${blob.path}`);
          known.delete(blob.sha256);
        }
      }
    },
  };
}

/** Fetches a blob into a file until it has the right hash; on failure nothing is left of it. Throws AttemptFailure. */
async function fetchVerified(
  blob: BlobRef,
  file: string,
  fetchBlob: FetchBlob,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; ; failures += 1) {
    let local: unknown;
    let hash = '';
    const outcome = await fetchBlob(blob.sha256, async (body) => {
      try {
        hash = await saveHashed(body, file);
      } catch (error) {
        local = error;
      }
    });
    if (outcome.kind === 'ok' && hash === blob.sha256) return;
    await rm(file, { force: true });
    if (isStorageError(local)) throw storageFailure(local, `fetching the file ${blob.path}`);
    if (outcome.kind === 'refused') {
      throw new AttemptFailure(
        'file-missing',
        `the server does not give out the file ${blob.path} (${blob.sha256}): ${outcome.message}`,
      );
    }
    if (failures + 1 >= TRIES || signal.aborted) {
      const why = outcome.kind === 'failed' ? outcome.message : 'what came does not have the right hash, or broke off';
      throw new AttemptFailure(
        'file-fetch-failed',
        `the file ${blob.path} could not be fetched in ${failures + 1} tries: ${why}`,
      );
    }
    await sleep(clock, backoffMs(failures, 200, 5000, systemRandom), signal);
  }
}

function isStorageError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'path' in error;
}

async function saveHashed(body: Readable, path: string): Promise<string> {
  const hash = createHash('sha256');
  async function* hashed(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      hash.update(chunk);
      yield chunk;
    }
  }
  await pipeline(body, hashed, createWriteStream(path, { mode: 0o600 }));
  return hash.digest('hex');
}
