import { conflict, stronger } from './locks.ts';
import type { LockMode } from './locks.ts';
import { checkViolation, sessionEnded, sqlError, uniqueViolation } from './sql-error.ts';
import { addToIndexes, candidates, visibleVersion } from './table.ts';
import type { Table, Tuple, Version } from './table.ts';
import type { MemoryClock, Snapshot, Transactions, Tx } from './transaction.ts';

/** Work that stops wherever PostgreSQL would wait, and goes on when what it waits for has happened. */
export type Steps<T> = Generator<Promise<void>, T, void>;

/** A row as a statement found it. */
export interface Found<Row> {
  readonly tuple: Tuple<Row>;
  readonly row: Row;
}

/** What a statement does when somebody else's lock is in its way. */
export type IfLocked = 'wait' | 'skip';

/** A workflow version, its workflow and its project, as a fire reads them. */
export interface FiredVersion {
  readonly projectId: string;
  readonly project: string;
  readonly workflow: string;
  readonly taskCount: number;
  readonly params: unknown;
  readonly projectParams: unknown;
}

/** What the database lends to each statement. */
export interface Machine {
  readonly clock: MemoryClock;
  readonly transactions: Transactions;
  readonly upSince: () => number;
  readonly timeline: () => number;
  /** The next value of a sequence, as bigint text; never rolled back. */
  readonly next: (sequence: string) => string;
  /** A chance for others to run between a statement's snapshot and its locks. */
  readonly pause: () => Promise<void> | undefined;
  /** Task names of a workflow version; none for one that is unknown. */
  readonly tasksOf: (versionId: string) => readonly string[];
  /** What a fire needs of a workflow version; undefined for one that is unknown. */
  readonly versionOf: (versionId: string) => FiredVersion | undefined;
  /** Whether a join token is there and not revoked. */
  readonly holdsToken: (id: string) => boolean;
  /** As `pg_try_advisory_xact_lock`. */
  readonly tryAdvisoryLock: (key: string, tx: Tx) => boolean;
  /** Told of tuples that may hold dead versions from now on. */
  readonly soiled: (tuple: Tuple) => void;
}

/** One statement under way: it reads from its snapshot, and writes to what is newest. */
export interface Execution extends Machine {
  readonly snapshot: Snapshot;
  /** `now()`: when the transaction began; `clock.now()` is `clock_timestamp()`. */
  readonly startedAt: number;
  /** The visible rows, in the order in which they were inserted. */
  all<Row>(table: Table<Row>, matches?: (row: Row) => boolean): Found<Row>[];
  /** The visible row with this key: of the primary key unless another index is named. */
  byKey<Row>(table: Table<Row>, key: string, index?: string): Found<Row> | undefined;
  /**
   * Locks the newest version of the row and answers it. Undefined: it is gone, another's lock was to be skipped, or what came after the
   * snapshot no longer `matches` (PostgreSQL's EvalPlanQual).
   */
  lock<Row>(
    found: Found<Row>,
    mode: LockMode,
    ifLocked?: IfLocked,
    matches?: (row: Row) => boolean,
  ): Steps<Found<Row> | undefined>;
  /** Waits for the row's lock, checks the newest version again and changes that. Undefined: nothing was changed. */
  update<Row>(found: Found<Row>, change: (row: Row) => Row, matches?: (row: Row) => boolean): Steps<Row | undefined>;
  /** As `update`; answers the row that was deleted. */
  remove<Row>(found: Found<Row>, matches?: (row: Row) => boolean): Steps<Row | undefined>;
  /**
   * Waits for transactions that are about to write or delete a row with the same key.
   *
   * @returns undefined when `unlessTaken` names a key that is taken
   * @throws 23505, 23514
   */
  insert<Row>(table: Table<Row>, row: Row, unlessTaken?: string): Steps<Row | undefined>;
}

/** A statement's means, over the snapshot that it begins with. */
export function beginStatement(machine: Machine, tx: Tx): Execution {
  const snapshot = machine.transactions.snapshot(tx);
  const it: Execution = {
    ...machine,
    snapshot,
    startedAt: tx.startedAt,
    all: (table, matches = () => true) => {
      const found: Found<never>[] = [];
      for (const tuple of table.tuples) {
        const row = visibleVersion(tuple, snapshot)?.row;
        if (row !== undefined && matches(row)) found.push({ tuple, row } as Found<never>);
      }
      return found;
    },
    byKey: (table, key, index = primaryKey(table)) => {
      for (const tuple of candidates(table, index, key)) {
        const row = visibleVersion(tuple, snapshot)?.row;
        if (row !== undefined && keyOf(table, index, row) === key) return { tuple, row };
      }
      return undefined;
    },
    lock: (found, mode, ifLocked = 'wait', matches = () => true) => lock(it, found, mode, ifLocked, matches),
    update: (found, change, matches = () => true) => update(it, found, change, matches),
    remove: (found, matches = () => true) => remove(it, found, matches),
    insert: (table, row, unlessTaken) => insert(it, table, row, unlessTaken),
  };
  return it;
}

function primaryKey<Row>({ spec }: Table<Row>): string {
  return spec.uniques[0]?.name ?? '';
}

function keyOf<Row>({ spec }: Table<Row>, index: string, row: Row): string | undefined {
  return spec.uniques.find(({ name }) => name === index)?.of(row);
}

