/** A MariaDB server of a test's own, where the machine has the binaries: on a free loopback port, with a folder that goes with it. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import type { Datasource } from '../sql/datasource.ts';

const START_TIMEOUT_MS = 30_000;
const PASSWORD = 'maria s3cret';

/** Path of `mariadbd`, or undefined where it is not installed. */
export function findMariadbd(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/libexec', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, 'mariadbd')).find((path) => existsSync(path));
}

export interface TestMariadb extends AsyncDisposable {
  readonly datasource: Datasource;
}

export async function startMariadb(binary: string): Promise<TestMariadb> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-mariadb-'));
  const owner = process.getuid?.() === 0 ? await unprivileged(folder) : {};
  const port = await freePort();
  await promisify(execFile)(
    'mariadb-install-db',
    ['--no-defaults', `--datadir=${folder}/data`, '--auth-root-authentication-method=normal', '--skip-test-db'],
    owner,
  );
  const options = [
    '--no-defaults',
    `--datadir=${folder}/data`,
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--socket=${folder}/socket`,
    `--pid-file=${folder}/pid`,
  ];
  const server = spawn(binary, options, { ...owner, stdio: 'ignore' });
  const ended = once(server, 'exit');
  const stop = async () => {
    server.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await prepare(join(folder, 'socket'), () => server.exitCode !== null);
  } catch (error) {
    await stop();
    throw error;
  }
  const datasource: Datasource = {
    kind: 'mysql',
    host: '127.0.0.1',
    port,
    database: 'shop',
    user: 'keelson',
    password: PASSWORD,
  };
  return { datasource, [Symbol.asyncDispose]: stop };
}

/** The server refuses to run as root. */
async function unprivileged(folder: string): Promise<{ uid: number; gid: number }> {
  const { stdout } = await promisify(execFile)('id', ['-u', 'nobody']);
  const { stdout: group } = await promisify(execFile)('id', ['-g', 'nobody']);
  const owner = { uid: Number(stdout), gid: Number(group) };
  await chown(folder, owner.uid, owner.gid);
  return owner;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function prepare(socketPath: string, hasEnded: () => boolean): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      const connection = await createConnection({ socketPath, user: 'root' });
      await connection.query('create database shop');
      await connection.query(`create user keelson@'%' identified by '${PASSWORD}'`);
      await connection.query("grant all on shop.* to keelson@'%'");
      await connection.end();
      return;
    } catch (error) {
      if (hasEnded() || performance.now() > deadline) throw error;
      await delay(50);
    }
  }
}
