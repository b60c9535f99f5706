import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { BlobStore } from '../blobs.ts';
import { openPool } from '../postgres/connection/connection.ts';
import { startS3Server } from '../testing/s3-server.ts';
import { migratedDatabase } from '../testing/migrated.ts';
import { openBlobStore } from './open.ts';
import type { OpenedBlobs } from './open.ts';
import { parseS3Url } from './s3.ts';

async function onPostgres(t: TestContext): Promise<OpenedBlobs> {
  const { url } = await migratedDatabase(t);
  const pool = openPool({ url, applicationName: 'test' }, 6);
  t.after(() => pool.end());
  return openBlobStore(undefined, pool);
}

async function inFolder(t: TestContext): Promise<OpenedBlobs & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson blobs-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { ...(await openBlobStore(pathToFileURL(folder).href, nowhere())), folder };
}

async function onS3(t: TestContext): Promise<OpenedBlobs & { server: Awaited<ReturnType<typeof startS3Server>> }> {
  process.env.AWS_ACCESS_KEY_ID = 'test-key';
  process.env.AWS_SECRET_ACCESS_KEY = 'test-secret';
  const server = await startS3Server('bucket');
  t.after(() => server.close());
  const opened = await openBlobStore(
    `s3://bucket/some/prefix?endpoint=${encodeURIComponent(server.endpoint)}&path-style=true`,
    nowhere(),
  );
  t.after(() => opened.objects?.close());
  return { ...opened, server };
}

/** For the stores that must not need a database. */
function nowhere() {
  return openPool({ url: 'postgres://127.0.0.1:1/none', applicationName: 'test' }, 1);
}

const nameOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const shared = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    // A producer may use its buffer again.
    shared.set(part);
    yield shared.subarray(0, part.length);
  }
}

async function contentOf(blobs: BlobStore, name: string): Promise<Buffer | undefined> {
  const stream = await blobs.get(name);
  return stream && buffer(stream);
}

for (const [place, open] of [
  ['PostgreSQL', onPostgres],
  ['a folder', inFolder],
  ['S3', onS3],
] as const) {
  describe(`blobs in ${place}`, () => {
    test('come back as they were put, of any size, as bytes or as a stream', async (t) => {
      const { blobs } = await open(t);
      for (const size of [0, 1, 256 * 1024, 256 * 1024 + 1, 9 * 1024 * 1024 + 17]) {
        const bytes = randomBytes(size);
        const name = nameOf(bytes);
        const content = size % 2 === 0 ? bytes : inPieces(bytes, 70_001);
        assert.deepEqual(await blobs.put(name, content), { size });
        assert.ok((await contentOf(blobs, name))?.equals(bytes), `${size} bytes`);
        assert.equal(await blobs.size(name), size);
      }
    });

    test('are not there before they are put', async (t) => {
      const { blobs } = await open(t);
      const here = randomBytes(10);
      await blobs.put(nameOf(here), here);
      const absent = 'a'.repeat(64);
      assert.equal(await blobs.get(absent), undefined);
      assert.equal(await blobs.size(absent), undefined);
      assert.deepEqual(await blobs.has([absent, nameOf(here), 'no name']), new Set([nameOf(here)]));
      assert.equal(await blobs.get('../../etc/passwd'), undefined);
    });

    test('are refused when the content is not what the name says, and leave nothing behind', async (t) => {
      const { blobs } = await open(t);
      const bytes = randomBytes(600_000);
      const name = nameOf(bytes);
      const wrong = Buffer.from(bytes);
      wrong[wrong.length - 1]! ^= 1;
      await assert.rejects(blobs.put(name, inPieces(wrong, 100_000)), { code: 'hash-mismatch' });
      assert.equal(await blobs.size(name), undefined);
      await blobs.put(name, bytes);
      await assert.rejects(blobs.put(name, wrong), { code: 'hash-mismatch' }, 'also when the right one is there');
      assert.ok((await contentOf(blobs, name))?.equals(bytes));
      await assert.rejects(blobs.put('ABC', bytes), { code: 'invalid-blob-name' });
    });

    test('may be put by several at once, again, and after a broken upload', async (t) => {
      const { blobs } = await open(t);
      const bytes = randomBytes(1_000_000);
      const name = nameOf(bytes);
      const broken = async function* () {
        yield bytes.subarray(0, 500_000);
        throw new Error('the client went away');
      };
      await assert.rejects(blobs.put(name, broken()), /the client went away/);
      const puts = Array.from({ length: 5 }, () => blobs.put(name, inPieces(bytes, 65_536)));
      assert.deepEqual(
        await Promise.all(puts),
        Array.from({ length: 5 }, () => ({ size: 1_000_000 })),
      );
      assert.deepEqual(await blobs.put(name, bytes), { size: 1_000_000 });
      assert.ok((await contentOf(blobs, name))?.equals(bytes));
    });
  });
}

