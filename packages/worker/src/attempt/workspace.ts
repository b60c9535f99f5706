import { mkdir } from 'node:fs/promises';
import { rmdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Assignment, BlobRef } from '@keelson/protocol';
import type { Workspace } from '@keelson/tasks';
import { AttemptFailure, storageFailure } from './attempt-failure.ts';
import type { BlobCache, FetchBlob } from './blob-cache.ts';
import { safeRelativePath } from './safe-path.ts';

/** Files fetched at the same time for one attempt. */
const AT_ONCE = 8;

/** Where an attempt's directories will lie, if it asks for them. */
export function workspacePaths(root: string): Workspace {
  return { dir: join(root, 'work'), inputDir: join(root, 'input'), outputDir: join(root, 'output'), outputFile: join(root, 'outputs') };
}

/** Makes the directories of an attempt with the version's files and the upstream artifacts. Throws AttemptFailure. */
export async function makeWorkspace(
  root: string, assignment: Assignment, cache: BlobCache, fetchBlob: FetchBlob, signal: AbortSignal,
): Promise<Workspace> {
  const paths = workspacePaths(root);
  const targets = [...assignment.files.map((blob) => target(paths.dir, blob)), ...assignment.inputs.map((blob) => target(paths.inputDir, blob))];
  try {
    // Never into an existing one: whatever lies there is not this attempt's.
    await mkdir(root, { mode: 0o700 });
    await Promise.all([paths.dir, paths.inputDir, paths.outputDir].map((dir) => mkdir(dir)));
    for (const dir of new Set(targets.map(({ path }) => dirname(path)))) await mkdir(dir, { recursive: true });
  } catch (error) {
    throw storageFailure(error, "making the attempt's directory");
  }
  const waiting = targets.values();
  const placeNext = async (): Promise<void> => {
    for (const { blob, path } of waiting) {
      if (signal.aborted) throw new AttemptFailure('stopped', 'stopped while its files were fetched');
      await cache.place(blob, path, fetchBlob, signal);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, targets.length) }, placeNext));
  return paths;
}

function target(dir: string, blob: BlobRef): { readonly blob: BlobRef; readonly path: string } {
  return { blob, path: join(dir, safeRelativePath(blob.path)) };
}

/** Removes an attempt's directories. Never throws; returns the trouble, if any. */
export async function removeWorkspace(root: string): Promise<string | undefined> {
  const { dir, inputDir, outputDir } = workspacePaths(root);
  try {
    // Most attempts leave nothing behind, and four calls are cheaper than a walk.
    for (const path of [dir, inputDir, outputDir, root]) rmdirSync(path);
    return undefined;
  } catch {
    try {
      await rm(root, { recursive: true, force: true, maxRetries: 3 });
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}
