/**
 * Runs work in batches without a delay of its own: an item that comes while nothing is under way goes at once, one that
 * comes while a batch is under way goes with the next. So batches are as large as the database is busy, and no larger.
 */
export interface Batcher<T> {
  add(item: T): void;
  /** Resolves when nothing is queued or under way. */
  idle(): Promise<void>;
}

/**
 * @param lanes batches that may be under way at once
 * @param run must not reject: what cannot be done it must answer for itself
 */
export function createBatcher<T>(limit: number, lanes: number, run: (items: T[]) => Promise<void>): Batcher<T> {
  let queue: T[] = [];
  let underWay = 0;
  let scheduled = false;
  let resting: (() => void)[] = [];

  const pump = (): void => {
    scheduled = false;
    while (queue.length > 0 && underWay < lanes) {
      const items = queue.length <= limit ? queue : queue.slice(0, limit);
      queue = queue.length <= limit ? [] : queue.slice(limit);
      underWay++;
      void run(items).finally(() => {
        underWay--;
        pump();
      });
    }
    if (underWay === 0 && queue.length === 0) {
      for (const rest of resting) rest();
      resting = [];
    }
  };

  return {
    add: (item) => {
      queue.push(item);
      if (scheduled || underWay >= lanes) return;
      // What arrives in the same turn of the event loop goes together.
      scheduled = true;
      setImmediate(pump);
    },
    idle: () =>
      underWay === 0 && queue.length === 0 ? Promise.resolve() : new Promise((resolve) => resting.push(resolve)),
  };
}
