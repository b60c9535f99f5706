import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { checkSchema, openStore, parseSecretKey } from '@keelson/store';
import type { Store } from '@keelson/store';
import { taskTypes } from '@keelson/tasks';
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { startAlert } from './alert/start.ts';
import { answerClientError, answerFrameworkError } from './api/problems.ts';
import { apiRoutes } from './api/routes.ts';
import { startMaster } from './master/master.ts';
import { registerMasterMetrics } from './master-metrics.ts';
import { VERSION } from './version.ts';

export const ROLES = ['api', 'master', 'alert'] as const;
export type ServerRole = (typeof ROLES)[number];

export interface ServerOptions {
  readonly roles: readonly ServerRole[];
  readonly databaseUrl: string;
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** `file:///folder` or `s3://bucket/prefix`; absent: PostgreSQL. */
  readonly blobs?: string;
  /** 32 bytes as base64 or hex. */
  readonly secretKey: string;
  /** Alerts are sent to each. */
  readonly webhooks?: readonly string[];
  readonly log: Logger;
}

export interface RunningServer {
  readonly url: string;
  readonly store: Store;
  /** Answers what is under way, then ends. Any number of calls. */
  stop(): Promise<void>;
}

const HEARTBEAT_MS = 3000;
const SILENT_MS = 10_000;

/**
 * The roles of one process over one store and one listener. Roles meet here, and only here.
 *
 * @throws {SchemaError} when the schema is not this release's
 * @throws when the address cannot be listened on
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { roles, databaseUrl, listen, log } = options;
  const store = await openStore({
    url: databaseUrl,
    applicationName: `keelson ${roles.join(',')}`,
    blobs: options.blobs,
    secretKey: parseSecretKey(options.secretKey),
    log: (message, error) => log.warn({ err: error }, message),
  });
  const app = Fastify({
    logger: false,
    frameworkErrors: answerFrameworkError,
    clientErrorHandler: answerClientError,
    forceCloseConnections: 'idle',
    // A key called `constructor` is a key like any other: nothing here is merged into an object with a prototype.
    onConstructorPoisoning: 'ignore',
    routerOptions: { maxParamLength: 300 },
  });
  const stops: (() => Promise<void>)[] = [];
  try {
    await startRoles(app, store, options, stops);
    await app.listen(listen);
  } catch (error) {
    await app.close();
    for (const stop of stops) await stop();
    await store.close();
    throw error;
  }
  const url = urlOf(app, listen.host);
  const forget = announce(store, roles, url, log);
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    // First the roles: a master ends the open polls, which the listener waits for.
    for (const stopRole of stops) await stopRole();
    await app.close();
    await forget();
    await store.close();
  };
  return { url, store, stop: () => (stopping ??= stop()) };
}

async function startRoles(
  app: FastifyInstance,
  store: Store,
  options: ServerOptions,
  stops: (() => Promise<void>)[],
): Promise<void> {
  const { roles, databaseUrl, log, webhooks = [] } = options;
  const { signals } = store;
  const metrics = new Registry();
  if (roles.includes('master')) {
    const master = startMaster({ store, signals, log: log.child({ role: 'master' }) });
    stops.push(master.stop);
    registerMasterMetrics(metrics, master.metrics);
    await app.register(master.routes, { prefix: '/worker/v1' });
  }
  if (roles.includes('alert')) {
    const alert = startAlert({ store, log: log.child({ role: 'alert' }), webhooks });
    stops.push(alert.stop);
  }
  if (roles.includes('api')) {
    const wake = { command: () => signals.send('command') };
    const checkReady = (): Promise<void> => checkSchema(databaseUrl);
    await apiRoutes(app, {
      store,
      log: log.child({ role: 'api' }),
      wake,
      version: VERSION,
      taskTypes,
      checkReady,
      metrics,
    });
  }
}

/** Says that this process is there, now and then; nothing is decided on it. */
function announce(store: Store, roles: readonly ServerRole[], url: string, log: Logger): () => Promise<void> {
  const node = { id: randomUUID(), roles, host: hostname(), pid: process.pid, url, version: VERSION };
  const say = (): void =>
    void store.nodes.seen(node, SILENT_MS).catch((error: unknown) => log.warn({ err: error }, 'the heartbeat failed'));
  say();
  const timer = setInterval(say, HEARTBEAT_MS);
  return async () => {
    clearInterval(timer);
    await store.nodes.remove(node.id).catch(() => undefined);
  };
}

function urlOf(app: FastifyInstance, host: string): string {
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
