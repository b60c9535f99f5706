import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import type { BlobStore } from '../blobs.ts';
import { postgresBlobs } from '../postgres/blobs.ts';
import { StoreError } from '../store-error.ts';
import { folderObjects } from './folder.ts';
import { objectBlobs } from './object-blobs.ts';
import type { ObjectStore } from './object-store.ts';
import { parseS3Url, s3Objects } from './s3.ts';

const PROBE = 'probe/keelson';
const PROBE_WITHIN_MS = 15_000;

export interface OpenedBlobs {
  readonly blobs: BlobStore;
  /** Where the bytes of logs go; absent: into PostgreSQL. */
  readonly objects?: ObjectStore;
}

/**
 * @param url `file:///shared/folder` or `s3://bucket/prefix?…`; absent: PostgreSQL
 * @throws {StoreError} `invalid-blob-url`; `blob-store-unavailable` when a small object cannot be written there and read back
 */
export async function openBlobStore(url: string | undefined, pool: pg.Pool): Promise<OpenedBlobs> {
  if (url === undefined) return { blobs: postgresBlobs(pool) };
  const objects = await openObjects(url);
  await probe(objects, url);
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

/** What is wrong with the place is better said at the start than by the first task that has something to store. */
async function probe(objects: ObjectStore, url: string): Promise<void> {
  try {
    await within(PROBE_WITHIN_MS, writeAndRead(objects));
  } catch (error) {
    await objects.close();
    const why = error instanceof Error ? error.message : String(error);
    throw new StoreError(
      'unavailable',
      'blob-store-unavailable',
      `the blob store ${withoutPassword(url)} cannot be used: ${why}; every role needs to read and write there`,
      { cause: error },
    );
  }
}

async function writeAndRead(objects: ObjectStore): Promise<void> {
  const bytes = Buffer.from('keelson\n');
  await objects.put(PROBE, bytes);
  const object = await objects.get(PROBE);
  const found = object === undefined ? undefined : await buffer(object);
  if (found === undefined || !found.equals(bytes)) throw new Error('what was written there is not what is read back');
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const late = new AbortController();
  const timeout = sleep(ms, undefined, { signal: late.signal }).then(
    () => Promise.reject(new Error(`no answer within ${ms / 1000} s`)),
    () => undefined,
  );
  try {
    await Promise.race([work, timeout]);
  } finally {
    late.abort();
  }
}

const withoutPassword = (url: string): string => url.replace(/\/\/[^@/]*@/, '//').replace(/\?.*$/s, '');

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
