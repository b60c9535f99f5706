import type pg from 'pg';
import type { ObjectStore } from '../../blobs/object-store.ts';
import type { Removed } from '../../retention.ts';

/** One run of the removal, as far as it has come. Everything is on one connection, which holds the lock that only one can have. */
export interface Work {
  readonly client: pg.Client;
  /** Where the bytes of logs are; absent: in their rows. */
  readonly objects: ObjectStore | undefined;
  readonly removed: { -readonly [Key in keyof Removed]: Removed[Key] };
  /** Something was in use, or the run was stopped: there is more to do. */
  more: boolean;
  stopped(): boolean;
  pause(tookMs: number): Promise<void>;
}

/** Runs a removing statement and then gives others their turn. Answers how many rows it removed. */
export async function remove(work: Work, text: string, values: readonly unknown[]): Promise<number> {
  const began = performance.now();
  const { rowCount } = await work.client.query(text, [...values]);
  const count = rowCount ?? 0;
  if (count > 0) await work.pause(performance.now() - began);
  return count;
}

/** Removes piece after piece, until nothing is left or the run is stopped. Answers how many rows. */
export async function removeAll(work: Work, text: string, values: readonly unknown[]): Promise<number> {
  let all = 0;
  for (;;) {
    if (work.stopped()) {
      work.more = true;
      return all;
    }
    const count = await remove(work, text, values);
    all += count;
    if (count === 0) return all;
  }
}
