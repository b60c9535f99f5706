import { readFileSync } from 'node:fs';

/** What happens at a failpoint. The last five are answers of a database; `cut-after` loses the answer to what was done. */
export const FAULTS = ['note', 'kill', 'deadlock', 'lock-timeout', 'disk-full', 'cut-before', 'cut-after'] as const;
export type Fault = (typeof FAULTS)[number];

export interface Failpoint {
  /** `await:<file>:<function>:<number>` (or `await:<file>:*`, to note which are reached), or `sql:<statement>`. */
  readonly at: string;
  readonly fault: Fault;
  /** The how manieth time it is reached; the first by default. `note` notes each place once. */
  readonly hit?: number;
}

/** What a process is told in `KEELSON_FAILPOINT`, as JSON. */
export interface FailpointOrders {
  readonly points: readonly Failpoint[];
  /** What happened is appended here, a line each: `<pid> <at> <fault>`. */
  readonly journal: string;
  /** Reached places count only while this file is there; absent: always. */
  readonly armedBy?: string;
}

/** Environment variables that make a process load the plants and failpoints; the register module must be imported, too. */
export function plantEnvironment(
  plants: readonly string[],
  orders?: FailpointOrders | OrdersFile,
): Record<string, string> {
  const text = typeof orders === 'string' ? orders : JSON.stringify(orders);
  return {
    ...(plants.length > 0 && { KEELSON_PLANT: plants.join(',') }),
    ...(orders !== undefined && { KEELSON_FAILPOINT: text }),
  };
}

/** Orders that are read from a file when the process starts, so that each start may have others. */
export type OrdersFile = `@${string}`;

export function parseOrders(text: string): FailpointOrders {
  const orders = JSON.parse(text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text) as FailpointOrders;
  for (const { at, fault } of orders.points) {
    if (!FAULTS.includes(fault)) throw new Error(`KEELSON_FAILPOINT: there is no fault ${fault}`);
    if (!/^(?:await|sql):/.test(at)) throw new Error(`KEELSON_FAILPOINT: ${at} is neither await:… nor sql:…`);
    if (at.startsWith('await:') && !['note', 'kill'].includes(fault))
      throw new Error(`KEELSON_FAILPOINT: ${fault} is a fault of a statement, not of ${at}`);
  }
  return orders;
}

/** The files whose awaits are to be marked. */
export function markedFiles({ points }: FailpointOrders): string[] {
  return [...new Set(points.flatMap(({ at }) => /^await:([^:]+):/.exec(at)?.[1] ?? []))];
}
