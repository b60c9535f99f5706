import { sessionEnded, sqlError } from './sql-error.ts';
import type { MemoryClock, Tx } from './transaction.ts';

export interface WaitLimits {
  /** As `lock_timeout`. */
  readonly lockTimeoutMs: number;
  /** As `deadlock_timeout`: how long a wait lasts before it is looked at whether it can end at all. */
  readonly deadlockMs: number;
}

interface Waiter {
  readonly tx: Tx;
  readonly blockers: () => readonly Tx[];
  resolve(): void;
  reject(error: unknown): void;
}

/** Transactions that wait for others, first come, first served. */
export interface Waits {
  /**
   * Resolves when one of the blockers may be out of the way: look again.
   *
   * @throws 40P01 in a deadlock, 55P03 after the lock timeout, 57P01 when the waiting transaction is ended from outside
   */
  wait(tx: Tx, blockers: () => readonly Tx[]): Promise<void>;
  /** A transaction has ended: everybody looks again, but for itself. */
  ended(tx: Tx): void;
  count(): number;
}

export function createWaits(clock: MemoryClock, limits: WaitLimits): Waits {
  const waiters = new Set<Waiter>();
  const wait = (tx: Tx, blockers: () => readonly Tx[]): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timers: (() => void)[] = [];
    const over = (then: () => void): void => {
      if (!waiters.delete(waiter)) return;
      for (const cancel of timers) cancel();
      then();
    };
    const waiter: Waiter = {
      tx,
      blockers,
      resolve: () => over(resolve),
      reject: (error) => over(() => reject(error)),
    };
    waiters.add(waiter);
    timers.push(
      clock.after(limits.deadlockMs, () => {
        if (isDeadlock(waiters, tx)) waiter.reject(sqlError('40P01', 'deadlock detected'));
      }),
      clock.after(limits.lockTimeoutMs, () =>
        waiter.reject(sqlError('55P03', 'canceling statement due to lock timeout')),
      ),
    );
    return promise;
  };
  return {
    wait,
    ended: (tx) => {
      for (const waiter of waiters)
        if (waiter.tx === tx) waiter.reject(sessionEnded());
        else waiter.resolve();
    },
    count: () => waiters.size,
  };
}

/** Whether the transaction waits, by way of others, for itself. */
function isDeadlock(waiters: ReadonlySet<Waiter>, tx: Tx): boolean {
  const waitsFor = (one: Tx): readonly Tx[] => [...waiters].find((waiter) => waiter.tx === one)?.blockers() ?? [];
  const seen = new Set<Tx>();
  const next = [...waitsFor(tx)];
  for (let one = next.pop(); one !== undefined; one = next.pop()) {
    if (one === tx) return true;
    if (seen.has(one)) continue;
    seen.add(one);
    next.push(...waitsFor(one));
  }
  return false;
}
