import { removeAll } from './work.ts';
import type { Work } from './work.ts';

const AT_ONCE = 1000;
/** So much of unused blobs goes in one statement, unless one alone is larger. */
const BLOB_BYTES_AT_ONCE = 32 * 1024 * 1024;

const limitOf = (subject: string): string =>
  `clock_timestamp() - (select keep_ms from retention_rule where scope = 0 and subject = '${subject}') * interval '1 millisecond'`;

/** Conditions, by table, for rows past their time. A condition with null, for ever, holds for none. */
export const OLD_ROWS = {
  alerts: ['alert', `created_at < ${limitOf('alerts')} and delivered_at is not null`],
  commandErrors: ['command_error', `parked_at < ${limitOf('command-errors')}`],
  workers: [
    'worker_incarnation',
    `state = 'dead' and ended_at < ${limitOf('workers')} and not exists (select from active a where a.incarnation_id = worker_incarnation.id)`,
  ],
} as const;

/** Of a project's own rule, or the installation's. */
const limitOfWorkflow = (workflowId: string): string =>
  `clock_timestamp() - (select k.keep_ms from workflow w join retention_limit k on k.project_id = w.project_id and k.subject = 'fires'
                         where w.id = ${workflowId}) * interval '1 millisecond'`;
const limitOfSchedule = (scheduleId: string): string =>
  `(select ${limitOfWorkflow('s.workflow_id')} from schedule s where s.id = ${scheduleId})`;

/** What else is as old as the project keeps fires. The last fire of a schedule stays, and one as long as its instance does. */
const OLD_FIRES = `
  select ctid from fire f
   where f.decided_at < clock_timestamp() - (select min(keep_ms) from retention_limit where subject = 'fires') * interval '1 millisecond'
     and f.decided_at < ${limitOfSchedule('f.schedule_id')}
     and exists (select from fire n where n.schedule_id = f.schedule_id and n.due_at > f.due_at)
     and not exists (select from workflow_instance i where i.id = f.instance_id)`;
const OLD_BACKFILL = `b.state in ('done', 'cancelled') and b.ended_at < ${limitOfWorkflow('b.workflow_id')}`;
const OLD_BY_PROJECT: readonly (readonly [table: string, rows: string])[] = [
  ['fire', OLD_FIRES],
  ['schedule_event', `select e.ctid from schedule_event e where e.at < ${limitOfSchedule('e.schedule_id')}`],
  ['backfill_run', `select r.ctid from backfill b join backfill_run r on r.backfill_id = b.id where ${OLD_BACKFILL}`],
  [
    'backfill_event',
    `select e.ctid from backfill b join backfill_event e on e.backfill_id = b.id where ${OLD_BACKFILL}`,
  ],
  [
    'backfill',
    `select b.ctid from backfill b where ${OLD_BACKFILL} and not exists (select from backfill_run r where r.backfill_id = b.id)`,
  ],
];
export const COUNT_FIRES = `select count(*)::float8 as count from (${OLD_FIRES}) f`;

/**
 * Blobs that no version and no end of a task names, and that nobody has uploaded, or was told he need not upload, for as long as blobs are kept: who
 * wants to name one does so within that time, or is told that it is missing. An upload of the same content moves `used_at` and waits for
 * this statement, or this one for it and then finds the new time.
 */
export const UNUSED_BLOBS = `
  select b.sha256, b.size from blob b
   where b.used_at < ${limitOf('blobs')}
     and not exists (select from finished_task f where f.artifacts is not null
                        and jsonb_path_query_array(f.artifacts, '$[*].sha256') @> to_jsonb(array[b.sha256]))
     and b.sha256 not in (select f->>'sha256' from workflow_version v cross join lateral jsonb_array_elements(v.files) f)`;

const DROP_BLOBS = `
  with unused as materialized (
    select sha256, sum(size) over (order by sha256) - size as before from (${UNUSED_BLOBS} limit 100) u
  ), gone as (
    delete from blob b using unused u where b.sha256 = u.sha256 and u.before < ${BLOB_BYTES_AT_ONCE} and b.used_at < ${limitOf('blobs')}
    returning b.sha256, b.size
  ), chunks as (
    delete from blob_chunk where sha256 in (select sha256 from gone)
  )
  select count(*)::int as blobs, coalesce(sum(size), 0)::float8 as bytes from gone`;

/** Rows that belong to no instance, and blobs. */
export async function removeOthers(work: Work): Promise<void> {
  for (const [subject, [table, condition]] of Object.entries(OLD_ROWS) as [keyof typeof OLD_ROWS, [string, string]][])
    work.removed[subject] += await removeAll(
      work,
      `delete from ${table} where id = any(array(select id from ${table} where ${condition} limit ${AT_ONCE} for update skip locked))`,
      [],
    );
  for (const [table, rows] of OLD_BY_PROJECT) {
    const count = await removeAll(work, `delete from ${table} where ctid = any(array(${rows} limit ${AT_ONCE}))`, []);
    if (table === 'fire') work.removed.fires += count;
  }
  for (;;) {
    if (work.stopped()) return void (work.more = true);
    const began = performance.now();
    const { rows } = await work.client.query<{ blobs: number; bytes: number }>(DROP_BLOBS);
    const { blobs = 0, bytes = 0 } = rows[0] ?? {};
    if (blobs === 0) return;
    work.removed.blobs += blobs;
    work.removed.blobBytes += bytes;
    await work.pause(performance.now() - began);
  }
}
