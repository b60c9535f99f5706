import { forgetVersions } from './table.ts';
import type { Tuple } from './table.ts';
import { sessionEnded, sqlError } from './sql-error.ts';

/** A transaction. `commit` is its place in the order of all commits. */
export interface Tx {
  state: 'open' | 'committed' | 'aborted';
  commit: number;
  readonly startedAt: number;
  /** Number of the statement under way: what it writes itself it does not see. */
  statement: number;
  readonly touched: Set<Tuple>;
  wrote: boolean;
}

/** What a statement may see: all commits up to its beginning, and its own transaction's earlier statements. */
export interface Snapshot {
  readonly tx: Tx;
  readonly statement: number;
  readonly commits: number;
}

/** A clock and its timer: milliseconds. The clock is the database's, which need not be anybody else's. */
export interface MemoryClock {
  now(): number;
  /** Answers how to call it off. */
  after(ms: number, then: () => void): () => void;
}

export interface WaitLimits {
  /** As `lock_timeout`. */
  readonly lockTimeoutMs: number;
  /** As `deadlock_timeout`: how long a wait lasts before it is checked whether it can end at all. */
  readonly deadlockMs: number;
}

interface Waiter {
  readonly tx: Tx;
  readonly blockers: () => readonly Tx[];
  resolve(): void;
  reject(error: unknown): void;
}

/** All transactions, their order and their waits. */
export interface Transactions {
  begin(): Tx;
  snapshot(tx: Tx): Snapshot;
  commit(tx: Tx): void;
  abort(tx: Tx): void;
  /**
   * Resolves when one of the blockers may be out of the way: look again.
   *
   * @throws 40P01 in a deadlock, 55P03 after the lock timeout, 57P01 when the waiting transaction is ended from outside
   */
  wait(tx: Tx, blockers: () => readonly Tx[]): Promise<void>;
  readonly open: ReadonlySet<Tx>;
  /** How many wait for another one now. */
  waiting(): number;
}

export function createTransactions(clock: MemoryClock, limits: WaitLimits): Transactions {
  const open = new Set<Tx>();
  const waiters = new Set<Waiter>();
  let commits = 0;

  const ended = (tx: Tx): void => {
    open.delete(tx);
    for (const tuple of tx.touched) tuple.locks.delete(tx);
    for (const waiter of waiters) if (waiter.tx === tx) waiter.reject(sessionEnded());
    for (const waiter of waiters) waiter.resolve();
  };
  const waitsFor = (tx: Tx): readonly Tx[] => [...waiters].find((waiter) => waiter.tx === tx)?.blockers() ?? [];
  const isDeadlock = (tx: Tx): boolean => {
    const seen = new Set<Tx>();
    const next = [...waitsFor(tx)];
    for (let one = next.pop(); one !== undefined; one = next.pop()) {
      if (one === tx) return true;
      if (seen.has(one)) continue;
      seen.add(one);
      next.push(...waitsFor(one));
    }
    return false;
  };

  return {
    open,
    waiting: () => waiters.size,
    begin: () => {
      const tx: Tx = {
        state: 'open',
        commit: 0,
        startedAt: clock.now(),
        statement: 0,
        touched: new Set(),
        wrote: false,
      };
      open.add(tx);
      return tx;
    },
    snapshot: (tx) => ({ tx, statement: ++tx.statement, commits }),
    commit: (tx) => {
      if (tx.state !== 'open') return;
      tx.state = 'committed';
      tx.commit = ++commits;
      ended(tx);
    },
    abort: (tx) => {
      if (tx.state !== 'open') return;
      tx.state = 'aborted';
      for (const tuple of tx.touched) undo(tuple, tx);
      ended(tx);
    },
    wait: (tx, blockers) =>
      new Promise((resolve, reject) => {
        const timers: (() => void)[] = [];
        const settle = (then: () => void) => (): void => {
          if (!waiters.delete(waiter)) return;
          for (const cancel of timers) cancel();
          then();
        };
        const waiter: Waiter = { tx, blockers, resolve: settle(resolve), reject: (e) => settle(() => reject(e))() };
        waiters.add(waiter);
        timers.push(
          clock.after(limits.deadlockMs, () => {
            if (isDeadlock(tx)) waiter.reject(sqlError('40P01', 'deadlock detected'));
          }),
          clock.after(limits.lockTimeoutMs, () =>
            waiter.reject(sqlError('55P03', 'canceling statement due to lock timeout')),
          ),
        );
      }),
  };
}

function undo(tuple: Tuple, tx: Tx): void {
  for (const version of tuple.versions) if (version.deletedBy === tx) version.deletedBy = undefined;
  const made = tuple.versions.filter(({ by }) => by === tx);
  if (made.length > 0) forgetVersions(tuple, made);
}
