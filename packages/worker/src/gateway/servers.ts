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
  /** Aborts when a call finds that the server is not there: those that wait for it need not find out by themselves. */
  gone(): AbortSignal;
  /** Aborts when calls go to another server from now on: who waits here hears nothing of what that one hands out. */
  left(): AbortSignal;
}

/** The servers of a worker; all calls go to the current one until it fails. */
export interface Servers {
  current(): Server;
  /**
   * A call to this server failed: the next one is used from now on.
   *
   * @param how `gone`: it did not answer, so the other calls to it are given up too; `refusing`: it does answer, and what is under way there
   *   may end there
   */
  failed(server: Server, how: 'gone' | 'refusing'): void;
  /** What a server says of its fellows: they are used as well, for as long as they are named. Those given at the start stay. */
  learn(urls: readonly string[]): void;
  close(): Promise<void>;
}

interface Known extends Server {
  readonly given: boolean;
  giveUp(): void;
  leave(): void;
}

const CONNECT = { timeout: 5000 };
/** However many a server names. */
const MOST_LEARNT = 100;

/** Throws a clear error on a bad URL or an empty list. */
export function openServers(urls: readonly string[]): Servers {
  const servers = new Map<string, Known>();
  for (const url of urls) {
    const server = openServer(url, true);
    servers.set(keyOf(server), server);
  }
  const [first] = servers.values();
  if (first === undefined) throw new Error('a worker needs at least one server URL');
  let current: Known = first;

  const next = (): Known => {
    const all = [...servers.values()];
    return all[(all.indexOf(current) + 1) % all.length] ?? first;
  };
  const drop = (server: Known): void => {
    servers.delete(keyOf(server));
    void closeServer(server);
  };

  return {
    current: () => current,
    failed(server, how) {
      const known = servers.get(keyOf(server));
      if (known === undefined) return;
      if (known === current) {
        current = next();
        if (known !== current) known.leave();
      }
      if (how === 'gone') known.giveUp();
    },
    learn(named) {
      const wanted = new Map(named.slice(0, MOST_LEARNT).flatMap((url) => learnt(url)));
      for (const [key, url] of wanted) if (!servers.has(key)) servers.set(key, openServer(url, false));
      for (const [key, server] of servers) if (!server.given && !wanted.has(key) && server !== current) drop(server);
    },
    async close() {
      await Promise.all([...servers.values()].map(closeServer));
    },
  };
}

function keyOf({ name, path }: Pick<Server, 'name' | 'path'>): string {
  return name + path;
}

function placeOf(url: URL): Pick<Server, 'name' | 'path'> {
  return { name: url.origin, path: `${url.pathname.replace(/\/+$/, '')}/worker/v1/` };
}

function parse(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && ['http:', 'https:'].includes(url.protocol) ? url : undefined;
}

/** Its key and URL; nothing for one that is no URL: a server's mistake costs its worker nothing. */
function learnt(text: string): [string, string][] {
  const url = parse(text.trim());
  return url === undefined ? [] : [[keyOf(placeOf(url)), url.href]];
}

function openServer(text: string, given: boolean): Known {
  const url = parse(text);
  if (url === undefined) {
    throw new Error(`the server "${text.replace(/\/\/[^@/]*@/, '//')}" is no http:// or https:// URL`);
  }
  let waiting = new AbortController();
  let staying = new AbortController();
  return {
    ...placeOf(url),
    given,
    calls: new Pool(url.origin, { connections: 4, connect: CONNECT }),
    renewals: new Client(url.origin, { connect: CONNECT }),
    bulk: new Pool(url.origin, { connections: 8, connect: CONNECT }),
    gone: () => waiting.signal,
    giveUp() {
      const before = waiting;
      waiting = new AbortController();
      before.abort();
    },
    left: () => staying.signal,
    leave() {
      const before = staying;
      staying = new AbortController();
      before.abort();
    },
  };
}

async function closeServer({ calls, renewals, bulk }: Server): Promise<void> {
  await Promise.all([calls.destroy(), renewals.destroy(), bulk.destroy()]);
}
