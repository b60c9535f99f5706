import { openEventQueue } from './event-queue.ts';
import type { Dice } from './random.ts';

/** Simulated time, of which there is one for all. Nodes see it through clocks of their own, which may run wrong. */
export interface Timeline {
  /** Milliseconds since the beginning. */
  now(): number;
  /** The returned function cancels. */
  after(ms: number, run: () => void): () => void;
  sleep(ms: number): Promise<void>;
  /** Events that have happened. */
  readonly count: number;
  /**
   * Lets one event happen after the other, each with everything that follows from it at once (all promises that can settle have settled)
   * before the next, until `over` says so, nothing is left, or `untilMs` has come.
   */
  run(untilMs: number, over: () => boolean): Promise<void>;
}

/** Time goes in steps, so that a wait of a rounding error still gets somewhere. A power of two: exact in binary. */
const TICKS_PER_MS = 1024;

export function openTimeline(dice: Dice): Timeline {
  const queue = openEventQueue();
  let now = 0;
  let count = 0;
  const after = (ms: number, run: () => void): (() => void) => {
    const happening = {
      at: ms > 0 ? Math.ceil((now + ms) * TICKS_PER_MS) / TICKS_PER_MS : now,
      tie: dice.fraction(),
      run: run as (() => void) | undefined,
    };
    queue.add(happening);
    return () => {
      happening.run = undefined;
    };
  };
  return {
    now: () => now,
    after,
    sleep: (ms) => new Promise((resolve) => after(ms, resolve)),
    get count() {
      return count;
    },
    run: async (untilMs, over) => {
      for (let next = queue.next(); next !== undefined; next = queue.next()) {
        if (next.run === undefined) continue;
        if (next.at > untilMs) {
          queue.add(next);
          now = untilMs;
          return;
        }
        now = next.at;
        count++;
        next.run();
        await settled();
        if (over()) return;
      }
    },
  };
}

/** Everything that only waits for promises has run when the event loop turns. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
