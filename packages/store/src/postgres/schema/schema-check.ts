import pg from 'pg';
import { clientConfig } from '../connection/connection.ts';
import { readMigrations } from './migration-files.ts';
import type { Migration } from './migration-files.ts';

const OLDEST_SERVER = 150000;

export type SchemaErrorCode = 'schema-too-new' | 'schema-missing' | 'server-too-old' | 'older-processes-running';

export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  readonly code: SchemaErrorCode;
  constructor(code: SchemaErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export interface SchemaState {
  /** Of the database. */
  readonly version: number;
  /** The newest that this release knows; less than `version` where a newer release has migrated, compatibly. */
  readonly known: number;
}

/** A row of the table `migration`. */
export interface AppliedMigration {
  readonly version: number;
  readonly name: string;
  /** Null: made by a release that did not say. */
  readonly compatibleFrom: number | null;
}

/**
 * @param directory of the migrations that count as known
 * @throws {SchemaError} unless the schema is the one this code was written for, or a newer one that is compatible with it
 */
export async function checkSchema(url: string, directory?: URL): Promise<SchemaState> {
  await checkServer(url);
  const client = new pg.Client(clientConfig({ url, applicationName: 'keelson' }));
  client.on('error', () => undefined);
  await client.connect();
  try {
    const exists = await client.query("select to_regclass('migration') is not null as exists");
    const applied = exists.rows[0]?.exists === true ? await readApplied(client) : [];
    const known = await readMigrations(directory);
    refuseNewer(applied, known);
    const state = stateOf(applied, known);
    if (pendingOf(applied, known).length > 0) {
      throw new SchemaError(
        'schema-missing',
        `the database schema is at version ${state.version}, this release needs ${state.known}: run keelson migrate`,
      );
    }
    return state;
  } finally {
    await client.end();
  }
}

export async function readApplied(client: pg.Client): Promise<AppliedMigration[]> {
  // The column is younger than the table.
  const { rows } = await client.query<AppliedMigration>(
    `select version, name, (to_jsonb(migration) ->> 'compatible_from')::int as "compatibleFrom" from migration order by version`,
  );
  return rows;
}

export function pendingOf(applied: readonly AppliedMigration[], known: readonly Migration[]): Migration[] {
  const there = new Set(applied.map(({ version }) => version));
  return known.filter(({ version }) => !there.has(version));
}

function stateOf(applied: readonly AppliedMigration[], known: readonly Migration[]): SchemaState {
  return { version: applied.at(-1)?.version ?? 0, known: known.at(-1)?.version ?? 0 };
}

/** @throws {SchemaError} `schema-too-new` when a migration that this release does not know breaks it */
export function refuseNewer(applied: readonly AppliedMigration[], known: readonly Migration[]): void {
  const { version, known: newest } = stateOf(applied, known);
  const breaks = applied.find((one) => one.version > newest && (one.compatibleFrom ?? one.version) > newest);
  if (breaks === undefined) return;
  throw new SchemaError(
    'schema-too-new',
    `the database schema is at version ${version}, this release knows ${newest} and does not work with ${breaks.name}: use a newer release`,
  );
}

/**
 * Asks with none of our settings, for an older server does not know some of them and would refuse the connection.
 *
 * @throws {SchemaError} `server-too-old`
 */
export async function checkServer(url: string): Promise<void> {
  const client = new pg.Client({ ...clientConfig({ url, applicationName: 'keelson' }), options: '' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
    refuseOlderServer(Number(rows[0]?.server_version_num ?? 0));
  } finally {
    await client.end();
  }
}

/** @param version as in `server_version_num` */
export function refuseOlderServer(version: number): void {
  if (version >= OLDEST_SERVER) return;
  throw new SchemaError(
    'server-too-old',
    `PostgreSQL ${Math.floor(version / 10000)} is too old: Keelson needs 15 or newer`,
  );
}
