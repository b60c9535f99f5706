import type { TestContext } from 'node:test';
import type { TriggerDefinition, WorkflowDefinition } from '@keelson/core';
import { systemClock } from '@keelson/core/system';
import { openMemoryDatabase } from '../memory/database.ts';
import { newTables } from '../memory/schema.ts';
import type { MemoryDatabase } from '../memory/database.ts';
import { memorySchedules } from '../memory/schedules.ts';
import { openMemorySession } from '../memory/session.ts';
import { openPool } from '../postgres/connection/connection.ts';
import { ensurePartition, instanceIds } from '../postgres/schema/partitions.ts';
import type { NextId } from '../postgres/schema/partitions.ts';
import { openSession, poolRunner } from '../postgres/connection/session.ts';
import type { OpenSession } from '../postgres/connection/session.ts';
import type pg from 'pg';
import { migratedDatabase } from '../testing/migrated.ts';

export type Row = Readonly<Record<string, unknown>>;

/** A database that the engine can live on, seen from outside. */
export interface Subject {
  readonly open: OpenSession;
  readonly nextId: NextId;
  /** Committed rows, in the driver's shapes; columns that hold times are left out. */
  rows(table: string): Promise<Row[]>;
  /** Lets an incarnation's lease be over, and be a short one. */
  endLease(incarnationId: string): Promise<void>;
  /** Lets all delays be over. */
  endDelays(): Promise<void>;
  /** A schedule of workflow 1 in its version 1, which is made if it is not there. Answers its id. */
  addSchedule(schedule: NewSchedule): Promise<string>;
  /** Its next time is this one, and it waits for nothing: as after an edit. */
  moveSchedule(id: string, dueMs: number): Promise<void>;
  /** Somebody pauses it: it has no next time. */
  pauseSchedule(id: string): Promise<void>;
  /** How many transactions wait for another one. */
  waiting(): Promise<number>;
}

export interface NewSchedule {
  readonly trigger: TriggerDefinition;
  /** When it is due; absent: only by what it awaits. */
  readonly dueMs?: number;
  readonly awaiting?: string;
}

/** One behaviour; the definition is what its instances are made of, if it starts any. */
export type Cases = Readonly<Record<string, (t: TestContext, subject: Subject) => Promise<void>>>;

export type OpenSubject = (t: TestContext) => Promise<Subject>;
export type { WorkflowDefinition };

/** Short, so that the tests of waiting do not wait for long (milliseconds). */
export const LOCK_TIMEOUT_MS = 4000;
const DEADLOCK_MS = 100;
/** Longer than any of these tests holds a lock. */
const IDLE_MS = 20_000;

const EMPTIED = Object.keys(newTables());

const TIMES = /(_at|_until|^at|_time|^not_before)$/;

/** A row without its times, bigint as text. */
function seen(row: Row): Row {
  const kept = Object.entries(row).filter(([name]) => !TIMES.test(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, name === 'revision' ? String(value) : value]));
}

export const postgresSubject: OpenSubject = async (t) => (await postgresSubjects(t))();

/** One after the other by instance and task: all at the same moment would be taken in the order of the heap. */
const END_DELAYS = `
  update delayed d set due_at = clock_timestamp() - interval '1 ms' + o.place * interval '1 microsecond'
    from (select ctid, row_number() over (order by instance_id, task collate "C") as place from delayed) o where d.ctid = o.ctid`;

/** Subjects over one database, which each of them finds empty. */
export async function postgresSubjects(t: TestContext): Promise<() => Promise<Subject>> {
  const { url } = await migratedDatabase(t);
  const pool = openPool({ url, applicationName: 'look' }, 4);
  t.after(() => pool.end());
  const limits = {
    lock_timeout: String(LOCK_TIMEOUT_MS),
    deadlock_timeout: String(DEADLOCK_MS),
    idle_in_transaction_session_timeout: String(IDLE_MS),
  };
  const settings = { url, applicationName: 'subject', settings: limits };
  let used = false;
  return async () => {
    if (used) await empty(pool);
    used = true;
    return over(pool, (bounds) => openSession(settings, bounds));
  };
}

