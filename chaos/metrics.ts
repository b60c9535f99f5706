import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from './load/client.ts';

/** Counters of all servers, added up over the deaths of their processes. */
export interface MetricWatch {
  /** Reads once more, ends, and gives the sums by name. */
  stop(): Promise<Record<string, number>>;
}

const EVERY_MS = 1000;
const COUNTER = /^(keelson_[a-z_]+_total)(?:\{[^}]*\})? ([0-9.e+]+)$/gm;

export function watchMetrics(client: Client, servers: number): MetricWatch {
  const sums: Record<string, number> = {};
  const last = Array.from({ length: servers }, (): Record<string, number> => ({}));
  const over = new AbortController();
  const look = async (server: number): Promise<void> => {
    const text = await client.text(server, '/metrics').catch(() => '');
    for (const [, name = '', value] of text.matchAll(COUNTER)) {
      const now = Number(value);
      const before = last[server]?.[name] ?? 0;
      // A process of a new life counts from 0 again.
      sums[name] = (sums[name] ?? 0) + (now >= before ? now - before : now);
      if (last[server] !== undefined) last[server][name] = now;
    }
  };
  const lookAtAll = async (): Promise<void> => void (await Promise.all(last.map((_, server) => look(server))));
  const watching = (async () => {
    while (!over.signal.aborted) {
      await lookAtAll();
      await delay(EVERY_MS, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  return {
    stop: async () => {
      over.abort();
      await watching;
      await lookAtAll();
      return sums;
    },
  };
}
