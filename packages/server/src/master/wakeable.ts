/**
 * A loop that sleeps until it is woken or until it said it wants to look again. A wake-up that comes while it works is not lost: it
 * works once more.
 */
export interface WakeableLoop {
  wake(): void;
  /** Ends after the round under way. */
  stop(): Promise<void>;
}

/**
 * @param round one look; answers after how many milliseconds to look again, at the latest
 * @param failed told of a round that threw; answers how long to wait before the next
 */
export function startLoop(round: () => Promise<number>, failed: (error: unknown) => number): WakeableLoop {
  let woken = true;
  let stopped = false;
  let rouse: (() => void) | undefined;

  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => rouse?.(), ms);
      rouse = () => {
        clearTimeout(timer);
        rouse = undefined;
        resolve();
      };
    });

  const run = async (): Promise<void> => {
    while (!stopped) {
      woken = false;
      const wait = await round().catch(failed);
      if (!woken && !stopped && wait > 0) await sleep(wait);
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
