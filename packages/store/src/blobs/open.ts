import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import type { BlobStore } from '../blobs.ts';
import { postgresBlobs } from '../postgres/blobs.ts';
import { StoreError } from '../store-error.ts';
import { folderObjects } from './folder.ts';
import { objectBlobs } from './object-blobs.ts';
import type { ObjectStore } from './object-store.ts';
import { parseS3Url, s3Objects } from './s3.ts';

export interface OpenedBlobs {
  readonly blobs: BlobStore;
  /** Where the bytes of logs go; absent: into PostgreSQL. */
  readonly objects?: ObjectStore;
}

/**
 * @param url `file:///shared/folder` or `s3://bucket/prefix?…`; absent: PostgreSQL
 * @throws {StoreError} `invalid-blob-url`
 */
export async function openBlobStore(url: string | undefined, pool: pg.Pool): Promise<OpenedBlobs> {
  if (url === undefined) return { blobs: postgresBlobs(pool) };
  const objects = await openObjects(url);
  return { blobs: objectBlobs(objects), objects };
}

async function openObjects(text: string): Promise<ObjectStore> {
  const url = URL.parse(text);
  if (url?.protocol === 's3:') return s3Objects(parseS3Url(url));
  if (url?.protocol === 'file:') return folderObjects(folderOf(url));
  throw new StoreError(
    'invalid',
    'invalid-blob-url',
    `${JSON.stringify(text)} is no blob store: use file:///folder or s3://bucket/prefix`,
  );
}

function folderOf(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new StoreError(
      'invalid',
      'invalid-blob-url',
      `${url.href} is no folder of this machine: use file:///folder`,
      { cause: error },
    );
  }
}
