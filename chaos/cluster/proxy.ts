import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** `up`: from who connects to who is connected to. */
export type Direction = 'up' | 'down';

/** What a cut held back or broke. */
export interface CutProof {
  readonly heldBytes: number;
  readonly connectionsHit: number;
  readonly refused: number;
}

/**
 * One edge of the cluster: a TCP proxy that can be cut. A held direction is a black hole to both sides (their kernels go on acknowledging
 * until the buffers are full); the bytes arrive late when it heals, as after a partition, or never, when it heals by a reset.
 */
export interface Proxy {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Connections that are open now. */
  open(): number;
  hold(directions: readonly Direction[]): void;
  /** Resets every connection, and every new one until it heals. */
  reset(): void;
  /** Ends every cut. `late`: what was held arrives now; `never`: every connection that was held is reset. */
  heal(held: 'late' | 'never'): CutProof;
  close(): Promise<void>;
}

export interface ProxyOptions {
  readonly name: string;
  readonly listenOn?: string;
  readonly target: { readonly host: string; readonly port: number };
}

/** More than this is left to the kernel: the sender is no longer read. */
const HELD_LIMIT_BYTES = 4 * 1024 * 1024;

interface Gate {
  held: boolean;
  bytes: number;
}

/** One direction of one connection. */
interface Flow {
  release(): void;
  /** Whether something waits for the gate to open. */
  readonly waits: boolean;
}

interface Connection {
  readonly flows: readonly Flow[];
  reset(): void;
}

export async function startProxy({ name, listenOn = '127.0.0.1', target }: ProxyOptions): Promise<Proxy> {
  const gates: Record<Direction, Gate> = { up: { held: false, bytes: 0 }, down: { held: false, bytes: 0 } };
  const open = new Set<Connection>();
  let refusing = false;
  let refused = 0;
  let hit = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (refusing) {
      refused++;
      client.on('error', () => undefined);
      breakOff(client);
      return;
    }
    const upstream = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const connection: Connection = {
      flows: [flow(client, upstream, gates.up), flow(upstream, client, gates.down)],
      reset: () => {
        breakOff(client);
        breakOff(upstream);
      },
    };
    open.add(connection);
    const left = (): void => void (client.destroyed && upstream.destroyed && open.delete(connection));
    client.on('close', left);
    upstream.on('close', left);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, listenOn, resolve);
  });
  const resetAll = (connections: Iterable<Connection>): void => {
    for (const connection of connections) connection.reset();
  };
  return {
    name,
    host: listenOn,
    port: (server.address() as AddressInfo).port,
    open: () => open.size,
    hold: (directions) => {
      hit += open.size;
      for (const direction of directions) gates[direction].held = true;
    },
    reset: () => {
      refusing = true;
      hit += open.size;
      resetAll(open);
    },
    heal: (held) => {
      const proof = { heldBytes: gates.up.bytes + gates.down.bytes, connectionsHit: hit, refused };
      for (const gate of Object.values(gates)) Object.assign(gate, { held: false, bytes: 0 });
      [refusing, refused, hit] = [false, 0, 0];
      if (held === 'never') resetAll([...open].filter(({ flows }) => flows.some((each) => each.waits)));
      else for (const { flows } of open) for (const each of flows) each.release();
      return proof;
    },
    close: async () => {
      resetAll(open);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * By a reset; but a socket whose own end is still on its way cannot be reset: libuv refuses, Node does not notice, and the process then
 * spins at its exit over a handle that never closes.
 */
function breakOff(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

type Item = Buffer | 'end' | 'break';

/** Carries bytes, ends and breaks in order; a held gate keeps all three. */
function flow(from: Socket, to: Socket, gate: Gate): Flow {
  const waiting: Item[] = [];
  let waitingBytes = 0;

  const pass = (item: Item): void => {
    if (to.destroyed) return;
    if (item === 'end') to.end();
    else if (item === 'break') breakOff(to);
    else if (!to.write(item)) {
      from.pause();
      if (to.listenerCount('drain') === 0) to.once('drain', () => from.resume());
    }
  };
  const take = (item: Item): void => {
    if (!gate.held && waiting.length === 0) return pass(item);
    waiting.push(item);
    if (typeof item === 'string') return;
    gate.bytes += item.length;
    waitingBytes += item.length;
    if (waitingBytes > HELD_LIMIT_BYTES) from.pause();
  };
  from.on('data', take);
  from.on('end', () => take('end'));
  from.on('error', () => take('break'));
  return {
    get waits() {
      return waiting.length > 0;
    },
    release: () => {
      const items = waiting.splice(0);
      waitingBytes = 0;
      from.resume();
      for (const item of items) pass(item);
    },
  };
}
