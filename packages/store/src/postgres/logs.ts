import { buffer } from 'node:stream/consumers';
import type pg from 'pg';
import type { ObjectStore } from '../blobs/object-store.ts';
import type { LogName, LogPiece, Logs, LogSlice } from '../logs.ts';
import { createLogSignals } from './connection/log-signals.ts';
import { createBatcher } from '../batcher.ts';
import type { ConnectionSettings } from './connection/connection.ts';
import { openPool } from './connection/connection.ts';
import { outcomeOf } from './connection/errors.ts';

/** No chunk is larger, so a reader knows how far back a chunk that covers an offset can begin. */
const CHUNK = 64 * 1024;
const CONNECTIONS = 4;

/** Bytes that are there stay; a longer piece from the same offset adds what it has more. In the order of the keys, against deadlocks. */
const APPEND = {
  name: 'log-append',
  text: `insert into log_chunk (instance_id, attempt_id, start, size, data)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::bytea[]) as u(instance_id, attempt_id, start, size, data)
          order by instance_id, attempt_id, start
         on conflict (instance_id, attempt_id, start) do update set size = excluded.size, data = excluded.data
          where excluded.size > log_chunk.size`,
};
/** Chunks that many tasks send at the same time go in one statement: the commit is what costs. */
const MOST_CHUNKS = 64;
const APPEND_LANES = 2;

const READ = {
  name: 'log-read',
  text: `select start, size, data from log_chunk
          where instance_id = $1 and attempt_id = $2 and start > $3 and start < $4 order by start`,
};

const NEXT_START = {
  name: 'log-next-start',
  text: 'select start from log_chunk where instance_id = $1 and attempt_id = $2 and start >= $3 order by start limit 1',
};

/** Not simply the last chunk's end: a longer one may have begun before it. */
const SIZE = {
  name: 'log-size',
  text: `select coalesce(max(start + size), 0) as size from log_chunk
          where instance_id = $1 and attempt_id = $2
            and start > (select max(start) from log_chunk where instance_id = $1 and attempt_id = $2) - $3`,
};

interface ChunkRow {
  readonly start: string;
  readonly size: number;
  readonly data: Buffer | null;
}

/**
 * Logs over a small pool of their own, so that a talkative task never stands in the way of a decision.
 *
 * @param objects where the bytes go; absent: into the chunks' rows
 */
export function createLogs(settings: ConnectionSettings, objects?: ObjectStore): Logs & { close(): Promise<void> } {
  const pool = openPool(settings, CONNECTIONS);
  const signals = createLogSignals(settings, pool);
  const batcher = createBatcher<PendingChunk>(MOST_CHUNKS, APPEND_LANES, (batch) => insertChunks(pool, batch));
  const sizeOf = async (name: LogName): Promise<number> => {
    const { rows } = await pool.query<{ size: string }>({ ...SIZE, values: [name.instanceId, name.attemptId, CHUNK] });
    return Number(rows[0]?.size ?? 0);
  };
  const read = (name: LogName, from: number, limit: number) => readSlice(pool, objects, name, from, limit);
  return {
    append: async (piece) => {
      if (piece.data.length === 0) return;
      const chunks = await chunksOf(objects, piece);
      await Promise.all(
        chunks.map((chunk) => new Promise<void>((resolve, reject) => batcher.add({ chunk, resolve, reject }))),
      );
      signals.grown(piece.attemptId);
    },
    read: (name, { from, limit }) => read(name, from, limit),
    tail: async (name, limit) => {
      const size = await sizeOf(name);
      return read(name, Math.max(0, size - limit), limit);
    },
    size: sizeOf,
    watch: signals.watch,
    close: async () => {
      await signals.close();
      await pool.end();
    },
  };
}

/** Where the bytes of a chunk are that are not in its row. */
export const objectName = ({ attemptId }: Pick<LogName, 'attemptId'>, start: number): string =>
  `logs/${attemptId}/${start}`;

