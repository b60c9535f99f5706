import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { clientConfig, SCHEMA } from './connection.ts';

const DIRECTORY = new URL('./migrations/', import.meta.url);
const OLDEST_SERVER = 150000;
/** Any constant will do, as long as every Keelson takes the same one. */
const MIGRATION_LOCK = 7_305_114_210;

export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  readonly code: 'schema-too-new' | 'schema-missing' | 'server-too-old';
  constructor(code: SchemaError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

interface Migration {
  readonly version: number;
  readonly name: string;
}

async function migrations(): Promise<Migration[]> {
  const files = (await readdir(DIRECTORY)).filter((file) => file.endsWith('.sql')).toSorted();
  return files.map((file) => ({ version: Number(file.slice(0, 4)), name: file }));
}

/**
 * Brings the schema to the newest version this code knows; forward only, each step in a transaction of its own, one
 * migrator at a time.
 *
 * @returns names of the migrations that were applied now
 * @throws {SchemaError} if the server is older than PostgreSQL 15 or the schema newer than this code
 */
export async function migrate(url: string): Promise<string[]> {
  const client = new pg.Client(
    clientConfig({ url, applicationName: 'keelson migrate', settings: { statement_timeout: '0', lock_timeout: '0' } }),
  );
  await client.connect();
  try {
    await checkServer(client);
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await client.query(`create schema if not exists ${SCHEMA}`);
    await client.query(
      'create table if not exists migration (version int primary key, name text not null, applied_at timestamptz not null default now())',
    );
    const known = await migrations();
    const current = await schemaVersion(client);
    refuseNewer(current, known);
    const pending = known.filter(({ version }) => version > current);
    for (const { version, name } of pending) {
      const text = await readFile(new URL(name, DIRECTORY), 'utf8');
      await client.query(
        `begin;\n${text}\n;insert into migration (version, name) values (${version}, '${name}');\ncommit`,
      );
    }
    return pending.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

/** @throws {SchemaError} unless the schema is exactly the one this code was written for */
export async function checkSchema(url: string): Promise<void> {
  const client = new pg.Client(clientConfig({ url, applicationName: 'keelson' }));
  await client.connect();
  try {
    await checkServer(client);
    const exists = await client.query("select to_regclass('migration') is not null as exists");
    const current = exists.rows[0]?.exists === true ? await schemaVersion(client) : 0;
    const known = await migrations();
    refuseNewer(current, known);
    const newest = known.at(-1)?.version ?? 0;
    if (current < newest) {
      throw new SchemaError(
        'schema-missing',
        `the database schema is at version ${current}, this release needs ${newest}: run keelson migrate`,
      );
    }
  } finally {
    await client.end();
  }
}

async function schemaVersion(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    'select coalesce(max(version), 0)::int as version from migration',
  );
  return rows[0]?.version ?? 0;
}

function refuseNewer(current: number, known: readonly Migration[]): void {
  const newest = known.at(-1)?.version ?? 0;
  if (current > newest) {
    throw new SchemaError(
      'schema-too-new',
      `the database schema is at version ${current}, this release knows ${newest}: use a newer release`,
    );
  }
}

async function checkServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
  const version = Number(rows[0]?.server_version_num ?? 0);
  if (version < OLDEST_SERVER) {
    throw new SchemaError(
      'server-too-old',
      `PostgreSQL ${Math.floor(version / 10000)} is too old: Keelson needs 15 or newer`,
    );
  }
}
