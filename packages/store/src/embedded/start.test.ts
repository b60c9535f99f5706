import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { discardEmbeddedPostgres, startEmbeddedPostgres } from './start.ts';
import type { EmbeddedPostgres } from './start.ts';
import { pidExists } from './process-identity.ts';

const START_MODULE = new URL('./start.ts', import.meta.url).href;
const isRoot = process.getuid?.() === 0;
const log = () => undefined;

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-embedded-'));
  await chmod(folder, 0o755);
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function start(t: TestContext, dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log });
  t.after(() => server.stop());
  return server;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test('data survives a clean stop, and the address stays', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await start(t, folder);
  await query(first.url, 'create table kept as select 42 as answer');
  await first.stop();
  assert.equal(pidExists(first.pid), false);
  assert.match(await first.ended, /exit 0/);
  const second = await start(t, folder);
  assert.deepEqual(await query(second.url, 'select answer from kept'), [{ answer: 42 }]);
  assert.equal(second.url, first.url);
});

test('it is durable, listens on the loopback only, and lets nobody in without the password', async (t) => {
  const folder = await temporaryFolder(t);
  const server = await start(t, folder);
  const rows = await query(
    server.url,
    `select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'full_page_writes',
     'listen_addresses', 'unix_socket_directories', 'server_encoding') order by name`,
  );
  assert.deepEqual(Object.fromEntries(rows.map((row) => [row.name, row.setting])), {
    fsync: 'on',
    full_page_writes: 'on',
    listen_addresses: '127.0.0.1',
    server_encoding: 'UTF8',
    synchronous_commit: 'on',
    unix_socket_directories: '',
  });
  const stranger = new URL(server.url);
  stranger.password = 'wrong';
  await assert.rejects(query(stranger.href, 'select 1'), { code: '28P01' });
  assert.equal((await stat(join(folder, 'postgres', 'password'))).mode & 0o777, 0o600);
});

test('a data directory has one Keelson at a time', async (t) => {
  const folder = await temporaryFolder(t);
  const server = await start(t, folder);
  await assert.rejects(startEmbeddedPostgres({ dataDir: folder, log }), {
    code: 'data-directory-in-use',
    message: new RegExp(`in use by another Keelson \\(pid ${process.pid}\\)`),
  });
  assert.deepEqual(await query(server.url, 'select 1 as one'), [{ one: 1 }]);
});

test('after a kill -9 of the parent the next start takes over with the data whole', async (t) => {
  const folder = await temporaryFolder(t);
  const code = `const { startEmbeddedPostgres } = await import(${JSON.stringify(START_MODULE)});
    const server = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(folder)}, log() {} });
    console.log(JSON.stringify({ url: server.url, pid: server.pid }));
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => parent.kill('SIGKILL'));
  const [line] = await once(createInterface(parent.stdout), 'line');
  const { url, pid }: { url: string; pid: number } = JSON.parse(String(line));
  await query(url, 'create table kept as select 7 as answer');
  const exited = once(parent, 'exit');
  parent.kill('SIGKILL');
  await exited;
  const server = await start(t, folder);
  assert.notEqual(server.pid, pid);
  assert.equal(pidExists(pid), false);
  assert.deepEqual(await query(server.url, 'select answer from kept'), [{ answer: 7 }]);
});

test('a recycled process id in postmaster.pid or in the lock does not prevent a start', async (t) => {
  const folder = await temporaryFolder(t);
  await (await start(t, folder)).stop();
  // Of the server's own user: another user's process does not worry PostgreSQL.
  const { uid, gid } = await stat(join(folder, 'postgres', 'data'));
  const bystander = spawn('sleep', ['600'], { stdio: 'ignore', uid, gid });
  t.after(() => bystander.kill());
  await writeFile(join(folder, 'postgres', 'data', 'postmaster.pid'), `${bystander.pid}\n${folder}\n1\n5432\n`);
  await writeFile(
    join(folder, 'keelson.lock'),
    JSON.stringify({ pid: bystander.pid, boot: 'another-boot', started: '1' }),
  );
  await start(t, folder);
  assert.equal(bystander.exitCode, null);
});

test('a server that outlived its Keelson is stopped before the next one starts', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await start(t, folder);
  await query(first.url, 'create table kept as select 3 as answer');
  // As it is without setpriv: the server lives on, and its Keelson is gone.
  await writeFile(join(folder, 'keelson.lock'), JSON.stringify({ pid: 1, boot: 'another-boot', started: '1' }));
  const second = await start(t, folder);
  assert.match(await first.ended, /exit 0/);
  assert.deepEqual(await query(second.url, 'select answer from kept'), [{ answer: 3 }]);
});

test('the cluster of another major version is refused and left alone', async (t) => {
  const folder = await temporaryFolder(t);
  await (await start(t, folder)).stop();
  const path = join(folder, 'postgres', 'data', 'PG_VERSION');
  await writeFile(path, '17\n');
  await assert.rejects(startEmbeddedPostgres({ dataDir: folder, log }), {
    code: 'postgres-version-mismatch',
    message: /made by PostgreSQL 17, this Keelson brings PostgreSQL 18/,
  });
  assert.equal(await readFile(path, 'utf8'), '17\n');
});

test('a start that fails says why in one line and frees the data directory', async (t) => {
  const folder = await temporaryFolder(t);
  await assert.rejects(startEmbeddedPostgres({ dataDir: folder, settings: { shared_buffers: 'plenty' }, log }), {
    code: 'postgres-start-failed',
    message: /^[^\n]*shared_buffers[^\n]*$/,
  });
  const server = await start(t, folder);
  await assert.rejects(startEmbeddedPostgres({ dataDir: `${folder}/other`, port: server.port, log }), {
    code: 'port-in-use',
  });
  await writeFile(join(folder, 'file'), '');
  await assert.rejects(startEmbeddedPostgres({ dataDir: join(folder, 'file', 'sub'), log }), {
    code: 'data-directory-unusable',
  });
});

test('a data directory in a closed folder gets its cluster elsewhere, for root', { skip: !isRoot }, async (t) => {
  const folder = await temporaryFolder(t);
  const closed = join(folder, 'closed');
  await mkdir(closed, { mode: 0o700 });
  const dataDir = join(closed, 'data');
  const first = await start(t, dataDir);
  await query(first.url, 'create table kept as select 1 as answer');
  await first.stop();
  const home = (await readFile(join(dataDir, 'postgres-elsewhere'), 'utf8')).trim();
  t.after(() => rm(home, { recursive: true, force: true }));
  assert.ok(!home.startsWith(folder));
  assert.equal((await stat(closed)).mode & 0o777, 0o700);
  const second = await start(t, dataDir);
  assert.deepEqual(await query(second.url, 'select answer from kept'), [{ answer: 1 }]);
  await second.stop();
  await cp(dataDir, join(closed, 'copy'), { recursive: true });
  await assert.rejects(startEmbeddedPostgres({ dataDir: join(closed, 'copy'), log }), {
    code: 'data-directory-unusable',
    message: /is a copy of/,
  });
  await discardEmbeddedPostgres({ dataDir, log });
  await assert.rejects(stat(home), { code: 'ENOENT' });
});
