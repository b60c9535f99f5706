import type { TriggerDefinition } from '@keelson/core';
import type pg from 'pg';
import type { WorkflowName } from '../../definitions.ts';
import type { ScheduleChange, ScheduleEvent, Schedules } from '../../schedules.ts';
import { StoreError } from '../../store-error.ts';
import { pageFrom, parseCursor } from '../connection/cursor.ts';
import { isId, iso, isoOrNull } from '../connection/rows.ts';
import { databaseNow, nextPlace, projectCalendars, skipOverdue } from './schedule-place.ts';
import { fireFrom, scheduleFrom, STATE } from './schedule-rows.ts';
import type { FireRow, ScheduleRow } from './schedule-rows.ts';
import { inTransaction } from '../connection/transaction.ts';

const SELECT = `select s.id, p.name as project, w.name as workflow, s.trigger_id, s.trigger, ${STATE} as state, s.next_due, s.next_at, s.awaiting,
         s.paused_at, s.paused_by, s.last_error, s.created_at, f.due_at, f.outcome, f.reason, f.instance_id, f.decided_at
    from schedule s join workflow w on w.id = s.workflow_id join project p on p.id = w.project_id
    left join lateral (select * from fire where schedule_id = s.id order by due_at desc limit 1) f on true`;

const LIST = `${SELECT}
   where s.deleted_at is null and ($1::text is null or p.name = $1) and ($2::text is null or w.name = $2)
     and ($3::text is null or s.trigger_id = $3) and ($4::text is null or ${STATE} = $4)
     and (p.name collate "C", w.name collate "C", s.trigger_id collate "C") > ($5, $6, $7)
   order by p.name collate "C", w.name collate "C", s.trigger_id collate "C" limit $8`;

const FIRES = `select due_at, outcome, reason, instance_id, decided_at from fire
   where schedule_id = $1 and ($2::text is null or outcome = $2) and ($3::timestamptz is null or due_at >= $3) and ($4::timestamptz is null or due_at < $4)
     and ($5::timestamptz is null or due_at < $5)
   order by due_at desc limit $6`;

export function createSchedules(pool: pg.Pool): Schedules {
  return {
    list: async ({ project, workflow, trigger, state }, page) => {
      const after = parseCursor(page.cursor, 3) ?? ['', '', ''];
      const named = [project ?? null, workflow ?? null, trigger ?? null, state ?? null];
      const { rows } = await pool.query<ScheduleRow>(LIST, [...named, ...after, page.limit + 1]);
      return pageFrom(rows, page, scheduleFrom, (row) => [row.project, row.workflow, row.trigger_id]);
    },
    get: async (id) => {
      if (!isId(id)) return undefined;
      const { rows } = await pool.query<ScheduleRow>(`${SELECT} where s.id = $1`, [id]);
      return rows[0] && scheduleFrom(rows[0]);
    },
    fires: async (id, { outcome, from, to }, page) => {
      const [below = null] = parseCursor(page.cursor, 1, (part) => !Number.isNaN(Date.parse(part))) ?? [];
      const values = [id, outcome ?? null, from ?? null, to ?? null, below, page.limit + 1];
      const { rows } = isId(id) ? await pool.query<FireRow>(FIRES, values) : { rows: [] };
      return pageFrom(rows, page, fireFrom, (row) => [iso(row.due_at)]);
    },
    events: async (id, limit) => {
      if (!isId(id)) return [];
      const { rows } = await pool.query<Omit<ScheduleEvent, 'at'> & { at: Date }>(
        'select at, kind, by, detail from schedule_event where schedule_id = $1 order by id desc limit $2',
        [id, limit],
      );
      return rows.map((row) => ({ ...row, at: iso(row.at) }));
    },
    pause: (workflow, triggerId, by) => inTransaction(pool, (client) => pause(client, workflow, triggerId, by)),
    resume: (workflow, triggerId, by) => inTransaction(pool, (client) => resume(client, workflow, triggerId, by)),
  };
}

interface LockedRow {
  readonly id: string;
  readonly trigger_id: string;
  readonly trigger: TriggerDefinition;
  readonly enabled: boolean;
  readonly awaiting: string | null;
  readonly next_due: Date | null;
  readonly paused: boolean;
}

