import { createHash } from 'node:crypto';
import pg from 'pg';
import { databaseUrl } from './shared-server.ts';

/**
 * Returns the name of the template database for `key`, which exactly one of the test processes prepares: the others wait
 * on an advisory lock. A preparation that failed leaves nothing behind and is tried again by the next caller.
 */
export async function ensureTemplate(
  adminUrl: string,
  key: string,
  prepare: ((url: string) => Promise<void>) | undefined,
): Promise<string> {
  const hash = createHash('sha256').update(key).digest();
  const name = `template_${hash.toString('hex').slice(0, 24)}`;
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    if (await isTemplate(client, name)) return name;
    await client.query('select pg_advisory_lock($1)', [hash.readBigInt64BE().toString()]);
    if (await isTemplate(client, name)) return name;
    await client.query(`drop database if exists ${name} with (force)`);
    await client.query(`create database ${name}`);
    await prepare?.(databaseUrl(adminUrl, name));
    // A pool that `prepare` left open would block every copy.
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
    await client.query(`alter database ${name} with is_template true allow_connections false`);
    return name;
  } finally {
    await client.end();
  }
}

async function isTemplate(client: pg.Client, name: string): Promise<boolean> {
  const found = await client.query('select from pg_database where datname = $1 and datistemplate', [name]);
  return found.rowCount === 1;
}
