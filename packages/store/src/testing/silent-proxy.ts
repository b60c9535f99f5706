import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP proxy before a server that can fall silent, as a network does that drops packets: no reset, no end of file. */
export interface SilentProxy {
  /** The given URL, through the proxy. */
  readonly url: string;
  /** From now on nothing passes in either direction on the connections that are open; new ones are not answered. */
  silence(): void;
  /** New connections pass again. Those that were silenced stay so. */
  heal(): void;
  readonly connections: number;
  close(): Promise<void>;
}

/** @param target a URL with host and port; only these are replaced */
export async function startSilentProxy(target: string): Promise<SilentProxy> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  let silent = false;
  const server = createServer((client) => {
    open.add(client);
    client.on('error', () => undefined);
    client.on('close', () => open.delete(client));
    if (silent) return void client.pause();
    const upstream = connect(Number(port), hostname);
    open.add(upstream);
    upstream.on('error', () => undefined);
    upstream.on('close', () => open.delete(upstream));
    client.pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    silence() {
      silent = true;
      for (const socket of open) socket.unpipe().pause();
    },
    heal: () => void (silent = false),
    get connections() {
      return open.size;
    },
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
