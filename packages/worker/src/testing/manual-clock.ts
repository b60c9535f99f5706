import type { Clock } from '@keelson/core';

/** A clock that moves only when told to. */
export interface ManualClock extends Clock {
  /** Moves on step by step, lets promises settle after each timer. */
  advance(ms: number): Promise<void>;
}

export function manualClock(): ManualClock {
  let time = 0;
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  return {
    now: () => time,
    after(ms, callback) {
      const timer = { at: time + ms, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    soon: (callback) => void setImmediate(callback),
    async advance(ms) {
      const until = time + ms;
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve));
        const next = [...timers].filter((timer) => timer.at <= until).toSorted((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers.delete(next);
        time = Math.max(time, next.at);
        next.callback();
      }
      time = until;
    },
  };
}
