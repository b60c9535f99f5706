import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createToken, migrateDatabase } from '@keelson/server';
import { makeNamespace, namespaceNumber } from './namespace.ts';
import type { Namespace } from './namespace.ts';
import { startPostgres } from './postgres.ts';
import type { Postgres } from './postgres.ts';
import type { ManagedProcess } from './process.ts';
import { serverProcess, workerProcess } from './programs.ts';
import type { WorkerKind } from './programs.ts';
import { startProxy } from './proxy.ts';
import type { Proxy } from './proxy.ts';
import { makeSmallDisk } from './small-disk.ts';
import type { SmallDisk } from './small-disk.ts';

export interface ServerNode {
  readonly name: string;
  readonly roles: readonly string[];
  readonly process: ManagedProcess;
  /** Where it listens. */
  readonly at: { readonly host: string; readonly port: number };
  /** Its way to the database. */
  readonly database: Proxy;
  /** The clients' way to it. */
  readonly clients: Proxy;
  readonly namespace: Namespace | undefined;
  /** Where its wall clock can be moved. */
  readonly clockFile: string | undefined;
}

export interface WorkerNode {
  readonly name: string;
  readonly kind: WorkerKind;
  readonly process: ManagedProcess;
  /** Its ways to the servers with the role master, by their names. */
  readonly servers: ReadonlyMap<string, Proxy>;
  readonly disk: SmallDisk | undefined;
  readonly namespace: Namespace | undefined;
}

/** Separate processes over one PostgreSQL; every connection between two of them goes through a proxy of its own. */
export interface ChaosCluster {
  readonly postgres: Postgres;
  readonly servers: readonly ServerNode[];
  readonly workers: readonly WorkerNode[];
  readonly adminToken: string;
  /** Where the servers keep blobs, when that is a small disk. */
  readonly blobs: SmallDisk | undefined;
  readonly ledger: string;
  proxies(): Proxy[];
  close(): Promise<void>;
}

export interface ClusterPlan {
  /** An existing folder that other accounts can reach. */
  readonly folder: string;
  /** Servers with the roles api, master and alert, and after them those with the role api only. */
  readonly masters: number;
  readonly apis: number;
  readonly shellWorkers: number;
  readonly processorWorkers: number;
  readonly slots: number;
  /** The last master and the last shell worker live in namespaces of their own. */
  readonly namespaces: boolean;
  /** Servers reach the database without a proxy between: for what only a real cut or a real pause shows. */
  readonly directDatabase?: boolean;
  /** The first shell worker and the blob store live on small disks. */
  readonly smallDisks: boolean;
  /** The first master's wall clock can be moved. */
  readonly fakeClock: boolean;
  /** A planted bug, by its name. */
  readonly plant?: string | undefined;
  readonly drainSeconds?: number;
}

const DISK_MEBIBYTES = { worker: 48, blobs: 64 };

type Ends = (() => Promise<unknown> | void)[];

