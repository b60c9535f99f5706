/** Time as the worker sees it. Monotonic; its zero means nothing. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  /** Calls back once; the returned function cancels. */
  after(ms: number, callback: () => void): () => void;
}

/** 25 days; Node fires at once what is to wait longer. */
const LONGEST_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    if (ms <= LONGEST_TIMER_MS) {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    }
    let cancel = systemClock.after(
      LONGEST_TIMER_MS,
      () => (cancel = systemClock.after(ms - LONGEST_TIMER_MS, callback)),
    );
    return () => cancel();
  },
};

/** Waits, or returns early when the signal aborts. Never throws. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const over = (): void => {
      cancel();
      signal?.removeEventListener('abort', over);
      resolve();
    };
    const cancel = clock.after(ms, over);
    signal?.addEventListener('abort', over);
  });
}

/** True once the promise has settled; false when it has not within `ms`. */
export async function within(clock: Clock, ms: number, promise: Promise<unknown>): Promise<boolean> {
  const late = new AbortController();
  const settled = promise.then(
    () => true,
    () => true,
  );
  const inTime = await Promise.race([settled, sleep(clock, ms, late.signal).then(() => false)]);
  late.abort();
  return inTime;
}

/** The wait before try `failures + 1`: doubles from `firstMs` to `mostMs`, each time between half of it and all of it. */
export function backoffMs(failures: number, firstMs: number, mostMs: number): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(failures, 20));
  return full * (0.5 + Math.random() / 2);
}
