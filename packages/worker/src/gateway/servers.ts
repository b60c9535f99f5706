import { Client, Pool, type Dispatcher } from 'undici';

/** The connections to one server. */
export interface Server {
  /** For the log: scheme, host and port, without user or password. */
  readonly name: string;
  /** Path of the protocol's root, with a slash at the end. */
  readonly path: string;
  /** Poll, report, register, leave. */
  readonly calls: Dispatcher;
  /** Renewals have a connection of their own: nothing may make them wait. */
  readonly renewals: Dispatcher;
  /** Logs and blobs. */
  readonly bulk: Dispatcher;
}

/** The servers of a worker; all calls go to the current one until it fails. */
export interface Servers {
  current(): Server;
  /** A call to this server failed: the next one is used from now on. */
  failed(server: Server): void;
  close(): Promise<void>;
}

const CONNECT = { timeout: 5000 };

/** Throws a clear error on a bad URL or an empty list. */
export function openServers(urls: readonly string[]): Servers {
  const servers = urls.map(openServer);
  const first = servers[0];
  if (first === undefined) throw new Error('a worker needs at least one server URL');
  let index = 0;
  const current = (): Server => servers[index] ?? first;
  return {
    current,
    failed(server) {
      if (server === current()) index = (index + 1) % servers.length;
    },
    async close() {
      await Promise.all(
        servers.flatMap(({ calls, renewals, bulk }) => [calls.destroy(), renewals.destroy(), bulk.destroy()]),
      );
    },
  };
}

function openServer(text: string): Server {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new Error(`the server "${text.replace(/\/\/[^@/]*@/, '//')}" is no http:// or https:// URL`);
  }
  return {
    name: url.origin,
    path: `${url.pathname.replace(/\/+$/, '')}/worker/v1/`,
    calls: new Pool(url.origin, { connections: 4, connect: CONNECT }),
    renewals: new Client(url.origin, { connect: CONNECT }),
    bulk: new Pool(url.origin, { connections: 8, connect: CONNECT }),
  };
}
