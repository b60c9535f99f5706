import { spawn } from 'node:child_process';
import { readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '../embedded/home.ts';
import { isRunning, parseProcessIdentity } from '../embedded/process-identity.ts';
import type { ProcessIdentity } from '../embedded/process-identity.ts';

/** The files by which the test processes and the server's keeper find each other. */
export type Meeting = { folder: string; data: string; server: string; lastUse: string; keeperLog: string };

/** What the keeper publishes once the server accepts connections. */
export type Published = { adminUrl: string; keeper: ProcessIdentity };

const START_LIMIT_MS = 60_000;
const POLL_MS = 20;

/** The meeting place: `KEELSON_TEST_POSTGRES_DIR` (a test run with a server of its own), else one per user. */
export function meetingPlace(): Meeting {
  const folder = process.env.KEELSON_TEST_POSTGRES_DIR ?? join(tmpdir(), `keelson-test-pg-${userInfo().uid}`);
  return {
    folder,
    data: join(folder, 'cluster'),
    server: join(folder, 'server.json'),
    lastUse: join(folder, 'last-use'),
    keeperLog: join(folder, 'keeper.log'),
  };
}

/** The address of the test server's database `postgres`; starts the server unless it runs. */
export async function adminUrl(): Promise<string> {
  const outside = process.env.KEELSON_TEST_DATABASE_URL;
  if (outside !== undefined && outside !== '') return outside;
  const place = meetingPlace();
  await claimFolder(place.folder);
  await touch(place.lastUse);
  return (await published(place))?.adminUrl ?? (await startServer(place));
}

/** Makes the folder; one that another user put there is refused, since it names the server that tests connect to. */
export async function claimFolder(folder: string): Promise<void> {
  await makeFolder(folder);
  const { uid } = await stat(folder);
  if (uid !== userInfo().uid) throw new Error(`${folder} belongs to another user; set KEELSON_TEST_POSTGRES_DIR`);
}

/** The same server, another database. */
export function databaseUrl(admin: string, name: string): string {
  const url = new URL(admin);
  url.pathname = `/${name}`;
  return url.href;
}

/** What a living keeper has published. */
export async function published(place: Meeting): Promise<Published | undefined> {
  const text = await readFile(place.server, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('adminUrl' in value) || !('keeper' in value)) return undefined;
  const keeper = parseProcessIdentity(value.keeper);
  if (typeof value.adminUrl !== 'string' || keeper === undefined || !isRunning(keeper)) return undefined;
  return { adminUrl: value.adminUrl, keeper };
}

/** Starts a keeper (all but one of several notice that another was first, and end) and waits for what it publishes. */
async function startServer(place: Meeting): Promise<string> {
  const deadline = performance.now() + START_LIMIT_MS;
  let failure = '';
  let keeper: 'running' | 'ended' = 'ended';
  while (performance.now() < deadline) {
    const found = await published(place);
    if (found !== undefined) return found.adminUrl;
    if (failure !== '') throw new Error(`the test PostgreSQL did not start: ${failure}`);
    if (keeper === 'ended') {
      keeper = 'running';
      launchKeeper((report) => {
        keeper = 'ended';
        failure = report;
      });
    }
    await delay(POLL_MS);
  }
  throw new Error(`the test PostgreSQL did not start within ${START_LIMIT_MS / 1000} s; see ${place.keeperLog}`);
}

function launchKeeper(ended: (failure: string) => void): void {
  const program = fileURLToPath(new URL('./keeper.ts', import.meta.url));
  const child = spawn(process.execPath, [program], { detached: true, stdio: 'ignore' });
  child.unref();
  child.once('error', (error) => ended(error.message));
  child.once('exit', (code, signal) => {
    if (code === 0) ended('');
    else
      void readFile(meetingPlace().keeperLog, 'utf8').then((log) => ended(`${signal ?? `exit ${code}`} ${log}`), ended);
  });
}

/** Tells the keeper that the server is in use. */
export async function touch(path: string): Promise<void> {
  const now = new Date();
  if ((await stat(path).catch(() => undefined)) === undefined) await writeFile(path, '');
  await utimes(path, now, now);
}
