import pg from 'pg';
import { clientConfig, SCHEMA } from '../connection/connection.ts';
import { readMigrations } from './migration-files.ts';
import { refuseWhileOlderRun } from './older-processes.ts';
import { checkServer, pendingOf, readApplied, refuseNewer } from './schema-check.ts';

/** Any constant will do, as long as every Keelson takes the same one. */
const MIGRATION_LOCK = 7_305_114_210;

/**
 * Brings the schema to the newest version this code knows; forward only, each step in a transaction of its own, one
 * migrator at a time.
 *
 * @param directory of the migrations
 * @returns names of the migrations that were applied now
 * @throws {SchemaError} if the server is older than PostgreSQL 15, the schema newer than this code and incompatible with it, or a migration
 *   would break processes that still run
 */
export async function migrate(url: string, directory?: URL): Promise<string[]> {
  await checkServer(url);
  const client = new pg.Client(
    clientConfig({ url, applicationName: 'keelson migrate', settings: { statement_timeout: '0', lock_timeout: '0' } }),
  );
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await client.query(`create schema if not exists ${SCHEMA}`);
    await client.query(
      `create table if not exists migration (version int primary key, name text not null, applied_at timestamptz not null default now());
       alter table migration add column if not exists compatible_from int`,
    );
    const known = await readMigrations(directory);
    const applied = await readApplied(client);
    refuseNewer(applied, known);
    const pending = pendingOf(applied, known);
    await refuseWhileOlderRun(client, applied, pending);
    for (const { version, name, text, compatibleFrom } of pending) {
      await client.query(
        `begin;\n${text}\n;insert into migration (version, name, compatible_from) values (${version}, '${name}', ${compatibleFrom});\ncommit`,
      );
    }
    return pending.map(({ name }) => name);
  } finally {
    await client.end();
  }
}
