import { openStore, parseSecretKey } from '@keelson/store';
import type { Store } from '@keelson/store';
import type { Logger } from 'pino';
import { ROLES, startServer } from '../serve.ts';
import { supervise } from './supervise.ts';
import type { Supervised } from './supervise.ts';

/** The servers of `dev`, and a store for what dev itself writes. */
export interface DevServers {
  /** The first one is what people are told. */
  readonly urls: readonly string[];
  readonly store: Store;
  stop(): Promise<void>;
}

export interface DevServersOptions {
  readonly count: number;
  readonly databaseUrl: string;
  readonly secretKey: string;
  readonly host: string;
  /** Of the first; the others take free ones. */
  readonly port: number;
  readonly log: Logger;
}

const MODULE = new URL('./server-main.ts', import.meta.url);
const STOP_WITHIN_MS = 15_000;

/** One server lives in this process; of several each has its own, and all have all roles: any of them may be killed, and the others go on. */
export function startDevServers(options: DevServersOptions): Promise<DevServers> {
  return options.count === 1 ? startHere(options) : startApart(options);
}

async function startHere({ databaseUrl, secretKey, host, port, log }: DevServersOptions): Promise<DevServers> {
  const server = await startServer({ roles: ROLES, databaseUrl, listen: { host, port }, secretKey, log });
  return { urls: [server.url], store: server.store, stop: () => server.stop() };
}

async function startApart({ count, databaseUrl, secretKey, host, port, log }: DevServersOptions): Promise<DevServers> {
  const key = parseSecretKey(secretKey);
  const store = await openStore({ url: databaseUrl, applicationName: 'keelson dev', secretKey: key, poolSize: 2 });
  const servers: Supervised[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
    await store.close();
  };
  try {
    for (let number = 1; number <= count; number++) {
      servers.push(
        supervise({
          name: `server ${number}`,
          module: MODULE,
          settings: {
            kind: 'server',
            databaseUrl,
            secretKey,
            host,
            port: number === 1 ? port : 0,
            logLevel: log.level,
          },
          stopWithinMs: STOP_WITHIN_MS,
          log: log.child({ server: number }),
        }),
      );
    }
    const urls = await Promise.all(servers.map(async (server) => (await server.ready) ?? ''));
    return { urls, store, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
