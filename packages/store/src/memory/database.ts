import type { Execution, Machine, Steps } from './execution.ts';
import { beginStatement } from './execution.ts';
import { newTables } from './schema.ts';
import type { Tables } from './schema.ts';
import { vacuum } from './table.ts';
import type { Table, Tuple } from './table.ts';
import { createTransactions } from './transaction.ts';
import type { MemoryClock, Transactions, Tx } from './transaction.ts';

export interface DatabaseOptions {
  readonly clock: MemoryClock;
  /**
   * Asked before a row lock is taken, when the statement has its snapshot already: a promise lets others run meanwhile. Absent: a statement
   * runs in one piece until it has to wait.
   */
  readonly pause?: () => Promise<void> | undefined;
  /** The sessions' settings of the same names (milliseconds). */
  readonly lockTimeoutMs?: number;
  readonly deadlockMs?: number;
  readonly idleInTransactionMs?: number;
}

/** Rows as the driver answers them. */
export type Answer = Record<string, unknown>[];

/** One statement: reads and writes through the execution, and answers. One that never waits need not be steps. */
export type Statement = (it: Execution, tables: Tables) => Steps<Answer> | Answer;

/** Tables that statements of the masters look into and that are kept elsewhere. */
export type Kept = Pick<Machine, 'tasksOf' | 'holdsToken' | 'versionOf'>;

/** What a commit changed: names of tables, and the instances that the rows belong to. */
export interface Changed {
  readonly tables: ReadonlySet<string>;
  readonly instances: ReadonlySet<string>;
}

/** A server with one database in memory, which outlives everybody who is connected to it. */
export interface MemoryDatabase {
  readonly clock: MemoryClock;
  readonly tables: Tables;
  readonly transactions: Transactions;
  readonly idleInTransactionMs: number;
  /** Runs one statement in a transaction. */
  execute(tx: Tx, statement: Statement): Promise<Answer>;
  /** What stands for the tables of versions and tokens. */
  lookUpIn(keep: Kept): void;
  /** Told after each commit that wrote something. Answers how to end it. */
  onCommit(heard: (changed: Changed) => void): () => void;
  /** Told when the server goes down: every session is over. */
  onRestart(heard: () => void): () => void;
  commit(tx: Tx): void;
  /**
   * Goes down at once and comes up again: what was not committed is rolled back, leases start their grace time.
   *
   * @param timeline another one after a failover
   */
  restart(timeline?: number): void;
  /** Committed rows of all tables by name, for looking at: times in milliseconds. */
  dump(): Record<string, unknown[]>;
}

const DEFAULTS = { lockTimeoutMs: 3000, deadlockMs: 1000, idleInTransactionMs: 3000 };

export function openMemoryDatabase(options: DatabaseOptions): MemoryDatabase {
  const { clock, pause = () => undefined } = options;
  const limits = { ...DEFAULTS, ...options };
  const transactions = createTransactions(clock, limits);
  const tables = newTables();
  const sequences = new Map<string, bigint>();
  const soiled = new Set<Tuple>();
  let kept: Kept = { tasksOf: () => [], holdsToken: () => false, versionOf: () => undefined };
  const commitHeard = new Set<(changed: Changed) => void>();
  const restartHeard = new Set<() => void>();
  const server = { upSince: clock.now(), timeline: 1 };
  let running = 0;
  const machine: Machine = {
    clock,
    transactions,
    pause,
    upSince: () => server.upSince,
    timeline: () => server.timeline,
    soiled: (tuple) => void soiled.add(tuple),
    tasksOf: (versionId) => kept.tasksOf(versionId),
    holdsToken: (id) => kept.holdsToken(id),
    versionOf: (versionId) => kept.versionOf(versionId),
    tryAdvisoryLock: advisoryLocks(),
    next: (sequence) => {
      const value = (sequences.get(sequence) ?? 0n) + 1n;
      sequences.set(sequence, value);
      return value.toString();
    },
  };
  /** Versions are only seen by statements that are under way. */
  const clean = (): void => {
    if (running > 0) return;
    for (const tuple of soiled) {
      vacuum(tuple);
      if (tuple.versions.every(({ deletedBy }) => deletedBy === undefined)) soiled.delete(tuple);
    }
  };
  return {
    clock,
    tables,
    transactions,
    idleInTransactionMs: limits.idleInTransactionMs,
    execute: async (tx, statement) => {
      running++;
      try {
        const steps = statement(beginStatement(machine, tx), tables);
        return Array.isArray(steps) ? steps : await drive(steps);
      } finally {
        running--;
        clean();
      }
    },
    lookUpIn: (keep) => void (kept = keep),
    onCommit: (heard) => listen(commitHeard, heard),
    onRestart: (heard) => listen(restartHeard, heard),
    commit: (tx) => {
      transactions.commit(tx);
      clean();
      if (!tx.wrote || commitHeard.size === 0) return;
      const changed = changedBy(tx);
      for (const heard of commitHeard) heard(changed);
    },
    restart: (timeline = server.timeline) => {
      for (const heard of restartHeard) heard();
      for (const tx of transactions.open) transactions.abort(tx);
      server.upSince = clock.now();
      server.timeline = timeline;
    },
    dump: () => Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, committedRows(table)])),
  };
}

/** Each held by one transaction until that ends. */
function advisoryLocks(): Machine['tryAdvisoryLock'] {
  const holders = new Map<string, Tx>();
  return (key, tx) => {
    const holder = holders.get(key);
    if (holder !== undefined && holder !== tx && holder.state === 'open') return false;
    holders.set(key, tx);
    return true;
  };
}

function listen<Heard>(all: Set<Heard>, heard: Heard): () => void {
  all.add(heard);
  return () => void all.delete(heard);
}

function changedBy(tx: Tx): Changed {
  const tables = new Set<string>();
  const instances = new Set<string>();
  for (const { table, versions } of tx.touched) {
    const version = versions.find(({ by, deletedBy }) => by === tx || deletedBy === tx);
    if (version === undefined) continue;
    const { name } = table.spec;
    tables.add(name);
    const row = version.row as { readonly instance_id?: string | null; readonly id?: string };
    const instance = row.instance_id ?? (INSTANCES.has(name) ? row.id : undefined);
    if (instance !== undefined) instances.add(instance);
  }
  return { tables, instances };
}

/** Tables whose `id` is the instance's. */
const INSTANCES = new Set(['workflow_instance', 'live_instance']);

/** Runs the steps; what goes wrong in a wait goes wrong in the statement. */
async function drive<T>(steps: Steps<T>): Promise<T> {
  let step = steps.next();
  while (step.done !== true) {
    try {
      await step.value;
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next();
  }
  return step.value;
}

/** The rows of a table that are committed now. */
export function committedRows<Row>(table: Table<Row>): Row[] {
  return [...table.tuples].flatMap(({ versions }) =>
    versions
      .filter(({ by, deletedBy }) => by.state === 'committed' && deletedBy?.state !== 'committed')
      .map(({ row }) => row),
  );
}