test('PostgreSQL keeps each chunk once, and drops what a dead upload left', async (t) => {
  const { url } = await migratedDatabase(t);
  const pool = openPool({ url, applicationName: 'test' }, 6);
  t.after(() => pool.end());
  const { blobs } = await openBlobStore(undefined, pool);
  const bytes = randomBytes(600_000);
  await Promise.all(Array.from({ length: 4 }, () => blobs.put(nameOf(bytes), bytes)));
  const count = async () => (await pool.query('select count(*)::int as count from blob_chunk')).rows[0].count;
  assert.equal(await count(), 3);
  await pool.query('insert into blob_chunk values ($1, 0, $2), ($1, 1, $2)', [
    `upload:${Date.now() - 5000}:dead`,
    bytes,
  ]);
  await pool.query('insert into blob_chunk values ($1, 0, $2)', [`upload:${Date.now()}:alive`, bytes]);
  assert.equal(await blobs.sweep(4000), 1);
  assert.equal(await count(), 4);
});

test('a folder drops what a dead upload left', async (t) => {
  const { blobs, folder } = await inFolder(t);
  assert.equal(await blobs.sweep(0), 0);
  await blobs.put(nameOf(Buffer.from('x')), Buffer.from('x'));
  assert.deepEqual(await readdir(join(folder, 'incoming')), [], 'a whole upload leaves no draft');
  await writeFile(join(folder, 'incoming', 'dead'), 'half of it');
  assert.equal(await blobs.sweep(60_000), 0);
  assert.equal(await blobs.sweep(-1000), 1);
  assert.deepEqual(await readdir(join(folder, 'incoming')), []);
});

test('a bucket that refuses is named, and never taken for an absent blob', async (t) => {
  const { blobs, server } = await onS3(t);
  const bytes = Buffer.from('hello');
  await blobs.put(nameOf(bytes), bytes);
  assert.ok(server.objects.has(`some/prefix/blobs/${nameOf(bytes).slice(0, 2)}/${nameOf(bytes)}`));
  server.fail(403);
  await assert.rejects(blobs.get(nameOf(bytes)), {
    code: 'blob-store-unavailable',
    kind: 'unavailable',
    message: /the S3 bucket bucket/,
  });
  await assert.rejects(blobs.size(nameOf(bytes)), { code: 'blob-store-unavailable' });
});

test('a blob store that cannot be written is refused at the start, with its reason', async (t) => {
  const { folder } = await inFolder(t);
  const file = join(folder, 'file');
  await writeFile(file, '');
  const refused = (url: string, message: RegExp) =>
    assert.rejects(openBlobStore(url, nowhere()), { code: 'blob-store-unavailable', kind: 'unavailable', message });
  await refused(`file://${file}`, /the blob store file:\/\/.*file cannot be used: .*ENOTDIR/);
  await refused('file:///proc/keelson', /ENOENT/);
});

test('a blob store is chosen by its URL', async () => {
  const refused = (url: string, message: RegExp) =>
    assert.rejects(openBlobStore(url, nowhere()), { code: 'invalid-blob-url', message });
  await refused('/data/blobs', /use file:\/\/\/folder or s3:\/\/bucket\/prefix/);
  await refused('http://host/x', /is no blob store/);
  await refused('file://elsewhere/x', /no folder of this machine/);
  await refused('s3://key:secret@bucket/x', /AWS_ACCESS_KEY_ID/);
  await refused('s3://bucket/x?regoin=eu', /not regoin/);
  const located = parseS3Url(new URL('s3://my-bucket/a/b/?region=eu-central-1'));
  assert.deepEqual(
    [located.bucket, located.prefix, located.config.region, located.config.forcePathStyle],
    ['my-bucket', 'a/b/', 'eu-central-1', false],
  );
});
