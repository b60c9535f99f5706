import type { CalendarContent, DueSchedule, NextLook } from '../../fires.ts';
import { call } from '../connection/session.ts';
import type { Call, Rows } from '../connection/session.ts';

/**
 * The version is the one in the schedule's row, never the workflow's newest by a join: when an apply has come between this statement's
 * snapshot and its lock, the row is looked at again (EvalPlanQual) while what is joined to it stays old, and does not fit any more. It is
 * taken in the next round then.
 */
const COLUMNS = `s.id, s.workflow_id, s.version_id, s.trigger_id, s.trigger::text as trigger, s.awaiting,
         extract(epoch from s.next_due) * 1000 as due_ms, extract(epoch from s.next_at) * 1000 as at_ms,
         (s.deleted_at is null and s.enabled and s.paused_at is null) as active,
         w.name as workflow, w.project_id, p.name as project, p.params as project_params, v.task_count, v.params`;
const JOINS = `join workflow w on w.id = s.workflow_id join project p on p.id = w.project_id join workflow_version v on v.id = s.version_id`;

/** Locks: due schedules with SKIP LOCKED. A volatile bound would read the whole index: the clock is asked once, in a subquery. */
const TAKE_DUE = {
  name: 'fires-due',
  text: `select ${COLUMNS}, extract(epoch from clock_timestamp()) * 1000 as now_ms
           from schedule s ${JOINS}
          where s.next_at <= (select least(clock_timestamp(), $2::timestamptz)) and ($3::bigint is null or s.id = $3)
          order by s.next_at limit $1 for no key update of s skip locked`,
};

/** Locks: follow-ups of ended instances and their schedules, both with SKIP LOCKED. */
const TAKE_ENDED = {
  name: 'fires-ended',
  text: `select f.id as followup_id, f.instance_id as ended_instance, extract(epoch from coalesce((select e.ended_at from instance_end e where e.instance_id = f.instance_id order by e.generation desc limit 1), f.created_at)) * 1000 as ended_ms, ${COLUMNS},
                extract(epoch from clock_timestamp()) * 1000 as now_ms
           from followup f join schedule s on s.id = f.subject_id ${JOINS}
          where f.kind = 'schedule' and ($2::bigint is null or s.id = $2)
          order by f.id limit $1 for update of f skip locked for no key update of s skip locked`,
};

const AHEAD = {
  name: 'fires-ahead',
  text: `select ${COLUMNS}, extract(epoch from clock_timestamp()) * 1000 as now_ms
           from schedule s ${JOINS} where s.next_at <= $1::timestamptz order by s.next_at limit $2`,
};

const CALENDARS = {
  name: 'fires-calendars',
  text: `select c.project_id, c.name, c.revision, c.definition from unnest($1::bigint[], $2::text[]) as u(project_id, name)
           join calendar c on c.project_id = u.project_id and c.name = u.name`,
};

const NEXT = {
  name: 'fires-next',
  text: `select extract(epoch from clock_timestamp()) * 1000 as now_ms,
                extract(epoch from (select next_at from schedule where next_at is not null order by next_at limit 1)) * 1000 as due_ms,
                exists (select from followup where kind = 'schedule') as ended`,
};

/** A schedule that this transaction holds. */
export interface Taken {
  readonly schedule: DueSchedule;
  readonly projectId: string;
  /** When the heap said that it is due: its time and jitter. */
  readonly atMs?: number;
  /** The database's clock when it was taken. */
  readonly nowMs: number;
  /** It fires at all: nobody has paused, disabled or removed it. */
  readonly active: boolean;
}

export interface TakenRows {
  readonly due: readonly Taken[];
  /** Of each schedule whose awaited instance has ended, once. */
  readonly ended: readonly Taken[];
  /** Follow-ups that are dealt with here, also those that nobody waits for any more. */
  readonly followups: readonly string[];
}

/** @param only one schedule, whatever else is due */
export function takeCalls(limit: number, asOfMs: number, only?: string): Call[] {
  const asOf = Number.isFinite(asOfMs) ? new Date(asOfMs).toISOString() : 'infinity';
  return [call(TAKE_ENDED, limit, only ?? null), call(TAKE_DUE, limit, asOf, only ?? null)];
}

export function takenFrom([ended = [], due = []]: readonly Rows[]): TakenRows {
  const awaited = ended.filter((row) => row.awaiting === row.ended_instance);
  return {
    due: due.map((row) => takenRow(row, { dueMs: Math.round(Number(row.due_ms)) })),
    ended: awaited.map((row) => takenRow(row, { endedAtMs: Math.ceil(Number(row.ended_ms)) })),
    followups: ended.map((row): string => row.followup_id),
  };
}

export const aheadCall = (untilMs: number, limit: number): Call => call(AHEAD, new Date(untilMs).toISOString(), limit);

export function aheadFrom(rows: Rows): DueSchedule[] {
  return rows.map((row) => takenRow(row, { dueMs: Math.round(Number(row.due_ms)) }).schedule);
}

function takenRow(row: Rows[number], when: Pick<DueSchedule, 'dueMs' | 'endedAtMs'>): Taken {
  return {
    schedule: {
      id: row.id,
      workflowId: row.workflow_id,
      versionId: row.version_id,
      taskCount: row.task_count,
      project: row.project,
      workflow: row.workflow,
      declaredParams: row.params ?? {},
      projectParams: row.project_params,
      triggerId: row.trigger_id,
      trigger: row.trigger,
      ...when,
    },
    projectId: row.project_id,
    nowMs: Number(row.now_ms),
    active: row.active,
    ...(row.at_ms !== null && { atMs: Number(row.at_ms) }),
  };
}

/** Reads calendars of several projects, under locks that no change of one of them gets past. */
export function calendarsCall(wanted: readonly { readonly projectId: string; readonly name: string }[]): Call {
  return call(
    CALENDARS,
    wanted.map(({ projectId }) => projectId),
    wanted.map(({ name }) => name),
  );
}

export const calendarKey = (projectId: string, name: string): string => `${projectId}/${name}`;

export function calendarsFrom(rows: Rows): Map<string, CalendarContent> {
  return new Map(
    rows.map((row) => [calendarKey(row.project_id, row.name), { revision: row.revision, definition: row.definition }]),
  );
}

export const nextCall = (): Call => call(NEXT);

export function nextFrom([row]: Rows): NextLook {
  const due: unknown = row?.due_ms ?? null;
  return {
    nowMs: Number(row?.now_ms),
    ended: row?.ended === true,
    ...(due !== null && { dueMs: Number(due) }),
  };
}
