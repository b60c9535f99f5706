import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type pg from 'pg';
import type { BlobContent, BlobStore } from '../blobs.ts';
import { checkBlobName, isBlobName, verifiedPieces } from '../blobs/verify.ts';

const CHUNK = 256 * 1024;
/** Chunks fetched at once by a reader. */
const READ_AHEAD = 4;

const PUT_CHUNK = {
  name: 'blob-put-chunk',
  text: 'insert into blob_chunk (sha256, seq, data) values ($1, $2, $3)',
};

/**
 * One statement, so that nobody ever sees a part. Who comes second moves nothing and drops its own copy. Moving a chunk to
 * another key leaves its bytes where they are.
 */
const PUBLISH = {
  name: 'blob-publish',
  text: `with made as (insert into blob (sha256, size) values ($2, $3) on conflict (sha256) do nothing returning 1)
         update blob_chunk set sha256 = $2 where sha256 = $1 and exists (select from made)`,
};

const READ = {
  name: 'blob-read',
  text: 'select data from blob_chunk where sha256 = $1 and seq >= $2 and seq < $2 + $3 order by seq',
};

/** So old a note of its last use is written anew: who was told that a blob is there may name it for as long as retention keeps unused ones. */
const USED = `
  with old as (
    select sha256 from blob where sha256 = any($1::text[]) and used_at < now() - interval '10 minutes' order by sha256 for no key update
  )
  update blob b set used_at = now() from old where b.sha256 = old.sha256`;

/** Blobs as chunks in PostgreSQL. An upload lies under a key of its own until its hash is known to be right. */
export function postgresBlobs(pool: pg.Pool): BlobStore {
  const sizeOf = async (sha256: string): Promise<number | undefined> => {
    const { rows } = await pool.query<{ size: string }>({
      name: 'blob-size',
      text: 'select size from blob where sha256 = $1',
      values: [sha256],
    });
    return rows[0] && Number(rows[0].size);
  };
  return {
    put: async (sha256, content) => {
      checkBlobName(sha256);
      // Noted before it is looked at: from then on retention leaves it, or has removed it.
      await pool.query(USED, [[sha256]]);
      const size = await sizeOf(sha256);
      if (size === undefined) return upload(pool, sha256, content);
      for await (const _piece of verifiedPieces(sha256, content, CHUNK));
      return { size };
    },
    get: async (sha256) => {
      const size = isBlobName(sha256) ? await sizeOf(sha256) : undefined;
      return size === undefined
        ? undefined
        : Readable.from(chunks(pool, sha256, Math.ceil(size / CHUNK)), { objectMode: false });
    },
    has: async (names) => {
      await pool.query(USED, [names]);
      const { rows } = await pool.query<{ sha256: string }>('select sha256 from blob where sha256 = any($1::text[])', [
        names,
      ]);
      return new Set(rows.map(({ sha256 }) => sha256));
    },
    size: async (sha256) => (isBlobName(sha256) ? sizeOf(sha256) : undefined),
    sweep: (ageMs) => sweep(pool, ageMs),
  };
}

async function upload(pool: pg.Pool, sha256: string, content: BlobContent): Promise<{ size: number }> {
  const draft = `upload:${Date.now()}:${randomUUID()}`;
  let size = 0;
  let seq = 0;
  try {
    for await (const piece of verifiedPieces(sha256, content, CHUNK)) {
      await pool.query({ ...PUT_CHUNK, values: [draft, seq++, piece] });
      size += piece.length;
    }
    const { rowCount } = await pool.query({ ...PUBLISH, values: [draft, sha256, size] });
    if (rowCount !== seq) await dropDraft(pool, draft);
    return { size };
  } catch (error) {
    await dropDraft(pool, draft).catch(() => undefined);
    throw error;
  }
}

async function dropDraft(pool: pg.Pool, draft: string): Promise<void> {
  await pool.query({ name: 'blob-drop-draft', text: 'delete from blob_chunk where sha256 = $1', values: [draft] });
}

async function* chunks(pool: pg.Pool, sha256: string, count: number): AsyncGenerator<Buffer> {
  for (let seq = 0; seq < count; seq += READ_AHEAD) {
    const { rows } = await pool.query<{ data: Buffer }>({ ...READ, values: [sha256, seq, READ_AHEAD] });
    if (rows.length < Math.min(READ_AHEAD, count - seq))
      throw new Error(`the blob ${sha256} lacks chunks from ${seq} on`);
    for (const { data } of rows) yield data;
  }
}

const SWEEP = `
  with draft as (
    select distinct sha256 from blob_chunk where starts_with(sha256, 'upload:')
  ), dropped as (
    delete from blob_chunk where sha256 in (select sha256 from draft where split_part(sha256, ':', 2)::bigint < $1) returning sha256
  )
  select count(distinct sha256)::int as count from dropped`;

async function sweep(pool: pg.Pool, ageMs: number): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(SWEEP, [Date.now() - ageMs]);
  return rows[0]?.count ?? 0;
}