interface Chunk extends LogName {
  readonly start: number;
  readonly size: number;
  /** Null: the bytes are in the object store. */
  readonly data: Buffer | null;
}

interface PendingChunk {
  readonly chunk: Chunk;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The object is there before the row that speaks of it. */
async function chunksOf(objects: ObjectStore | undefined, piece: LogPiece): Promise<Chunk[]> {
  const { instanceId, attemptId, data } = piece;
  const chunks: Promise<Chunk>[] = [];
  for (let at = 0; at < data.length; at += CHUNK) {
    const start = piece.start + at;
    const bytes = Buffer.from(data.subarray(at, at + CHUNK));
    const chunk = { instanceId, attemptId, start, size: bytes.length };
    const stored = objects?.put(objectName(piece, start), bytes);
    chunks.push(
      stored === undefined ? Promise.resolve({ ...chunk, data: bytes }) : stored.then(() => ({ ...chunk, data: null })),
    );
  }
  return Promise.all(chunks);
}

/** Never rejects: each chunk gets its own answer. One that the database refuses does not take the others with it. */
async function insertChunks(pool: pg.Pool, batch: readonly PendingChunk[]): Promise<void> {
  try {
    // A statement may not meet a key twice: of two pieces from the same offset the longer one counts.
    const longest = new Map<string, Chunk>();
    for (const { chunk } of batch) {
      const key = `${chunk.attemptId}/${chunk.start}`;
      if ((longest.get(key)?.size ?? 0) < chunk.size) longest.set(key, chunk);
    }
    const rows = [...longest.values()];
    const column = <T>(value: (chunk: Chunk) => T): T[] => rows.map(value);
    await pool.query({
      ...APPEND,
      values: [
        column(({ instanceId }) => instanceId),
        column(({ attemptId }) => attemptId),
        column(({ start }) => start),
        column(({ size }) => size),
        column(({ data }) => data),
      ],
    });
    for (const { resolve } of batch) resolve();
  } catch (error) {
    if (batch.length > 1 && outcomeOf(error) === 'application')
      for (const one of batch) await insertChunks(pool, [one]);
    else for (const { reject } of batch) reject(error);
  }
}

async function readSlice(
  pool: pg.Pool,
  objects: ObjectStore | undefined,
  name: LogName,
  from: number,
  limit: number,
): Promise<LogSlice> {
  const key = [name.instanceId, name.attemptId];
  const within = (start: number) => pool.query<ChunkRow>({ ...READ, values: [...key, start - CHUNK, start + limit] });
  let begin = from;
  let { rows } = await within(begin);
  if (!rows.some((row) => endOf(row) > begin)) {
    // Nothing here: the end of the log, or a gap that is left out.
    const next = await pool.query<{ start: string }>({ ...NEXT_START, values: [...key, begin] });
    if (next.rows[0] === undefined) return { from, data: new Uint8Array(), next: from };
    begin = Number(next.rows[0].start);
    ({ rows } = await within(begin));
  }
  const first = rows.find((row) => endOf(row) > begin);
  if (first !== undefined) begin = Math.max(begin, Number(first.start));
  const parts: Buffer[] = [];
  let at = begin;
  for (const row of rows) {
    const start = Number(row.start);
    if (endOf(row) <= at || at >= begin + limit) continue;
    if (start > at) break;
    const bytes = await bytesOf(objects, name, row);
    parts.push(bytes.subarray(at - start, Math.min(row.size, begin + limit - start)));
    at = Math.min(endOf(row), begin + limit);
  }
  return { from: begin, data: Buffer.concat(parts), next: at };
}

function endOf({ start, size }: ChunkRow): number {
  return Number(start) + size;
}

async function bytesOf(objects: ObjectStore | undefined, name: LogName, { start, data }: ChunkRow): Promise<Buffer> {
  if (data !== null) return data;
  const object = await objects?.get(objectName(name, Number(start)));
  if (object === undefined)
    throw new Error(`the bytes of log ${name.attemptId} from ${start} on are not in the blob store`);
  return buffer(object);
}
