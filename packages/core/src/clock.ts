/**
 * Time as one process sees it. Whoever waits or measures is given a clock, so that a simulation can stand in for it. Nothing that several
 * processes must agree on is decided by it: that is the database's clock.
 */
export interface Clock {
  /** Milliseconds, monotonic; its zero means nothing. */
  now(): number;
  /** Calls back once, after at least so many milliseconds; the returned function cancels. */
  after(ms: number, callback: () => void): () => void;
  /** Calls back once, after the turn of the event loop that is under way: what comes in one turn can go together. */
  soon(callback: () => void): void;
}

/** Waits, or returns early when the signal aborts. Never throws. */
export function sleep(clock: Pick<Clock, 'after'>, ms: number, signal?: AbortSignal): Promise<void> {
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
export async function within(clock: Pick<Clock, 'after'>, ms: number, promise: Promise<unknown>): Promise<boolean> {
  const late = new AbortController();
  const settled = promise.then(
    () => true,
    () => true,
  );
  const inTime = await Promise.race([settled, sleep(clock, ms, late.signal).then(() => false)]);
  late.abort();
  return inTime;
}
