import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from './database.ts';

/** What PostgreSQL counted, without the bench's own looks. */
export interface Counters {
  readonly commits: number;
  readonly walBytes: number;
  readonly inserts: number;
  readonly updates: number;
  readonly hotUpdates: number;
  readonly deletes: number;
}

/** Counters over some tasks. */
export interface Cost {
  readonly tasks: number;
  readonly commits: number;
  readonly commitsPerTask: number;
  readonly walBytesPerTask: number;
  readonly rowWritesPerTask: number;
  readonly insertsPerTask: number;
  readonly updatesPerTask: number;
  readonly deletesPerTask: number;
  /** Share of the updates that touched no index. */
  readonly hotShare: number | null;
}

const READ = `
  select (select xact_commit from pg_stat_database where datname = current_database())::float8 as commits,
         pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as "walBytes",
         coalesce(sum(n_tup_ins), 0)::float8 as inserts, coalesce(sum(n_tup_upd), 0)::float8 as updates,
         coalesce(sum(n_tup_hot_upd), 0)::float8 as "hotUpdates", coalesce(sum(n_tup_del), 0)::float8 as deletes
    from pg_stat_user_tables where schemaname = 'keelson'`;

/** A session tells its counts at its next transaction, and an idle one 10 s after its last. */
const TOLD_AFTER_MS = 10_500;

export async function readCounters(database: Database): Promise<Counters> {
  // This session's own count has to be told before it can be taken off.
  await database.rows('select pg_stat_force_next_flush()');
  const [row] = await database.rows(READ);
  if (row === undefined) throw new Error('PostgreSQL keeps no statistics');
  const counted = row as unknown as Counters;
  return { ...counted, commits: counted.commits - database.ownTransactions() };
}

/** The same when every session has told what it did. */
export async function settledCounters(database: Database): Promise<Counters> {
  await pause(TOLD_AFTER_MS);
  return readCounters(database);
}

export function costBetween(before: Counters, after: Counters, tasks: number): Cost {
  const delta = (name: keyof Counters): number => after[name] - before[name];
  const each = (value: number): number => Math.round((value / tasks) * 1000) / 1000;
  const updates = delta('updates');
  return {
    tasks,
    commits: delta('commits'),
    commitsPerTask: each(delta('commits')),
    walBytesPerTask: Math.round(delta('walBytes') / tasks),
    rowWritesPerTask: each(delta('inserts') + updates + delta('deletes')),
    insertsPerTask: each(delta('inserts')),
    updatesPerTask: each(updates),
    deletesPerTask: each(delta('deletes')),
    hotShare: updates === 0 ? null : Math.round((delta('hotUpdates') / updates) * 1000) / 1000,
  };
}