/** Ready when every server answers and every worker has registered. */
export async function openChaosCluster(plan: ClusterPlan): Promise<ChaosCluster> {
  const ends: Ends = [];
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).toReversed()) await Promise.resolve(end()).catch(() => undefined);
  };
  try {
    return { ...(await open(plan, ends)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(plan: ClusterPlan, ends: Ends): Promise<Omit<ChaosCluster, 'close'>> {
  const { folder } = plan;
  const serverNamespace = namespaceFor(plan.namespaces && plan.masters > 0, ends);
  const workerNamespace = namespaceFor(plan.namespaces && plan.shellWorkers > 0, ends);
  const direct = plan.directDatabase === true && serverNamespace !== undefined ? [serverNamespace.hostAddress] : [];
  const postgres = await startPostgres(folder, direct);
  ends.push(postgres.close);
  await migrateDatabase(postgres.url);
  const token = (role: 'admin' | 'worker'): Promise<string> =>
    createToken({ databaseUrl: postgres.url, role, name: `chaos-${role}` });
  const [adminToken, workerToken] = [await token('admin'), await token('worker')];
  const disk = (name: string, size: number): SmallDisk => {
    const made = makeSmallDisk(join(folder, name), size);
    ends.push(made.close);
    return made;
  };
  const blobs = plan.smallDisks ? disk('blobs', DISK_MEBIBYTES.blobs) : undefined;
  const secretKey = randomBytes(32).toString('base64');
  const servers: ServerNode[] = [];
  for (let index = 0; index < plan.masters + plan.apis; index++) {
    const namespace = index === plan.masters - 1 ? serverNamespace : undefined;
    servers.push(await openServer(plan, index, { postgres, secretKey, blobs, namespace, ends }));
  }
  await Promise.all(servers.map((server) => server.process.start()));
  const workers: WorkerNode[] = [];
  for (let index = 0; index < plan.shellWorkers + plan.processorWorkers; index++) {
    const small = plan.smallDisks && index === 0 ? disk('worker-disk', DISK_MEBIBYTES.worker) : undefined;
    const namespace = index === plan.shellWorkers - 1 ? workerNamespace : undefined;
    workers.push(await openWorker(plan, index, { servers, workerToken, disk: small, namespace, ends }));
  }
  await Promise.all(workers.map((worker) => worker.process.start()));
  const proxies = (): Proxy[] => [
    ...servers.flatMap(({ database, clients }) => [database, clients]),
    ...workers.flatMap((worker) => [...worker.servers.values()]),
  ];
  return { postgres, servers, workers, adminToken, blobs, ledger: join(folder, 'ledger'), proxies };
}

function namespaceFor(wanted: boolean, ends: Ends): Namespace | undefined {
  if (!wanted) return undefined;
  const namespace = makeNamespace(namespaceNumber());
  ends.push(namespace.close);
  return namespace;
}

async function proxyFor(options: Parameters<typeof startProxy>[0], ends: Ends): Promise<Proxy> {
  const proxy = await startProxy(options);
  ends.push(proxy.close);
  return proxy;
}

function runUnder(process: ManagedProcess, ends: Ends): ManagedProcess {
  ends.push(async () => {
    process.expectEnd();
    process.signal('SIGCONT');
    process.signal('SIGKILL');
    await process.exited();
  });
  return process;
}

async function openServer(
  plan: ClusterPlan,
  index: number,
  context: {
    postgres: Postgres;
    secretKey: string;
    blobs: SmallDisk | undefined;
    namespace: Namespace | undefined;
    ends: Ends;
  },
): Promise<ServerNode> {
  const { postgres, secretKey, blobs, namespace, ends } = context;
  const isMaster = index < plan.masters;
  const name = isMaster ? `master-${index + 1}` : `api-${index - plan.masters + 1}`;
  const roles = isMaster ? ['api', 'master', 'alert'] : ['api'];
  const listenOn = namespace?.hostAddress ?? '127.0.0.1';
  const target = { host: '127.0.0.1', port: postgres.port };
  const database = await proxyFor({ name: `${name} to database`, listenOn, target }, ends);
  const databaseUrl = new URL(postgres.url);
  databaseUrl.host = `${listenOn}:${plan.directDatabase === true ? postgres.port : database.port}`;
  const at = { host: namespace?.address ?? '127.0.0.1', port: namespace === undefined ? await freePort() : 7400 };
  const clients = await proxyFor({ name: `clients to ${name}`, target: at }, ends);
  const clockFile = plan.fakeClock && index === 0 ? join(plan.folder, `${name}.clock`) : undefined;
  const process = serverProcess({
    name,
    roles,
    listen: `${at.host}:${at.port}`,
    databaseUrl: databaseUrl.href,
    secretKey,
    blobs: blobs?.path,
    folder: plan.folder,
    prefix: namespace?.prefix ?? [],
    plant: plan.plant,
    clockFile,
  });
  return { name, clockFile, roles, process: runUnder(process, ends), at, database, clients, namespace };
}

async function openWorker(
  plan: ClusterPlan,
  index: number,
  context: {
    servers: readonly ServerNode[];
    workerToken: string;
    disk: SmallDisk | undefined;
    namespace: Namespace | undefined;
    ends: Ends;
  },
): Promise<WorkerNode> {
  const { servers, workerToken, disk, namespace, ends } = context;
  const kind = index < plan.shellWorkers ? 'shell' : 'processor';
  const name = kind === 'shell' ? `shell-${index + 1}` : `processor-${index - plan.shellWorkers + 1}`;
  const edges = new Map<string, Proxy>();
  const masters = servers.filter(({ roles }) => roles.includes('master'));
  for (const server of masters) {
    const listenOn = namespace?.hostAddress ?? '127.0.0.1';
    const edge = { name: `${name} to ${server.name}`, listenOn, target: server.at };
    edges.set(server.name, await proxyFor(edge, ends));
  }
  const folder = disk?.path ?? join(plan.folder, name);
  await mkdir(folder, { recursive: true });
  // Each begins with another server.
  const urls = [...edges.values()].map(({ host, port }) => `http://${host}:${port}`);
  const first = index % Math.max(1, urls.length);
  const process = workerProcess({
    name,
    kind,
    slots: plan.slots,
    servers: [...urls.slice(first), ...urls.slice(0, first)],
    token: workerToken,
    dataDir: join(folder, 'data'),
    folder: plan.folder,
    prefix: namespace?.prefix ?? [],
    plant: plan.plant,
    drainSeconds: plan.drainSeconds ?? 20,
  });
  return { name, kind, process: runUnder(process, ends), servers: edges, disk, namespace };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
