import type { Clock } from '@keelson/core';

/**
 * A loop that sleeps until it is woken or until it said it wants to look again. A wake-up that comes while it works is not lost: it
 * works once more.
 */
export interface WakeableLoop {
  wake(): void;
  /** Ends after the round under way. */
  stop(): Promise<void>;
}

const LONGEST_REST_MS = 3000;

/**
 * @param round one look; answers after how many milliseconds to look again, at the latest
 * @param failed told of a round that threw; answers how long to rest, which doubles with each failure in a row
 */
export function startLoop(
  clock: Clock,
  round: () => Promise<number>,
  failed: (error: unknown) => number,
): WakeableLoop {
  let woken = true;
  let stopped = false;
  let rouse: (() => void) | undefined;

  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.after(ms, () => rouse?.());
      rouse = () => {
        cancel();
        rouse = undefined;
        resolve();
      };
    });

  const run = async (): Promise<void> => {
    let failures = 0;
    while (!stopped) {
      woken = false;
      try {
        const wait = await round();
        failures = 0;
        if (!woken && !stopped && wait > 0) await sleep(wait);
      } catch (error) {
        const wait = Math.min(failed(error) * 2 ** failures++, LONGEST_REST_MS);
        // Wake-ups do not shorten it: what fails fails for them too.
        for (const until = clock.now() + wait; !stopped && clock.now() < until;) await sleep(until - clock.now());
      }
    }
  };
  const done = run();

  return {
    wake: () => {
      woken = true;
      rouse?.();
    },
    stop: async () => {
      stopped = true;
      rouse?.();
      await done;
    },
  };
}
