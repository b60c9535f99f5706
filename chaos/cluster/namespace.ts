import { execFileSync } from 'node:child_process';

/**
 * A network namespace with one cable to the host: 10.231.N.1 is the host's end, 10.231.N.2 the other. A cut poisons the neighbour
 * entry of one end or of both: frames go out to nobody, and no side is told.
 */
export interface Namespace {
  readonly name: string;
  readonly hostAddress: string;
  readonly address: string;
  /** Goes before a command that is to run inside. */
  readonly prefix: readonly string[];
  /** `out`: what the inside sends is lost; `in`: what the host sends to it is. */
  cut(directions: readonly ('in' | 'out')[]): void;
  heal(): void;
  /** Packets sent so far, by direction. */
  counts(): Record<'in' | 'out', number>;
  close(): void;
}

const NOBODY = '02:00:00:00:00:fe';

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Why namespaces cannot be had here; undefined when they can. */
export function namespaceObstacle(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'network namespaces need root on Linux';
  const probe = `kp${process.pid}`;
  try {
    ip('netns', 'add', probe);
    ip('netns', 'del', probe);
    return undefined;
  } catch (error) {
    return `network namespaces cannot be made: ${error instanceof Error ? (error.message.split('\n').at(-2) ?? error.message) : String(error)}`;
  }
}

/** @param number 0 to 255, unique on this machine while it lives */
export function makeNamespace(number: number): Namespace {
  const name = `keelson-chaos-${number}`;
  const [outer, inner] = [`kc${number}h`, `kc${number}n`];
  const [hostAddress, address] = [`10.231.${number}.1`, `10.231.${number}.2`];
  const inside = (...args: string[]): string => ip('-n', name, ...args);
  ip('netns', 'add', name);
  try {
    ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', name);
    ip('addr', 'add', `${hostAddress}/24`, 'dev', outer);
    ip('link', 'set', outer, 'up');
    inside('addr', 'add', `${address}/24`, 'dev', inner);
    inside('link', 'set', 'lo', 'up');
    inside('link', 'set', inner, 'up');
  } catch (error) {
    ip('netns', 'del', name);
    throw error;
  }
  const hardware = (text: string): string => /link\/ether ([0-9a-f:]+)/.exec(text)?.[1] ?? NOBODY;
  const [outerHardware, innerHardware] = [hardware(ip('link', 'show', outer)), hardware(inside('link', 'show', inner))];
  const point = (direction: 'in' | 'out', at: string): void => {
    const entry = ['neigh', 'replace', direction === 'out' ? hostAddress : address, 'lladdr', at, 'nud', 'permanent'];
    if (direction === 'out') inside(...entry, 'dev', inner);
    else ip(...entry, 'dev', outer);
  };
  return {
    name,
    hostAddress,
    address,
    prefix: ['ip', 'netns', 'exec', name],
    cut: (directions) => {
      for (const direction of directions) point(direction, NOBODY);
    },
    heal: () => {
      point('out', outerHardware);
      point('in', innerHardware);
    },
    counts: () => ({
      in: sentPackets(ip('-j', '-s', 'link', 'show', outer)),
      out: sentPackets(inside('-j', '-s', 'link', 'show', inner)),
    }),
    close: () => {
      ip('netns', 'del', name);
    },
  };
}

function sentPackets(json: string): number {
  const [link] = JSON.parse(json) as { stats64: { tx: { packets: number } } }[];
  return link?.stats64.tx.packets ?? 0;
}

/** Numbers differ between campaigns of one machine. */
let next = process.pid % 120;
export function namespaceNumber(): number {
  next = (next + 1) % 250;
  return next;
}
