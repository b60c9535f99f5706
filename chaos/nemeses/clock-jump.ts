import { FAKE_CLOCK } from '../cluster/fake-clock.ts';
import type { Nemesis } from './nemesis.ts';

/** The wall clock of a server's host is wrong, forward or back; leases are on the database's clock and must not care. */
export const clockJump: Nemesis = {
  name: 'clock-jump',
  summary: 'the wall clock of a master jumps, seconds to hours, and back',
  holdSeconds: [3, 10],
  obstacle: ({ servers }) =>
    FAKE_CLOCK === undefined || servers.every(({ clockFile }) => clockFile === undefined)
      ? 'libfaketime is not installed'
      : undefined,
  begin: async ({ cluster, random, victims }) => {
    const server = victims.take(
      cluster.servers.filter(({ clockFile }) => clockFile !== undefined),
      random,
    );
    const seconds = random.pick([-3600, -30, -5, 5, 30, 3600]);
    FAKE_CLOCK?.move(server.clockFile ?? '', seconds);
    return {
      target: `${server.name}, ${seconds} s`,
      heal: async () => {
        const seen = await dateOf(`http://${server.clients.host}:${server.clients.port}/healthz`);
        FAKE_CLOCK?.move(server.clockFile ?? '', 0);
        victims.release(server);
        const off = seen === undefined ? undefined : Math.round((seen - Date.now()) / 1000);
        const bit = off !== undefined && Math.abs(off - seconds) <= 3;
        return { bit, proof: off === undefined ? 'it did not answer' : `it took the time for ${off} s off` };
      },
    };
  },
};

/** By the `Date` of an answer of its own. */
async function dateOf(url: string): Promise<number | undefined> {
  try {
    const date = (await fetch(url, { signal: AbortSignal.timeout(5000) })).headers.get('date');
    return date === null ? undefined : Date.parse(date);
  } catch {
    return undefined;
  }
}
