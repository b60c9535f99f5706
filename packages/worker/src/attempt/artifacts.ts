import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isEmptyDirectory } from './workspace-places.ts';
import type { BlobRef } from '@keelson/protocol';
import type { TaskLog } from '@keelson/tasks';
import type { Outcome } from '../gateway/call.ts';
import { backoffMs, sleep, type Clock } from '@keelson/core';
import { systemRandom } from '@keelson/core/system';
import { AttemptFailure, storageFailure } from './attempt-failure.ts';
import { safeRelativePath } from './safe-path.ts';

export type PutBlob = (sha256: string, file: string, size: number, signal: AbortSignal) => Promise<Outcome<void>>;

/** The protocol takes no more in one report. */
const MAX_ARTIFACTS = 10_000;
const MAX_PATH_LENGTH = 1024;
const TRIES = 6;

/** Uploads every plain file below the output directory. Links are named in the log and left out. Throws AttemptFailure. */
export async function uploadArtifacts(
  outputDir: string,
  putBlob: PutBlob,
  clock: Clock,
  log: TaskLog,
  signal: AbortSignal,
): Promise<BlobRef[]> {
  let paths: string[];
  try {
    if (isEmptyDirectory(outputDir)) return [];
    paths = await plainFiles(outputDir, log);
  } catch (error) {
    throw storageFailure(error, 'reading the output directory');
  }
  if (paths.length > MAX_ARTIFACTS)
    throw new AttemptFailure(
      'too-many-artifacts',
      `the output directory holds ${paths.length} files; at most ${MAX_ARTIFACTS} are kept. Pack them into one`,
    );
  const artifacts: BlobRef[] = [];
  for (const path of paths) artifacts.push(await upload(outputDir, path, putBlob, clock, signal));
  return artifacts;
}

async function plainFiles(outputDir: string, log: TaskLog): Promise<string[]> {
  const found: string[] = [];
  async function walk(below: string): Promise<void> {
    for (const entry of await readdir(join(outputDir, below), { withFileTypes: true })) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) await walk(path);
      else if (entry.isFile()) found.push(path);
      else log.write(`[keelson: ${path} in the output directory is no plain file and was not uploaded]\n`);
    }
  }
  const top = await lstat(outputDir).catch(() => undefined);
  if (top === undefined) return [];
  if (!top.isDirectory())
    throw new AttemptFailure('bad-output-directory', '$KEELSON_OUTPUT_DIR is no directory any more');
  await walk('');
  return found.toSorted();
}

async function upload(
  outputDir: string,
  path: string,
  putBlob: PutBlob,
  clock: Clock,
  signal: AbortSignal,
): Promise<BlobRef> {
  if (path.length > MAX_PATH_LENGTH)
    throw new AttemptFailure(
      'bad-artifact-path',
      `the path of the artifact ${path.slice(0, 80)}… is longer than ${MAX_PATH_LENGTH} characters`,
    );
  const file = join(outputDir, safeRelativePath(path));
  let blob: BlobRef;
  try {
    blob = { path, ...(await fingerprint(file)) };
  } catch (error) {
    throw storageFailure(error, `reading the artifact ${path}`);
  }
  for (let failures = 0; ; failures += 1) {
    const outcome = await putBlob(blob.sha256, file, blob.size, signal);
    if (outcome.kind === 'ok') return blob;
    if (outcome.kind === 'refused' || failures + 1 >= TRIES || signal.aborted) {
      throw new AttemptFailure(
        'upload-failed',
        `the artifact ${path} (${blob.size} bytes) could not be uploaded: ${outcome.message}`,
      );
    }
    await sleep(clock, backoffMs(failures, 200, 5000, systemRandom), signal);
  }
}

async function fingerprint(file: string): Promise<Omit<BlobRef, 'path'>> {
  await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of handle.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { sha256: hash.digest('hex'), size, mode: (await handle.stat()).mode & 0o777 };
}
