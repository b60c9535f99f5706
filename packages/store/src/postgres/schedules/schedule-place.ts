import { compileCalendar, compileTrigger, nextTime, scheduleKeyOf } from '@keelson/core';
import type { Calendar, CalendarDefinition, NextTime, Reason, TriggerDefinition } from '@keelson/core';
import type { WorkflowName } from '../../definitions.ts';
import type { Queryable } from '../connection/rows.ts';

/** The database's clock, in milliseconds; read when the locks are held. */
export async function databaseNow(client: Queryable): Promise<number> {
  const { rows } = await client.query<{ now: string }>('select extract(epoch from clock_timestamp()) * 1000 as now');
  return Math.ceil(Number(rows[0]?.now));
}

/** Calendars by project and name. */
export type CompiledCalendars = ReadonlyMap<string, ReadonlyMap<string, Calendar>>;

/**
 * Locks: the calendars that these triggers name, in order: FOR KEY SHARE, so that none of them is deleted meanwhile, or FOR SHARE, so that none is
 * changed either. The latter only before any schedule is locked: who changes a calendar locks schedules after it.
 */
export async function projectCalendars(
  client: Queryable,
  named: readonly { readonly project: string; readonly trigger: TriggerDefinition }[],
  lock: 'key share' | 'share' = 'key share',
): Promise<CompiledCalendars> {
  const wanted = named.flatMap(({ project, trigger }) => (trigger.calendars ?? []).map((name) => [project, name]));
  if (wanted.length === 0) return new Map();
  const { rows } = await client.query<{ project: string; definition: CalendarDefinition }>(
    `select p.name as project, c.definition from calendar c join project p on p.id = c.project_id
      where (p.name, c.name) in (select * from unnest($1::text[], $2::text[])) order by c.project_id, c.name for ${lock} of c`,
    [wanted.map(([project]) => project), wanted.map(([, name]) => name)],
  );
  const calendars = new Map<string, Map<string, Calendar>>();
  for (const { project, definition } of rows) {
    const own = calendars.get(project) ?? new Map<string, Calendar>();
    calendars.set(project, own.set(definition.name, compileCalendar(definition)));
  }
  return calendars;
}

export interface PlacedTrigger extends WorkflowName {
  readonly trigger: TriggerDefinition;
}

/** When the trigger is due after a moment, and when that starts; undefined when it never is. */
export function nextPlace(placed: PlacedTrigger, calendars: CompiledCalendars, afterMs: number): NextTime | undefined {
  const context = { calendars: calendars.get(placed.project) ?? new Map() };
  const key = scheduleKeyOf(placed.project, placed.name, placed.trigger.id);
  return nextTime(compileTrigger(placed.trigger), afterMs, key, context);
}

/** Times that were due and that nothing was decided about: they are not fired, and that is said. */
export async function skipOverdue(
  client: Queryable,
  schedules: readonly { readonly id: string; readonly next_due: Date | null }[],
  nowMs: number,
  reason: Reason,
): Promise<void> {
  const overdue = schedules.filter(({ next_due }) => next_due !== null && next_due.getTime() <= nowMs);
  if (overdue.length === 0) return;
  await client.query(
    `insert into fire (schedule_id, due_at, outcome, reason)
     select u.id, u.due_at, 'skipped', $3::jsonb from unnest($1::bigint[], $2::timestamptz[]) as u(id, due_at)
     on conflict (schedule_id, due_at) do nothing`,
    [overdue.map(({ id }) => id), overdue.map(({ next_due }) => next_due), JSON.stringify(reason)],
  );
}
