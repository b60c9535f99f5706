import type { Clock } from '@keelson/core';
import { checkSchema, openStore, parseSecretKey } from '@keelson/store';
import type { Store } from '@keelson/store';
import { taskTypes } from '@keelson/tasks';
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { startAlert } from './alert/start.ts';
import { answerClientError, answerFrameworkError } from './api/http/problems.ts';
import { apiRoutes, watchRoutes } from './api/routes.ts';
import { endWithin } from './end-within.ts';
import { startMaster } from './master/master.ts';
import type { Master } from './master/master.ts';
import { startRetention } from './master/retention.ts';
import { registerMasterMetrics } from './master-metrics.ts';
import { announce } from './presence.ts';
import { registerRetentionMetrics } from './retention-metrics.ts';
import { VERSION } from './version.ts';

export const ROLES = ['api', 'master', 'alert'] as const;
export type ServerRole = (typeof ROLES)[number];

export interface ServerOptions {
  readonly roles: readonly ServerRole[];
  readonly databaseUrl: string;
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Where others reach this server: shown, and told to workers as one of the servers that they may call. True: as it listens. */
  readonly advertise?: string | true;
  /** `file:///folder` or `s3://bucket/prefix`; absent: PostgreSQL. */
  readonly blobs?: string;
  /** 32 bytes as base64 or hex. */
  readonly secretKey: string;
  /** Alerts are sent to each. */
  readonly webhooks?: readonly string[];
  readonly log: Logger;
  /** Of the masters; default: the machine's. A test may let time run faster. */
  readonly clock?: Clock;
}

export interface RunningServer {
  readonly url: string;
  readonly store: Store;
  /**
   * Drains: it says that it is not ready, takes and hands out no new work, sends its workers elsewhere, commits what is under way, then
   * ends. What is not done within `graceMs` (default 5 s) is cut off, which is safe. Any number of calls.
   */
  stop(graceMs?: number): Promise<void>;
}

const DEFAULT_GRACE_MS = 5000;

/**
 * The roles of one process over one store and one listener. Roles meet here, and only here.
 *
 * @throws {SchemaError} when the schema is not this release's, and none that is compatible with it
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
  const app = openListener();
  const running: Running = { draining: false, stops: [] };
  try {
    await startRoles(app, store, options, running);
    await app.listen(listen);
  } catch (error) {
    await app.close();
    for (const stop of running.stops) await stop();
    await store.close();
    throw error;
  }
  const url = urlOf(app, listen.host);
  const advertise = options.advertise === true ? url : options.advertise;
  const presence = announce(store, { roles, url: advertise ?? url, advertise, ...aboutMaster(running.master) }, log);
  let stopping: Promise<void> | undefined;
  const stop = async (graceMs: number): Promise<void> => {
    running.draining = true;
    const said = presence.draining();
    await endWithin(graceMs, log, app, [
      // First the roles: a master ends the open polls, which the listener waits for.
      async () => void (await Promise.all(running.stops.map((stopRole) => stopRole()))),
      () => app.close(),
      () => said,
      () => presence.forget(),
      () => store.close(),
    ]);
  };
  return { url, store, stop: (graceMs = DEFAULT_GRACE_MS) => (stopping ??= stop(graceMs)) };
}

interface Running {
  draining: boolean;
  master?: Master;
  readonly stops: (() => Promise<void>)[];
}

function openListener(): FastifyInstance {
  return Fastify({
    logger: false,
    frameworkErrors: answerFrameworkError,
    clientErrorHandler: answerClientError,
    forceCloseConnections: 'idle',
    // A key called `constructor` is a key like any other: nothing here is merged into an object with a prototype.
    onConstructorPoisoning: 'ignore',
    routerOptions: { maxParamLength: 300 },
  });
}

async function startRoles(app: FastifyInstance, store: Store, options: ServerOptions, running: Running): Promise<void> {
  const { roles, databaseUrl, log, webhooks = [] } = options;
  const { signals } = store;
  const metrics = new Registry();
  if (roles.includes('master')) {
    const master = (running.master = startMaster({
      store,
      signals,
      log: log.child({ role: 'master' }),
      ...(options.clock && { clock: options.clock }),
    }));
    running.stops.push(master.stop);
    registerMasterMetrics(metrics, master.metrics);
    const retention = startRetention({ retention: store.retention, log: log.child({ role: 'master' }) });
    running.stops.push(retention.stop);
    registerRetentionMetrics(metrics, retention.metrics);
    await app.register(master.routes, { prefix: '/worker/v1' });
  }
  if (roles.includes('alert')) {
    const alert = startAlert({ store, log: log.child({ role: 'alert' }), webhooks });
    running.stops.push(alert.stop);
  }
  // Without the api there still is something to watch.
  await (roles.includes('api') ? apiRoutes : watchRoutes)(app, {
    store,
    log: log.child({ role: roles.includes('api') ? 'api' : roles.join(',') }),
    wake: { command: () => signals.send('command'), followup: (kind) => signals.send('followup', kind) },
    version: VERSION,
    taskTypes,
    checkReady: async () => void (await checkSchema(databaseUrl)),
    draining: () => running.draining,
    metrics,
  });
}

function aboutMaster(master: Master | undefined) {
  if (master === undefined) return {};
  return {
    steps: () => master.metrics.steps,
    contacts: () => master.contacts(),
    gatewaysSeen: (urls: readonly string[]) => master.tellGateways(urls),
  };
}

function urlOf(app: FastifyInstance, host: string): string {
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
