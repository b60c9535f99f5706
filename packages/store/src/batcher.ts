import type { Clock } from '@keelson/core';
import { systemClock } from '@keelson/core/system';

/**
 * Runs work in batches: an item that comes while nothing is under way goes at once, one that comes while a batch is under way goes with
 * the next. After a crowded batch the next one gathers for a moment first: what it costs each item is made up by fewer batches.
 */
export interface Batcher<T> {
  add(item: T): void;
  /** Resolves when nothing is queued or under way. */
  idle(): Promise<void>;
}

/** A batch of at least so many items says that many clients are at work, not one that waits for its answer. */
const CROWD = 4;
const GATHER_MS = 2;

/**
 * @param lanes batches that may be under way at once
 * @param run must not reject: what cannot be done it must answer for itself
 */
export function createBatcher<T>(
  limit: number,
  lanes: number,
  run: (items: T[]) => Promise<void>,
  clock: Pick<Clock, 'after' | 'soon'> = systemClock,
): Batcher<T> {
  let queue: T[] = [];
  let underWay = 0;
  let scheduled = false;
  let waiting: (() => void)[] = [];

  const pump = (): void => {
    scheduled = false;
    while (queue.length > 0 && underWay < lanes) {
      const items = queue.length <= limit ? queue : queue.slice(0, limit);
      queue = queue.length <= limit ? [] : queue.slice(limit);
      underWay++;
      void run(items).finally(() => finished(items.length));
    }
    if (underWay === 0 && queue.length === 0) {
      for (const rest of waiting) rest();
      waiting = [];
    }
  };

  const finished = (size: number): void => {
    underWay--;
    if (scheduled) return;
    if (size < CROWD || queue.length >= limit) return pump();
    scheduled = true;
    clock.after(GATHER_MS, pump);
  };

  return {
    add: (item) => {
      queue.push(item);
      if (scheduled || underWay >= lanes) return;
      // What arrives in the same turn of the event loop goes together.
      scheduled = true;
      clock.soon(pump);
    },
    idle: () =>
      underWay === 0 && queue.length === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve)),
  };
}
