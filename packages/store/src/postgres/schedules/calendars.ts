import { canonicalJson } from '@keelson/core';
import type { CalendarDefinition, TriggerDefinition } from '@keelson/core';
import type pg from 'pg';
import type { CalendarInfo, Calendars } from '../../schedules.ts';
import { StoreError } from '../../store-error.ts';
import { ensureProjects } from '../definitions/projects.ts';
import { iso } from '../connection/rows.ts';
import { databaseNow, nextPlace, projectCalendars } from './schedule-place.ts';
import { inTransaction } from '../connection/transaction.ts';

/** Schedules that name a calendar of their project. */
const NAMING = `schedule s join workflow w on w.id = s.workflow_id
   where w.project_id = c.project_id and s.deleted_at is null and s.trigger->'calendars' ? c.name`;

const SELECT = `select p.name as project, c.definition, c.updated_at, c.updated_by, (select count(*)::int from ${NAMING}) as schedules
    from calendar c join project p on p.id = c.project_id where p.name = $1`;

interface CalendarRow {
  readonly project: string;
  readonly definition: CalendarDefinition;
  readonly updated_at: Date;
  readonly updated_by: string;
  readonly schedules: number;
}

const infoFrom = ({ project, definition, updated_at, updated_by, schedules }: CalendarRow): CalendarInfo => ({
  project,
  definition,
  updatedAt: iso(updated_at),
  updatedBy: updated_by,
  schedules,
});

export function createCalendars(pool: pg.Pool): Calendars {
  return {
    list: async (project) => {
      const { rows } = await pool.query<CalendarRow>(`${SELECT} order by c.name collate "C"`, [project]);
      return rows.map(infoFrom);
    },
    get: async (project, name) => {
      const { rows } = await pool.query<CalendarRow>(`${SELECT} and c.name = $2`, [project, name]);
      return rows[0] && infoFrom(rows[0]);
    },
    definitions: async (project, names) => {
      const { rows } = await pool.query<{ definition: CalendarDefinition }>(
        `select c.definition from calendar c join project p on p.id = c.project_id where p.name = $1 and c.name = any($2::text[])`,
        [project, names],
      );
      return rows.map(({ definition }) => definition);
    },
    set: (project, definition, by) => inTransaction(pool, (client) => setCalendar(client, project, definition, by)),
    delete: (project, name) => inTransaction(pool, (client) => deleteCalendar(client, project, name)),
  };
}

/**
 * Locks: the calendar, then the schedules that name it FOR NO KEY UPDATE in the order of their ids. A fire reads the calendar with its schedule
 * locked: it either is waited for here, or sees the new one.
 */
async function setCalendar(
  client: pg.PoolClient,
  project: string,
  definition: CalendarDefinition,
  by: string,
): Promise<{ readonly moved: number }> {
  await ensureProjects(client, [project]);
  const { rows: before } = await client.query<{ definition: CalendarDefinition }>(
    `select c.definition from calendar c join project p on p.id = c.project_id where p.name = $1 and c.name = $2 for no key update of c`,
    [project, definition.name],
  );
  await client.query(
    `insert into calendar as c (project_id, name, definition, updated_by) select id, $2, $3, $4 from project where name = $1
     on conflict (project_id, name) do update set definition = excluded.definition, revision = default,
        updated_by = excluded.updated_by, updated_at = now()`,
    [project, definition.name, JSON.stringify(definition), by],
  );
  const [old] = before;
  if (old !== undefined && canonicalJson(old.definition) === canonicalJson(definition)) return { moved: 0 };
  return moveSchedules(client, project, definition.name, by);
}

interface NamingRow {
  readonly id: string;
  readonly workflow: string;
  readonly trigger: TriggerDefinition;
  readonly next_due: Date | null;
  /** It fires at all, and waits for no instance to end. */
  readonly moves: boolean;
}

/** All that name it are locked, and looked at then: one that is being resumed meanwhile counts as what it is afterwards. */
async function moveSchedules(client: pg.PoolClient, project: string, calendar: string, by: string) {
  const { rows } = await client.query<NamingRow>(
    `select s.id, w.name as workflow, s.trigger, s.next_due, s.enabled and s.paused_at is null and s.awaiting is null as moves
       from schedule s join workflow w on w.id = s.workflow_id join project p on p.id = w.project_id
      where p.name = $1 and s.deleted_at is null and s.trigger->'calendars' ? $2
      order by s.id for no key update of s`,
    [project, calendar],
  );
  const now = await databaseNow(client);
  // What is due already stays due: it is for the masters.
  const movable = rows.filter(({ moves, next_due }) => moves && (next_due === null || next_due.getTime() > now));
  const calendars = await projectCalendars(
    client,
    movable.map(({ trigger }) => ({ project, trigger })),
  );
  const moved = movable.flatMap(({ id, workflow, trigger, next_due }) => {
    const countsFrom = next_due === null ? now : next_due.getTime() - (trigger.fixedDelayMs ?? 0);
    const next = nextPlace(
      { project, name: workflow, trigger },
      calendars,
      trigger.fixedDelayMs === undefined ? now : countsFrom,
    );
    return next?.dueMs === next_due?.getTime() ? [] : [{ id, next }];
  });
  await client.query(
    `with moved as (
       update schedule s set next_due = u.next_due, next_at = u.next_at, exhausted = u.next_due is null
         from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) as u(id, next_due, next_at) where s.id = u.id returning s.id
     ) insert into schedule_event (schedule_id, kind, by, detail)
       select id, 'calendar-changed', $4, jsonb_build_object('calendar', $5::text) from moved`,
    [
      moved.map(({ id }) => id),
      moved.map(({ next }) => (next === undefined ? null : new Date(next.dueMs))),
      moved.map(({ next }) => (next === undefined ? null : new Date(next.atMs))),
      by,
      calendar,
    ],
  );
  return { moved: moved.length };
}

/** Locks: the calendar FOR UPDATE, so that an apply that is about to name it is waited for. */
async function deleteCalendar(client: pg.PoolClient, project: string, name: string): Promise<boolean> {
  const { rows } = await client.query<{ project_id: string }>(
    `select c.project_id from calendar c join project p on p.id = c.project_id where p.name = $1 and c.name = $2 for update of c`,
    [project, name],
  );
  const id = rows[0]?.project_id;
  if (id === undefined) return false;
  const users = await client.query<{ workflow: string; count: number }>(
    `select min(w.name) as workflow, count(*)::int as count
       from (select $1::bigint as project_id, $2::text as name) c, ${NAMING}`,
    [id, name],
  );
  const { workflow, count } = users.rows[0] ?? { workflow: '', count: 0 };
  if (count > 0) {
    const named = count === 1 ? `a schedule of ${project}/${workflow} names` : `${count} schedules name`;
    throw new StoreError('conflict', 'calendar-in-use', `${named} the calendar ${name}`);
  }
  await client.query('delete from calendar where project_id = $1 and name = $2', [id, name]);
  return true;
}
