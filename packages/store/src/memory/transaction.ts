import { forgetVersions } from './table.ts';
import type { Tuple } from './table.ts';
import { createWaits } from './waits.ts';
import type { WaitLimits, Waits } from './waits.ts';

/** A transaction. `commit` is its place in the order of all commits. */
export interface Tx {
  state: 'open' | 'committed' | 'aborted';
  commit: number;
  readonly startedAt: number;
  /** Number of the statement under way: what it writes itself it does not see. */
  statement: number;
  /** Rows that it has locked or written. */
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

/** All transactions, their order and their waits. */
export interface Transactions {
  begin(): Tx;
  snapshot(tx: Tx): Snapshot;
  commit(tx: Tx): void;
  abort(tx: Tx): void;
  readonly wait: Waits['wait'];
  /** How many wait for another one now. */
  waiting(): number;
  readonly open: ReadonlySet<Tx>;
}

export function createTransactions(clock: MemoryClock, limits: WaitLimits): Transactions {
  const open = new Set<Tx>();
  const waits = createWaits(clock, limits);
  let commits = 0;
  const ended = (tx: Tx): void => {
    open.delete(tx);
    for (const tuple of tx.touched) tuple.locks.delete(tx);
    waits.ended(tx);
  };
  return {
    open,
    wait: waits.wait,
    waiting: waits.count,
    begin: () => {
      const startedAt = clock.now();
      const tx: Tx = { state: 'open', commit: 0, startedAt, statement: 0, touched: new Set(), wrote: false };
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
  };
}

function undo(tuple: Tuple, tx: Tx): void {
  for (const version of tuple.versions) if (version.deletedBy === tx) version.deletedBy = undefined;
  const made = tuple.versions.filter(({ by }) => by === tx);
  if (made.length > 0) forgetVersions(tuple, made);
}
