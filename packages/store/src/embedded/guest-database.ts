import { randomBytes } from 'node:crypto';
import pg from 'pg';

/** Where a guest finds its database, in the words of a datasource. */
export interface GuestDatabase {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Made anew by each call; an earlier one is good no more. */
  readonly password: string;
}

/**
 * Makes a database of this name and a role of the same name that owns it, unless they exist, beside the engine's own in the cluster of
 * `url` (its superuser's). The role can do what it likes there, and cannot connect to any other database.
 */
export async function ensureGuestDatabase(url: string, name: string): Promise<GuestDatabase> {
  const { hostname, port } = new URL(url);
  const password = randomBytes(24).toString('hex');
  const role = pg.escapeIdentifier(name);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await closeToGuests(client, name);
    const { rows } = await client.query<{ role: boolean; database: boolean }>(
      `select exists (select from pg_roles where rolname = $1) as role,
              exists (select from pg_database where datname = $1) as database`,
      [name],
    );
    const rights = `login nosuperuser nocreatedb nocreaterole noreplication password ${pg.escapeLiteral(password)}`;
    await client.query(`${rows[0]?.role === true ? 'alter' : 'create'} role ${role} ${rights}`);
    if (rows[0]?.database !== true) await client.query(`create database ${role} owner ${role}`);
  } finally {
    await client.end();
  }
  return { host: hostname, port: Number(port), database: name, user: name, password };
}

/** By default PostgreSQL lets every role connect to every database. */
async function closeToGuests(client: pg.Client, guest: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'select datname as name from pg_database where datallowconn and datname <> $1',
    [guest],
  );
  for (const { name } of rows) {
    await client.query(`revoke connect, temporary on database ${pg.escapeIdentifier(name)} from public`);
  }
}
