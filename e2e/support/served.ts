import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createToken, migrateDatabase } from '@keelson/server';
import { createClient } from '@keelson/sdk/client';
import type { KeelsonClient } from '@keelson/sdk/client';
import { testDatabase } from '@keelson/store/testing';
import type { Owner } from './dev-process.ts';
import { endProcess, waitForWords } from './dev-process.ts';
import type { Running } from './processes.ts';
import { KEELSON, launch } from './processes.ts';

export const SECRET_KEY = Buffer.alloc(32, 7).toString('base64');

/** A migrated database of a real PostgreSQL, and the first token of an admin and of workers. */
export interface Served {
  readonly databaseUrl: string;
  readonly token: string;
  readonly workerToken: string;
  /** `keelson serve` as a process; resolves when it is ready. */
  serve(port: number, args?: readonly string[]): Promise<Running>;
  /** `keelson worker` as a process; resolves when it has joined. */
  work(name: string, servers: readonly string[], folder: string, args?: readonly string[]): Promise<Running>;
  client(port: number): KeelsonClient;
}

export async function serveDatabase(owner: Owner): Promise<Served> {
  const { url: databaseUrl } = await testDatabase(owner);
  await migrateDatabase(databaseUrl);
  const [token, workerToken] = [
    await createToken({ databaseUrl, role: 'admin', name: 'test' }),
    await createToken({ databaseUrl, role: 'worker', name: 'workers' }),
  ];
  const start = async (args: readonly string[], env: Record<string, string>, ready: RegExp): Promise<Running> => {
    const running = launch(KEELSON, args, { env });
    owner.after(() => endProcess(running, 'SIGKILL').then(() => undefined));
    await waitForWords(running, ready);
    return running;
  };
  return {
    databaseUrl,
    token,
    workerToken,
    serve: (port, args = []) =>
      start(
        ['serve', '--listen', `127.0.0.1:${port}`, ...args],
        { KEELSON_DATABASE_URL: databaseUrl, KEELSON_SECRET_KEY: SECRET_KEY },
        /"msg":"ready"/,
      ),
    work: (name, servers, folder, args = []) =>
      start(
        ['worker', '--server', servers.join(','), '--name', name, '--data', join(folder, name), ...args],
        { KEELSON_TOKEN: workerToken },
        /registered/,
      ),
    client: (port) => createClient({ url: `http://127.0.0.1:${port}`, token }),
  };
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const listeners = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = listeners.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(listeners.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
