import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { ensureTemplate } from './template.ts';
import { adminUrl, databaseUrl } from './shared-server.ts';

/** What `testDatabase` needs of a test's context: its clean-up hook. */
export type CleanUp = { after(action: () => Promise<void>): void };

export type TestDatabaseOptions = {
  /** Names the content of the template: a hash of what `prepare` does (of the migrations, say). */
  template?: string;
  /** Fills the template, once per server; every test database is then a copy of it. */
  prepare?: (url: string) => Promise<void>;
};

export type TestDatabase = {
  /** A database of its own, as superuser. */
  url: string;
  /** The server's database `postgres`, for what cannot be done inside the database. */
  adminUrl: string;
  /** Ends its connections and removes it. Any number of calls. */
  drop(): Promise<void>;
};

/**
 * Makes an empty database, or a copy of a template, on a real PostgreSQL. With a test's context it is dropped after the
 * test (later, if connections are still open then); else call `drop`. The server is `KEELSON_TEST_DATABASE_URL` if that is
 * set (a superuser's), else one that all test processes of this user share; it starts on first use, runs without fsync, and
 * ends by itself when idle.
 */
export function testDatabase(test: CleanUp, options?: TestDatabaseOptions): Promise<TestDatabase>;
export function testDatabase(options?: TestDatabaseOptions): Promise<TestDatabase>;
export async function testDatabase(
  first: CleanUp | TestDatabaseOptions = {},
  second: TestDatabaseOptions = {},
): Promise<TestDatabase> {
  const test = 'after' in first ? first : undefined;
  const options = 'after' in first ? second : first;
  const server = await adminUrl();
  const { template, prepare } = options;
  const source = template === undefined ? 'template0' : await ensureTemplate(server, template, prepare);
  const name = `test_${process.pid}_${randomBytes(6).toString('hex')}`;
  // Without fsync a file copy takes 15 to 65 ms, a copy through the log 80 to 120 ms.
  await asAdmin(server, `create database ${name} template ${source} strategy file_copy`);
  let dropping: Promise<void> | undefined;
  const drop = () =>
    (dropping ??= asAdmin(server, `drop database if exists ${name} with (force)`).then(() => undefined));
  test?.after(() => dropUnlessInUse(server, name, drop));
  return { url: databaseUrl(server, name), adminUrl: server, drop };
}

const inUse: (() => Promise<void>)[] = [];

/**
 * Clean-up hooks run in the order in which they were made, so the test's own connections are often still open here. Cutting
 * them would break its pools: such a database is dropped when the process has nothing else left to do.
 */
async function dropUnlessInUse(server: string, name: string, drop: () => Promise<void>): Promise<void> {
  const connections = await asAdmin(server, `select from pg_stat_activity where datname = '${name}' limit 1`);
  if (connections === 0) return drop();
  if (inUse.length === 0) {
    process.once('beforeExit', () => void Promise.allSettled(inUse.splice(0).map((dropOne) => dropOne())));
  }
  inUse.push(drop);
}

/** Runs one statement as superuser and returns its row count. */
async function asAdmin(url: string, statement: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rowCount ?? 0;
  } finally {
    await client.end();
  }
}
