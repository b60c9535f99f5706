import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@keelson/sdk/client';
import type { KeelsonClient } from '@keelson/sdk/client';
import { checkDatabase, createToken, migrateDatabase } from '@keelson/server';
import pg from 'pg';
import type { ManagedProcess } from '../../chaos/cluster/process.ts';
import { serverProcess, workerProcess } from '../../chaos/cluster/programs.ts';
import { startProxy } from '../../chaos/cluster/proxy.ts';
import type { Proxy } from '../../chaos/cluster/proxy.ts';
import { ledgerReader } from '../../chaos/ledger/reader.ts';
import type { Entry } from '../../chaos/ledger/entry.ts';
import type { FailpointOrders, OrdersFile } from '../../simulation/plants/failpoint.ts';
import type { Owner } from './dev-process.ts';

const SECRET_KEY = Buffer.alloc(32, 7).toString('base64');
const TASK_SCRIPT = fileURLToPath(new URL('../../chaos/load/task.sh', import.meta.url));

/** One server process, its own way to the database, and a client of it. */
export interface ServerNode {
  readonly name: string;
  readonly url: string;
  readonly process: ManagedProcess;
  readonly database: Proxy;
  readonly client: KeelsonClient;
  /** The value of a counter of `/metrics`. */
  metric(name: string): Promise<number>;
  /** What it has logged so far, a line each. */
  logLines(): Promise<string[]>;
}

export interface WorkerNode {
  readonly name: string;
  readonly process: ManagedProcess;
  /** Its way to each server, by the server's name. */
  readonly servers: ReadonlyMap<string, Proxy>;
}

export interface Planted {
  readonly plant?: string | undefined;
  readonly failpoints?: FailpointOrders | OrdersFile | undefined;
}

export interface ServerSpec extends Planted {
  readonly name: string;
  readonly roles?: readonly string[];
}

export interface WorkerSpec extends Planted {
  readonly name: string;
  /** In the order in which it tries them. */
  readonly servers: readonly ServerNode[];
  readonly slots?: number;
}

/** Separate processes over one database; every connection between two of them goes through a proxy of its own. */
export interface Cluster {
  readonly folder: string;
  readonly token: string;
  readonly databaseUrl: string;
  rows(sql: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** Not started yet: `process.start()`. */
  server(spec: ServerSpec): Promise<ServerNode>;
  worker(spec: WorkerSpec): Promise<WorkerNode>;
  ledger(): Promise<readonly Entry[]>;
  /** A shell task that writes its start, beats and end into the ledger; `exit` is its exit code for its first `failures` attempts. */
  task(seconds: number, exit?: { readonly code: number; readonly failures: number }): LedgerTask;
  /** The doctor's findings, a line each; empty: all is well. */
  findings(): Promise<string[]>;
}

export interface LedgerTask {
  readonly run: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A cluster without a process yet, on an empty database at `databaseUrl`. Everything in it ends with its owner. */
export async function openCluster(owner: Owner, databaseUrl: string): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-cluster-'));
  await chmod(folder, 0o755);
  const ends: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true, maxRetries: 5 })];
  owner.after(async () => {
    for (const end of ends.toReversed()) await end();
  });
  await migrateDatabase(databaseUrl);
  const newToken = (role: 'admin' | 'worker') => createToken({ databaseUrl, role, name: `test-${role}` });
  const [token, workerToken] = [await newToken('admin'), await newToken('worker')];
  const ledgerFile = join(folder, 'ledger');
  const target = { host: '127.0.0.1', port: Number(new URL(databaseUrl).port) };

  const proxy = async (name: string, to: Address): Promise<Proxy> => {
    const made = await startProxy({ name, target: to });
    ends.push(made.close);
    return made;
  };
  const kept = (process: ManagedProcess): ManagedProcess => {
    ends.push(async () => {
      process.expectEnd();
      process.signal('SIGCONT');
      process.signal('SIGKILL');
      await process.exited();
    });
    return process;
  };

  const house: House = { folder, token, workerToken, databaseUrl, target, proxy, kept };
  return {
    folder,
    token,
    databaseUrl,
    rows: (sql, values = []) => rowsOf(databaseUrl, sql, values),
    server: (spec) => makeServer(house, spec),
    worker: (spec) => makeWorker(house, spec),
    ledger: ledgerReader(ledgerFile),
    task: (seconds, exit) => ({
      run: `exec bash "$TASK_SCRIPT" ${seconds} ${exit?.code ?? 0} ${exit?.failures ?? 0}`,
      env: { LEDGER: ledgerFile, TASK_SCRIPT },
    }),
    findings: async () =>
      (await checkDatabase(databaseUrl)).flatMap(({ name, rows }) => rows.map(({ message }) => `${name}: ${message}`)),
  };
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** What the processes of a cluster have in common. */
interface House {
  readonly folder: string;
  readonly token: string;
  readonly workerToken: string;
  readonly databaseUrl: string;
  readonly target: Address;
  proxy(name: string, to: Address): Promise<Proxy>;
  /** Ends with the cluster. */
  kept(process: ManagedProcess): ManagedProcess;
}

async function makeServer(house: House, spec: ServerSpec): Promise<ServerNode> {
  const { folder, token, databaseUrl, target } = house;
  const { name, roles = ['api', 'master'], plant, failpoints } = spec;
  const database = await house.proxy(`${name} to the database`, target);
  const through = new URL(databaseUrl);
  through.host = `127.0.0.1:${database.port}`;
  const listen = `127.0.0.1:${await freePort()}`;
  const process = house.kept(
    serverProcess({
      name,
      roles,
      listen,
      folder,
      plant,
      failpoints,
      databaseUrl: through.href,
      secretKey: SECRET_KEY,
      blobs: undefined,
      prefix: [],
      clockFile: undefined,
    }),
  );
  return serverNode({ name, url: `http://${listen}`, token, process, database });
}

async function makeWorker(house: House, spec: WorkerSpec): Promise<WorkerNode> {
  const { folder, workerToken } = house;
  const { name, servers, slots = 4, plant, failpoints } = spec;
  const edges = new Map<string, Proxy>();
  for (const server of servers) {
    const to = { host: '127.0.0.1', port: Number(new URL(server.url).port) };
    edges.set(server.name, await house.proxy(`${name} to ${server.name}`, to));
  }
  await mkdir(join(folder, name));
  const process = house.kept(
    workerProcess({
      name,
      kind: 'shell',
      slots,
      folder,
      plant,
      failpoints,
      token: workerToken,
      prefix: [],
      servers: [...edges.values()].map(({ port }) => `http://127.0.0.1:${port}`),
      dataDir: join(folder, name, 'data'),
      drainSeconds: 10,
    }),
  );
  return { name, process, servers: edges };
}

function serverNode(made: Pick<ServerNode, 'name' | 'url' | 'process' | 'database'> & { token: string }): ServerNode {
  const { token, ...node } = made;
  const { url, process } = node;
  return {
    ...node,
    client: createClient({ url, token }),
    metric: async (name) => {
      const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
      const values = [...(await response.text()).matchAll(new RegExp(`^${name}(?:\\{.*\\})? ([0-9.e+]+)$`, 'gm'))];
      return values.reduce((sum, [, value]) => sum + Number(value), 0);
    },
    logLines: async () => (await readFile(process.logFile, 'utf8').catch(() => '')).split('\n').filter(Boolean),
  };
}

async function rowsOf(url: string, sql: string, values: readonly unknown[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=keelson' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql, [...values])).rows;
  } finally {
    await client.end();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