/** Locks: the schedules FOR NO KEY UPDATE in the order of their ids; a fire that is under way is waited for. */
async function lockNamed(
  client: pg.PoolClient,
  { project, name }: WorkflowName,
  triggerId: string | undefined,
): Promise<LockedRow[]> {
  const { rows } = await client.query<LockedRow>(
    `select s.id, s.trigger_id, s.trigger, s.enabled, s.awaiting, s.next_due, s.paused_at is not null as paused
       from schedule s join workflow w on w.id = s.workflow_id join project p on p.id = w.project_id
      where p.name = $1 and w.name = $2 and s.deleted_at is null and ($3::text is null or s.trigger_id = $3)
      order by s.id for no key update of s`,
    [project, name, triggerId ?? null],
  );
  if (rows.length > 0) return rows;
  const known = await client.query<{ trigger_ids: string[] }>(
    `select array(select trigger_id from schedule s where s.workflow_id = w.id and s.deleted_at is null order by trigger_id) as trigger_ids
       from workflow w join project p on p.id = w.project_id where p.name = $1 and w.name = $2 and w.deleted_at is null`,
    [project, name],
  );
  const ids = known.rows[0]?.trigger_ids;
  if (ids === undefined)
    throw new StoreError('not-found', 'unknown-workflow', `there is no workflow ${project}/${name}`);
  const has = ids.length === 0 ? 'no triggers' : `the triggers ${ids.join(', ')}`;
  const asked = triggerId === undefined ? '' : `, not ${JSON.stringify(triggerId)}`;
  throw new StoreError('not-found', 'unknown-schedule', `${project}/${name} has ${has}${asked}`);
}

async function pause(
  client: pg.PoolClient,
  workflow: WorkflowName,
  triggerId: string | undefined,
  by: string,
): Promise<ScheduleChange[]> {
  const rows = await lockNamed(client, workflow, triggerId);
  const fresh = rows.filter(({ paused }) => !paused);
  await skipOverdue(client, fresh, await databaseNow(client), {
    code: 'schedule-paused',
    message: `${by} paused the schedule before it fired`,
  });
  await client.query(
    `with held as (
       update schedule set paused_at = clock_timestamp(), paused_by = $2, next_due = null, next_at = null, last_error = null
        where id = any($1::bigint[]) returning id
     ) insert into schedule_event (schedule_id, kind, by) select id, 'paused', $2 from held`,
    [fresh.map(({ id }) => id), by],
  );
  return rows.map(({ id, trigger_id, paused }) => ({ id, triggerId: trigger_id, changed: !paused, nextDue: null }));
}

async function resume(
  client: pg.PoolClient,
  workflow: WorkflowName,
  triggerId: string | undefined,
  by: string,
): Promise<ScheduleChange[]> {
  const rows = await lockNamed(client, workflow, triggerId);
  const now = await databaseNow(client);
  const held = rows.filter(({ paused }) => paused);
  const calendars = await projectCalendars(
    client,
    held.map(({ trigger }) => ({ project: workflow.project, trigger })),
  );
  const places = held.map((row) => ({
    ...row,
    next: row.awaiting === null ? nextPlace({ ...workflow, trigger: row.trigger }, calendars, now) : undefined,
  }));
  await client.query(
    `with freed as (
       update schedule s set paused_at = null, paused_by = null, started_at = to_timestamp($5::float8 / 1000),
              next_due = case when s.enabled then u.next_due end, next_at = case when s.enabled then u.next_at end,
              exhausted = u.next_due is null and s.awaiting is null
         from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) as u(id, next_due, next_at) where s.id = u.id returning s.id
     ) insert into schedule_event (schedule_id, kind, by) select id, 'resumed', $4 from freed`,
    [
      places.map(({ id }) => id),
      places.map(({ next }) => (next === undefined ? null : new Date(next.dueMs))),
      places.map(({ next }) => (next === undefined ? null : new Date(next.atMs))),
      by,
      now,
    ],
  );
  const after = new Map(places.map(({ id, next, enabled }) => [id, enabled ? next : undefined]));
  return rows.map(({ id, trigger_id, paused, next_due }) => {
    const next = after.get(id);
    const nextDue = paused ? (next === undefined ? null : new Date(next.dueMs)) : next_due;
    return { id, triggerId: trigger_id, changed: paused, nextDue: isoOrNull(nextDue) };
  });
}
