import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { discardEmbeddedPostgres, startEmbeddedPostgres } from '@keelson/store/embedded';
import type { EmbeddedPostgres } from '@keelson/store/embedded';
import pg from 'pg';

/** The PostgreSQL of a campaign: durable, its own, and made to be shot at. */
export interface Postgres {
  /** Straight to it, past every proxy. */
  readonly url: string;
  readonly port: number;
  readonly pid: () => number;
  /** As `pg_ctl stop -m immediate` and a start: the log is replayed. */
  stopImmediately(): Promise<void>;
  start(): Promise<void>;
  /** A session of the campaign's own; it may be broken by what the campaign does. */
  session(): Promise<pg.Client>;
  rows(sql: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** Addresses of the network namespaces of a campaign. */
const HBA = `host all all 127.0.0.1/32 scram-sha-256
host all all 10.0.0.0/8 scram-sha-256
`;

/** @param folder which the account of the embedded PostgreSQL can reach */
export async function startPostgres(folder: string, listenOn: readonly string[] = []): Promise<Postgres> {
  const dataDir = join(folder, 'database');
  await mkdir(dataDir, { recursive: true });
  await chmod(dataDir, 0o755);
  const hba = join(folder, 'pg_hba.conf');
  await writeFile(hba, HBA, { mode: 0o644 });
  const settings = {
    max_connections: '300',
    hba_file: hba,
    listen_addresses: ['127.0.0.1', ...listenOn].join(','),
    log_lock_waits: 'on',
  };
  const log = (): void => undefined;
  const begin = (port?: number): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({ dataDir, durable: true, settings, log, ...(port !== undefined && { port }) });
  let server = await begin();
  const { port, url } = server;
  const session = async (): Promise<pg.Client> => {
    const client = new pg.Client({
      connectionString: url,
      application_name: 'chaos',
      options: '-c search_path=keelson',
      connectionTimeoutMillis: 10_000,
    });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  return {
    url,
    port,
    pid: () => server.pid,
    stopImmediately: async () => {
      process.kill(server.pid, 'SIGQUIT');
      await server.ended;
      await server.stop();
    },
    start: async () => {
      server = await begin(port);
    },
    session,
    rows: async (sql, values = []) => {
      const client = await session();
      try {
        return (await client.query<Record<string, unknown>>(sql, [...values])).rows;
      } finally {
        await client.end().catch(() => undefined);
      }
    },
    close: async () => {
      await server.stop();
      await discardEmbeddedPostgres({ dataDir, log });
    },
  };
}