function* lock<Row>(
  { snapshot, transactions, pause }: Execution,
  { tuple, row: seen }: Found<Row>,
  mode: LockMode,
  ifLocked: IfLocked,
  matches: (row: Row) => boolean,
): Steps<Found<Row> | undefined> {
  const { tx } = snapshot;
  const pausing = pause();
  if (pausing !== undefined) yield pausing;
  const blockers = (): Tx[] =>
    [...tuple.locks].flatMap(([holder, held]) => (holder !== tx && conflict(mode, held) ? [holder] : []));
  while (blockers().length > 0) {
    if (ifLocked === 'skip') return undefined;
    yield transactions.wait(tx, blockers);
  }
  if (tx.state !== 'open') throw sessionEnded();
  const newest = tuple.versions.at(-1);
  if (newest === undefined || newest.deletedBy !== undefined) return undefined;
  // Its own statement has changed it already: once is enough.
  if (newest.by === tx && newest.byStatement >= snapshot.statement) return undefined;
  if (newest.row !== seen && !matches(newest.row)) return undefined;
  tuple.locks.set(tx, stronger(tuple.locks.get(tx), mode));
  tx.touched.add(tuple);
  return { tuple, row: newest.row };
}

function* update<Row>(
  it: Execution,
  found: Found<Row>,
  change: (row: Row) => Row,
  matches: (row: Row) => boolean,
): Steps<Row | undefined> {
  const { table } = found.tuple;
  const held = yield* lock(it, found, 'no key update', 'wait', matches);
  if (held === undefined) return undefined;
  if (table.spec.appendOnly) throw sqlError('23514', `${table.spec.name} is append-only`, { table: table.spec.name });
  const row = change(held.row);
  const { stays, name: relation } = table.spec;
  if (stays !== undefined && stays(held.row) !== '' && stays(held.row) !== stays(row))
    throw sqlError('23514', `a row of ${relation} belongs to somebody else`, { table: relation });
  check(table, row);
  for (const { name } of table.spec.uniques)
    if (keyOf(table, name, row) !== keyOf(table, name, held.row))
      if (yield* isTaken(it, table, name, row, held.tuple)) throw uniqueViolation(table.spec.name, name);
  end(it, held.tuple);
  write(it, held.tuple, row);
  return row;
}

function* remove<Row>(it: Execution, found: Found<Row>, matches: (row: Row) => boolean): Steps<Row | undefined> {
  const held = yield* lock(it, found, 'update', 'wait', matches);
  if (held === undefined) return undefined;
  end(it, held.tuple);
  return held.row;
}

function* insert<Row>(it: Execution, table: Table<Row>, row: Row, unlessTaken?: string): Steps<Row | undefined> {
  check(table, row);
  if (unlessTaken !== undefined && (yield* isTaken(it, table, unlessTaken, row))) return undefined;
  for (const { name } of table.spec.uniques)
    if (yield* isTaken(it, table, name, row)) throw uniqueViolation(table.spec.name, name);
  if (it.snapshot.tx.state !== 'open') throw sessionEnded();
  const tuple: Tuple<Row> = { table, versions: [], locks: new Map() };
  table.tuples.add(tuple);
  write(it, tuple, row);
  return row;
}

function check<Row>({ spec }: Table<Row>, row: Row): void {
  for (const { name, holds } of spec.checks) if (!holds(row)) throw checkViolation(spec.name, name);
}

/** Whether a row with this key is there for good; waits for those of which that is not certain yet. */
function* isTaken<Row>(
  { snapshot, transactions }: Execution,
  table: Table<Row>,
  index: string,
  row: Row,
  itself?: Tuple<Row>,
): Steps<boolean> {
  const key = keyOf(table, index, row);
  if (key === undefined) return false;
  for (;;) {
    const rivals = [...candidates(table, index, key)].filter((tuple) => tuple !== itself);
    const versions = rivals.flatMap((tuple) => tuple.versions.filter((one) => keyOf(table, index, one.row) === key));
    const undecided = versions.flatMap((version) => undecidedBy(version, snapshot.tx));
    if (undecided.length === 0) return versions.some(({ deletedBy }) => deletedBy === undefined);
    yield transactions.wait(snapshot.tx, () => undecided.filter(({ state }) => state === 'open'));
  }
}

/** The other transaction whose end decides whether the version stays. */
function undecidedBy<Row>({ by, deletedBy }: Version<Row>, tx: Tx): Tx[] {
  if (by !== tx && by.state === 'open') return [by];
  return deletedBy !== undefined && deletedBy !== tx && deletedBy.state === 'open' ? [deletedBy] : [];
}

function write<Row>({ snapshot: { tx, statement } }: Execution, tuple: Tuple<Row>, row: Row): void {
  tuple.versions.push({ row, by: tx, byStatement: statement, deletedBy: undefined, deletedByStatement: 0 });
  addToIndexes(tuple, row);
  tuple.locks.set(tx, stronger(tuple.locks.get(tx), 'no key update'));
  tx.touched.add(tuple);
  tx.wrote = true;
}

/** Ends the newest version: it is deleted, or another one follows. */
function end<Row>({ snapshot: { tx, statement }, soiled }: Execution, tuple: Tuple<Row>): void {
  const newest = tuple.versions.at(-1);
  if (newest === undefined) return;
  newest.deletedBy = tx;
  newest.deletedByStatement = statement;
  tx.wrote = true;
  soiled(tuple);
}
