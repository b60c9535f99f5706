/**
 * A process of its own that owns the shared test server: it outlives the test files, and the server dies with it. It ends
 * when nobody has used the server for ten minutes, on SIGTERM, or, with `--while-stdin`, when its standard input closes.
 */
import { appendFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { acquireLock } from '../embedded/lock.ts';
import { processIdentity } from '../embedded/process-identity.ts';
import { discardEmbeddedPostgres, startEmbeddedPostgres } from '../embedded/start.ts';
import { claimFolder, databaseUrl, meetingPlace, touch } from './shared-server.ts';
import type { Meeting, Published } from './shared-server.ts';

const IDLE_LIMIT_MS = 10 * 60_000;
const IDLE_CHECK_MS = 5_000;
const CONNECTIONS = '400';

const whileStdin = process.argv.includes('--while-stdin');
const place = meetingPlace();
await claimFolder(place.folder);
const lock = await acquireLock(join(place.folder, 'keeper.lock'));
if (lock.taken) {
  try {
    await writeFile(place.keeperLog, '');
    await keep(place);
  } finally {
    await lock.release();
    // The folder of a single run is nobody's any more.
    if (whileStdin) await rm(place.folder, { recursive: true, force: true });
  }
}

async function keep(place: Meeting): Promise<void> {
  const ending = askedToEnd();
  const log = (line: string) => void appendFile(place.keeperLog, `${line}\n`);
  await rm(place.server, { force: true });
  // An earlier server's databases are of no use, and without fsync they need not even be whole.
  await discardEmbeddedPostgres({ dataDir: place.data, log });
  const settings = { max_connections: CONNECTIONS, autovacuum: 'on', max_wal_size: '4GB' };
  const server = await startEmbeddedPostgres({ dataDir: place.data, durable: false, settings, log });
  const content: Published = { adminUrl: databaseUrl(server.url, 'postgres'), keeper: processIdentity() };
  await touch(place.lastUse);
  await publish(place, content);
  await Promise.race([ending, server.ended, idleForLong(place, content)]);
  await rm(place.server, { force: true });
  await server.stop();
  await discardEmbeddedPostgres({ dataDir: place.data, log });
}

function askedToEnd(): Promise<void> {
  return new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => resolve());
    if (whileStdin) process.stdin.resume().once('close', () => resolve());
  });
}

async function publish(place: Meeting, content: Published): Promise<void> {
  const draft = `${place.server}.new`;
  await writeFile(draft, JSON.stringify(content), { mode: 0o600 });
  await rename(draft, place.server);
}

/**
 * Resolves when the server is unused. A test process announces its use before it reads the address, so once the address
 * is withdrawn and still no use is announced, nobody is on the way.
 */
async function idleForLong(place: Meeting, content: Published): Promise<void> {
  for (;;) {
    await delay(IDLE_CHECK_MS);
    if (await hasClients(content.adminUrl)) await touch(place.lastUse);
    if (!(await isUnused(place))) continue;
    await rm(place.server, { force: true });
    if (await isUnused(place)) return;
    await publish(place, content);
  }
}

async function isUnused(place: Meeting): Promise<boolean> {
  const { mtimeMs } = await stat(place.lastUse);
  return Date.now() - mtimeMs > IDLE_LIMIT_MS;
}

async function hasClients(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query(
      "select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1",
    );
    return found.rowCount === 1;
  } finally {
    await client.end();
  }
}