async function empty(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'keelson'::regnamespace and relkind in ('r', 'p') and not relispartition
        and relname in (select unnest($1::text[]))`,
    [EMPTIED],
  );
  await pool.query(`truncate ${rows.map(({ name }) => name).join(', ')} restart identity`);
  for (const sequence of ['instance_id', 'attempt_id', 'backfill_id'])
    await pool.query(`alter sequence ${sequence} restart`);
}

function over(pool: pg.Pool, open: OpenSession): Subject {
  const runner = poolRunner(pool);
  return {
    open,
    nextId: instanceIds(runner, (index) => ensurePartition(pool, index)),
    rows: async (table) => (await pool.query<Record<string, unknown>>(`select * from ${table}`)).rows.map(seen),
    endLease: async (incarnation) => {
      const ended = "set lease_until = clock_timestamp() - interval '1 second', lease_ms = 1";
      await pool.query(`update worker_incarnation ${ended} where id = $1`, [incarnation]);
    },
    endDelays: async () => void (await pool.query(END_DELAYS)),
    addSchedule: async ({ trigger, dueMs, awaiting = null }) => {
      await pool.query(`insert into project (id, name) overriding system value values (1, 'p') on conflict do nothing`);
      await pool.query(
        `insert into workflow (id, project_id, name, latest_version) overriding system value values (1, 1, 'w', 1) on conflict do nothing`,
      );
      await pool.query(
        `insert into workflow_version (id, workflow_id, version, hash, definition, task_count, source, created_by) overriding system value
         values (1, 1, 1, 'h', '{"params": {}}', 1, 's', 't') on conflict do nothing`,
      );
      const due = dueMs === undefined ? null : new Date(dueMs);
      const { rows } = await pool.query<{ id: string }>(
        `insert into schedule (workflow_id, version_id, trigger_id, trigger, next_due, next_at, awaiting) values (1, 1, $1, $2, $3, $3, $4) returning id`,
        [trigger.id, JSON.stringify(trigger), due, awaiting],
      );
      return rows[0]?.id ?? '';
    },
    moveSchedule: async (id, dueMs) => {
      await pool.query('update schedule set next_due = $2, next_at = $2, awaiting = null where id = $1', [
        id,
        new Date(dueMs),
      ]);
    },
    pauseSchedule: async (id) => {
      await pool.query(
        `update schedule set paused_at = now(), paused_by = 'x', next_due = null, next_at = null where id = $1`,
        [id],
      );
    },
    waiting: async () => {
      const text =
        "select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name = 'subject' and wait_event_type = 'Lock'";
      return (await pool.query<{ n: number }>(text)).rows[0]?.n ?? 0;
    },
  };
}

export const memorySubject: OpenSubject = async () => {
  const clock = { now: () => performance.timeOrigin + performance.now(), after: systemClock.after };
  const database = openMemoryDatabase({
    clock,
    lockTimeoutMs: LOCK_TIMEOUT_MS,
    deadlockMs: DEADLOCK_MS,
    idleInTransactionMs: IDLE_MS,
  });
  return memorySubjectOf(database);
};

/** A subject over a database in memory, whatever its clock. */
export function memorySubjectOf(database: MemoryDatabase): Subject {
  let sessions = 0;
  const open: OpenSession = () => openMemorySession(database, 'subject', sessions++);
  const runner = open();
  const { clock } = database;
  const schedules = memorySchedules(database);
  const of = { projectId: '1', project: 'p', workflow: 'w', taskCount: 1, params: {}, projectParams: {} };
  database.lookUpIn({ tasksOf: () => [], holdsToken: () => false, versionOf: () => of });
  return {
    open,
    nextId: instanceIds(runner, async () => undefined),
    rows: async (table) => (database.dump()[table] ?? []).map((row) => seen(row as Row)),
    endLease: async (incarnation) => {
      await change(database, (it, { worker_incarnation }) => {
        const found = it.byKey(worker_incarnation, incarnation);
        if (found === undefined) return [];
        return it.update(found, (row) => ({ ...row, lease_until: clock.now() - 1000, lease_ms: 1 }));
      });
    },
    endDelays: async () => {
      await change(database, function* (it, { delayed }) {
        const inOrder = it
          .all(delayed)
          .toSorted(({ row: one }, { row: other }) =>
            one.instance_id === other.instance_id
              ? one.task < other.task
                ? -1
                : 1
              : Number(one.instance_id) - Number(other.instance_id),
          );
        for (const [place, found] of inOrder.entries())
          yield* it.update(found, (row) => ({ ...row, due_at: clock.now() - 1 + place / 1000 }));
      });
    },
    addSchedule: ({ trigger, dueMs = null, awaiting = null }) =>
      schedules.add({
        workflow_id: '1',
        version_id: '1',
        trigger_id: trigger.id,
        trigger,
        next_due: dueMs,
        next_at: dueMs,
        awaiting,
      }),
    moveSchedule: (id, dueMs) =>
      schedules.change(id, (row) => ({ ...row, next_due: dueMs, next_at: dueMs, awaiting: null })),
    pauseSchedule: (id) =>
      schedules.change(id, (row) => ({ ...row, paused_at: 1, paused_by: 'x', next_due: null, next_at: null })),
    waiting: async () => database.transactions.waiting(),
  };
}

type Change = (...of: Parameters<Parameters<MemoryDatabase['execute']>[1]>) => Iterable<unknown>;

async function change(database: MemoryDatabase, make: Change): Promise<void> {
  const tx = database.transactions.begin();
  await database.execute(tx, function* (it, tables) {
    for (const step of make(it, tables)) yield step as Promise<void>;
    return [];
  });
  database.commit(tx);
}
