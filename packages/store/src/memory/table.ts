import type { LockMode } from './locks.ts';
import type { Snapshot, Tx } from './transaction.ts';

/** What a table is, in the words of the migrations. */
export interface TableSpec<Row> {
  readonly name: string;
  /** The primary key first. An absent key: the row is not in this (partial) index. */
  readonly uniques: readonly { readonly name: string; of(row: Row): string | undefined }[];
  readonly checks: readonly { readonly name: string; holds(row: Row): boolean }[];
  readonly appendOnly: boolean;
  /** What of a row a trigger keeps from being updated, as text. */
  stays?(row: Row): string;
}

/** One state of a row: it exists from the transaction that wrote it to the one that deleted or replaced it. */
export interface Version<Row> {
  readonly row: Row;
  readonly by: Tx;
  readonly byStatement: number;
  deletedBy: Tx | undefined;
  deletedByStatement: number;
}

/** A row through all its versions, oldest first, and who has locked it. */
export interface Tuple<Row = unknown> {
  readonly table: Table<Row>;
  versions: Version<Row>[];
  readonly locks: Map<Tx, LockMode>;
}

/** The rows of a table, in the order in which they were inserted, and what finds them by their unique keys. */
export interface Table<Row = unknown> {
  readonly spec: TableSpec<Row>;
  readonly tuples: Set<Tuple<Row>>;
  readonly indexes: ReadonlyMap<string, Map<string, Set<Tuple<Row>>>>;
}

export function newTable<Row>(spec: TableSpec<Row>): Table<Row> {
  const indexes = new Map(spec.uniques.map(({ name }) => [name, new Map<string, Set<Tuple<Row>>>()]));
  return { spec, tuples: new Set(), indexes };
}

/** The version that a statement sees: committed before it began, or written by an earlier statement of its own transaction. */
export function visibleVersion<Row>({ versions }: Tuple<Row>, snapshot: Snapshot): Version<Row> | undefined {
  return versions.findLast(
    ({ by, byStatement, deletedBy, deletedByStatement }) =>
      sees(snapshot, by, byStatement) && !(deletedBy !== undefined && sees(snapshot, deletedBy, deletedByStatement)),
  );
}

function sees({ tx, statement, commits }: Snapshot, writer: Tx, writtenBy: number): boolean {
  if (writer === tx) return writtenBy < statement;
  return writer.state === 'committed' && writer.commit <= commits;
}

/** Tuples that have, or had in a version that may still matter, this key. */
export function candidates<Row>({ indexes }: Table<Row>, index: string, key: string): Iterable<Tuple<Row>> {
  return indexes.get(index)?.get(key) ?? [];
}

/** Makes a version findable by its keys. */
export function addToIndexes<Row>(tuple: Tuple<Row>, row: Row): void {
  for (const { name, of } of tuple.table.spec.uniques) {
    const key = of(row);
    const index = tuple.table.indexes.get(name);
    if (key === undefined || index === undefined) continue;
    const holders = index.get(key);
    if (holders === undefined) index.set(key, new Set([tuple]));
    else holders.add(tuple);
  }
}

/** Drops the versions that nobody can see any more, and the tuple with its last one. */
export function vacuum<Row>(tuple: Tuple<Row>): void {
  const gone = tuple.versions.filter(({ deletedBy }) => deletedBy?.state === 'committed');
  if (gone.length > 0) forgetVersions(tuple, gone);
}

/** Takes versions away: dead ones, or those of a transaction that was rolled back. */
export function forgetVersions<Row>(tuple: Tuple<Row>, gone: readonly Version<Row>[]): void {
  const { table } = tuple;
  tuple.versions = tuple.versions.filter((version) => !gone.includes(version));
  if (tuple.versions.length === 0) table.tuples.delete(tuple);
  for (const { name, of } of table.spec.uniques) {
    const index = table.indexes.get(name);
    const kept = new Set(tuple.versions.map(({ row }) => of(row)));
    for (const key of new Set(gone.map(({ row }) => of(row)))) {
      if (key === undefined || kept.has(key)) continue;
      const holders = index?.get(key);
      holders?.delete(tuple);
      if (holders?.size === 0) index?.delete(key);
    }
  }
}
