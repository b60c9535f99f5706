import type { S3Client as S3ClientType, S3ClientConfig } from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { BlobContent } from '../blobs.ts';
import { StoreError } from '../store-error.ts';
import type { ObjectStore } from './object-store.ts';

/** Content up to this size is sent from memory; above it is first put on disk, since S3 wants to know the length. */
const IN_MEMORY = 8 * 1024 * 1024;
/** Of S3, for an object that is sent at once. */
const MAX_OBJECT = 5 * 1024 ** 3;

export interface S3Location {
  readonly bucket: string;
  /** Ends in `/` unless it is empty. */
  readonly prefix: string;
  readonly config: S3ClientConfig;
}

/**
 * `s3://bucket/prefix?region=…&endpoint=https://…&path-style=true`. Credentials come from where the AWS SDK looks for them
 * (the environment, a profile, the machine's role), never from the URL.
 *
 * @throws {StoreError} `invalid-blob-url`
 */
export function parseS3Url(url: URL): S3Location {
  const unknown = [...url.searchParams.keys()].find((key) => !['region', 'endpoint', 'path-style'].includes(key));
  const problem =
    url.hostname === ''
      ? 'the bucket is missing'
      : url.username !== '' || url.password !== ''
        ? 'credentials do not belong into it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'
        : unknown !== undefined
          ? `it takes region, endpoint and path-style, not ${unknown}`
          : undefined;
  if (problem !== undefined)
    throw new StoreError(
      'invalid',
      'invalid-blob-url',
      `the blob store's URL s3://${url.hostname}${url.pathname}: ${problem}`,
    );
  const path = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '');
  const endpoint = url.searchParams.get('endpoint');
  const region = url.searchParams.get('region');
  return {
    bucket: url.hostname,
    prefix: path === '' ? '' : `${path}/`,
    config: {
      ...(endpoint === null ? {} : { endpoint }),
      ...(region === null ? (endpoint === null ? {} : { region: 'us-east-1' }) : { region }),
      forcePathStyle: url.searchParams.get('path-style') === 'true',
      // Other makers' S3 often does not know the newer checksums; ours is the name of the blob.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    },
  };
}

/** The SDK is large, so it is loaded only where S3 is used. */
export async function s3Objects({ bucket, prefix, config }: S3Location): Promise<ObjectStore> {
  const { S3Client, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand } =
    await import('@aws-sdk/client-s3');
  const client: S3ClientType = new S3Client(config);
  const named = (name: string) => ({ Bucket: bucket, Key: `${prefix}${name}` });
  const put = (name: string, body: Uint8Array | Readable, size: number) =>
    reach(bucket, client.send(new PutObjectCommand({ ...named(name), Body: body, ContentLength: size })));
  return {
    put: async (name, content) => {
      const spooled = await spool(content);
      try {
        if (spooled.size > MAX_OBJECT)
          throw new StoreError(
            'invalid',
            'blob-too-large',
            `${spooled.size} bytes are more than the 5 GiB that S3 takes at once`,
          );
        await put(name, spooled.open(), spooled.size);
        return { size: spooled.size };
      } finally {
        await spooled.remove();
      }
    },
    get: async (name) => {
      const found = await orAbsent(reach(bucket, client.send(new GetObjectCommand(named(name)))));
      return found?.Body instanceof Readable ? found.Body : undefined;
    },
    size: async (name) =>
      (await orAbsent(reach(bucket, client.send(new HeadObjectCommand(named(name))))))?.ContentLength,
    remove: async (name) => void (await reach(bucket, client.send(new DeleteObjectCommand(named(name))))),
    // An object that was not sent whole is not there.
    sweep: async () => 0,
    close: async () => client.destroy(),
  };
}

interface Spooled {
  readonly size: number;
  open(): Uint8Array | Readable;
  remove(): Promise<void>;
}

/** Takes the content in whole, so that one that turns out wrong is never sent. */
async function spool(content: BlobContent): Promise<Spooled> {
  if (content instanceof Uint8Array) return inMemory([content], content.length);
  const kept: Uint8Array[] = [];
  let size = 0;
  let file: Awaited<ReturnType<typeof open>> | undefined;
  const path = join(tmpdir(), `keelson-upload-${randomUUID()}`);
  const remove = () => rm(path, { force: true });
  try {
    for await (const bytes of content) {
      size += bytes.length;
      kept.push(bytes);
      if (size <= IN_MEMORY) continue;
      file ??= await open(path, 'wx', 0o600);
      for (const piece of kept.splice(0)) await file.writeFile(piece);
    }
  } catch (error) {
    await remove();
    throw error;
  } finally {
    await file?.close();
  }
  return file === undefined ? inMemory(kept, size) : { size, open: () => createReadStream(path), remove };
}

function inMemory(pieces: readonly Uint8Array[], size: number): Spooled {
  return { size, open: () => Buffer.concat(pieces, size), remove: async () => undefined };
}

async function orAbsent<Result>(found: Promise<Result>): Promise<Result | undefined> {
  try {
    return await found;
  } catch (error) {
    if (
      error instanceof StoreError &&
      error.cause instanceof Error &&
      ['NotFound', 'NoSuchKey'].includes(error.cause.name)
    )
      return undefined;
    throw error;
  }
}

async function reach<Result>(bucket: string, answer: Promise<Result>): Promise<Result> {
  try {
    return await answer;
  } catch (error) {
    const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new StoreError('unavailable', 'blob-store-unavailable', `the S3 bucket ${bucket}: ${said}`, { cause: error });
  }
}
