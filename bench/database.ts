import { createHash } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '@keelson/store';
import { discardEmbeddedPostgres, startEmbeddedPostgres } from '@keelson/store/embedded';
import pg from 'pg';

export type Row = Record<string, unknown>;

/** A PostgreSQL of the bench's own, durable, and gone with everything in it at `close`. */
export interface Database {
  readonly url: string;
  /** A folder that goes with it. */
  readonly folder: string;
  /** On a connection of the bench, in Keelson's schema; statements are prepared. */
  rows(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** The first column of the first row, as a number. */
  number(sql: string, values?: readonly unknown[]): Promise<number>;
  /** How many statements, each a transaction, `rows` and `number` have run: they are not the engine's. */
  ownTransactions(): number;
  /** Another connection, which pipelines. */
  connect(): Promise<pg.Client>;
  close(): Promise<void>;
}

export async function openDatabase(log: (line: string) => void): Promise<Database> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-bench-'));
  // PostgreSQL may run as a user of its own, which has to get there.
  await chmod(folder, 0o711);
  const dataDir = join(folder, 'data');
  const clear = async (): Promise<void> => {
    await discardEmbeddedPostgres({ dataDir, log: () => undefined });
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const server = await startEmbeddedPostgres({ dataDir, durable: true, log });
    await migrate(server.url);
    const connect = async (): Promise<pg.Client> => {
      const client = new pg.Client({ connectionString: server.url, options: '-c search_path=keelson', pipeline: true });
      await client.connect();
      return client;
    };
    const side = await connect();
    let own = 0;
    const rows = async (sql: string, values: readonly unknown[] = []): Promise<Row[]> => {
      own++;
      return (await side.query({ name: statementName(sql), text: sql, values: [...values] })).rows as Row[];
    };
    return {
      url: server.url,
      folder,
      rows,
      number: async (sql, values) => Number(Object.values((await rows(sql, values))[0] ?? {})[0]),
      ownTransactions: () => own,
      connect,
      close: async () => {
        await side.end();
        await server.stop();
        await clear();
      },
    };
  } catch (error) {
    await clear();
    throw error;
  }
}

/** PostgreSQL cuts longer names. */
const statementName = (sql: string): string => createHash('md5').update(sql).digest('hex');
