import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Assignment, BlobRef } from '@keelson/protocol';
import type { Workspace } from '@keelson/tasks';
import { AttemptFailure, storageFailure } from './attempt-failure.ts';
import type { BlobCache, FetchBlob } from './blob-cache.ts';
import { writeBroadcastFiles } from './broadcast-files.ts';
import { safeRelativePath } from './safe-path.ts';
import { workspacePaths, type WorkspacePlace } from './workspace-places.ts';

/** Files fetched at the same time for one attempt. */
const AT_ONCE = 8;

/** Fills the directories of an attempt with the version's files and the upstream artifacts. Throws AttemptFailure. */
export async function makeWorkspace(
  place: WorkspacePlace,
  assignment: Assignment,
  cache: BlobCache,
  fetchBlob: FetchBlob,
  signal: AbortSignal,
): Promise<Workspace> {
  const paths = workspacePaths(place.root);
  const targets = [
    ...assignment.files.map((blob) => target(paths.dir, blob)),
    ...assignment.inputs.map((blob) => target(paths.inputDir, blob)),
  ];
  try {
    place.make();
    writeBroadcastFiles(assignment.broadcast, place.root);
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
