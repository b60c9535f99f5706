import type { FireDecision, PlannedFire } from '../../fires.ts';
import type { Taken } from './fires-read.ts';
import { newInstances } from '../engine/new-instances.ts';
import { call } from '../connection/session.ts';
import type { Call } from '../connection/session.ts';

/** A time that fired before (the clock was set back, and the trigger edited) fires nothing again, whatever was decided. */
const FIRE = {
  name: 'fires-write',
  text: `
  with planned as (
    select * from unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::int[], $9::text[], $10::text[], $11::boolean[])
           as u(schedule_id, due_at, outcome, reason, instance_id, workflow_id, version_id, task_count, params, created_by, awaited)
  ), recorded as (
    insert into fire (schedule_id, due_at, outcome, reason, instance_id)
    select schedule_id, due_at, outcome, reason::jsonb, instance_id from planned order by schedule_id, due_at
    on conflict (schedule_id, due_at) do nothing returning outcome, instance_id
  ), wanted as (
    select instance_id as id, workflow_id, version_id, task_count, params::jsonb as params, due_at as run_time, 0 as priority, created_by,
           'schedule' as trigger, schedule_id, null::bigint as backfill_id, awaited
      from planned where instance_id = any(array(select instance_id from recorded where instance_id is not null))
  ), ${newInstances('wanted', 'case when n.awaited then n.schedule_id end')}
  select count(*) filter (where outcome = 'fired')::int as fired, count(*) filter (where outcome = 'misfired')::int as misfired,
         count(*) filter (where outcome = 'skipped')::int as skipped, count(*) filter (where outcome = 'failed')::int as failed,
         exists (select from live where limited) as queued, exists (select from live where not limited) as commands
    from recorded`,
};

const ALERT = {
  name: 'fires-alert',
  text: `insert into alert (kind, payload) select u.kind, u.payload::jsonb from unnest($1::text[], $2::text[]) as u(kind, payload)`,
};

/** An instance that is not there was not made by this fire: then nothing would ever tell of its end. */
const ADVANCE = {
  name: 'fires-advance',
  text: `
  update schedule s
     set awaiting = l.id, next_due = case when l.id is null then u.next_due end, next_at = case when l.id is null then u.next_at end,
         exhausted = u.next_due is null and l.id is null, last_error = null
    from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::bigint[]) as u(id, next_due, next_at, awaiting)
    left join lateral (select id from live_instance where id = u.awaiting and schedule_id = u.id offset 0) l on true
   where s.id = u.id`,
};

/** Of schedules that are not to fire at the moment. */
const FORGET_AWAITED = {
  name: 'fires-forget-awaited',
  text: 'update schedule set awaiting = null where id = any($1::bigint[])',
};

const DROP_FOLLOWUPS = { name: 'fires-drop-followups', text: 'delete from followup where id = any($1::bigint[])' };

/** Puts schedules off that could not be dealt with. The first failure in a row is an event, and an alert. */
const PUT_OFF = {
  name: 'fires-put-off',
  text: `
  with failing as (
    select s.id, s.last_error is null as first, s.next_due, u.error, u.alert
      from unnest($1::bigint[], $2::text[], $3::text[]) as u(id, error, alert) join schedule s on s.id = u.id
     where s.deleted_at is null and s.enabled and not s.exhausted and s.paused_at is null
  ), put as (
    update schedule s set awaiting = null, next_due = coalesce(f.next_due, clock_timestamp()), last_error = f.error,
           next_at = clock_timestamp() + $4 * interval '1 millisecond'
      from failing f where s.id = f.id
  ), noted as (
    insert into schedule_event (schedule_id, kind, by, detail) select id, 'failing', 'master', jsonb_build_object('error', error) from failing where first
  )
  insert into alert (kind, payload) select 'schedule-failing', alert::jsonb from failing where first`,
};

/** Rows of one statement: an id among an array's is looked for from its beginning, whose cost grows with the square. */
const MOST_FIRES = 250;
const PUT_OFF_MS = 60_000;

export interface Decided {
  readonly taken: Taken;
  readonly decision: FireDecision;
  /** Ids for the instances of its fires, in their order. */
  readonly instanceIds: readonly string[];
}

export interface Unable {
  readonly taken: Taken;
  readonly error: string;
}

interface FireRow {
  readonly taken: Taken;
  readonly fire: PlannedFire;
  readonly instanceId: string | null;
  readonly awaited: boolean;
}

/** Everything that a round writes; those of `fires-write` answer what became of it. */
export function writeCalls(
  decided: readonly Decided[],
  idle: readonly Taken[],
  unable: readonly Unable[],
  followups: readonly string[],
): Call[] {
  const rows = decided.flatMap(fireRows);
  const alerts = rows.filter(({ fire }) => fire.outcome === 'failed').map(alertOf);
  const calls: Call[] = [];
  for (let from = 0; from < rows.length; from += MOST_FIRES) calls.push(fireCall(rows.slice(from, from + MOST_FIRES)));
  if (alerts.length > 0)
    calls.push(
      call(
        ALERT,
        alerts.map(() => 'fire-failed'),
        alerts,
      ),
    );
  if (decided.length > 0) calls.push(advanceCall(decided));
  if (idle.length > 0)
    calls.push(
      call(
        FORGET_AWAITED,
        idle.map(({ schedule }) => schedule.id),
      ),
    );
  if (unable.length > 0) calls.push(putOffCall(unable));
  if (followups.length > 0) calls.push(call(DROP_FOLLOWUPS, followups));
  return calls;
}

export const isFireCall = ({ statement }: Call): boolean => statement === FIRE;

function fireRows({ taken, decision: { fires, awaits }, instanceIds }: Decided): FireRow[] {
  const ids = [...instanceIds];
  const last = ids.at(-1);
  return fires.map((fire) => {
    const instanceId = fire.outcome === 'fired' ? (ids.shift() ?? null) : null;
    return { taken, fire, instanceId, awaited: awaits && instanceId !== null && instanceId === last };
  });
}

const iso = (ms: number): string => new Date(ms).toISOString();
const isoOrNull = (ms: number | undefined): string | null => (ms === undefined ? null : iso(ms));

function fireCall(rows: readonly FireRow[]): Call {
  const of = <T>(value: (row: FireRow) => T): T[] => rows.map(value);
  return call(
    FIRE,
    of(({ taken }) => taken.schedule.id),
    of(({ fire }) => iso(fire.dueMs)),
    of(({ fire }) => fire.outcome),
    of(({ fire }) => (fire.reason === undefined ? null : JSON.stringify(fire.reason))),
    of(({ instanceId }) => instanceId),
    of(({ taken }) => taken.schedule.workflowId),
    of(({ taken }) => taken.schedule.versionId),
    of(({ taken }) => taken.schedule.taskCount),
    of(({ fire }) => (fire.outcome === 'fired' ? JSON.stringify(fire.params) : '{}')),
    of(({ taken }) => `schedule ${taken.schedule.triggerId}`),
    of(({ awaited }) => awaited),
  );
}

function alertOf({ taken: { schedule }, fire }: FireRow): string {
  const { project, workflow, triggerId } = schedule;
  return JSON.stringify({ project, workflow, trigger: triggerId, dueAt: iso(fire.dueMs), reason: fire.reason });
}

function advanceCall(decided: readonly Decided[]): Call {
  return call(
    ADVANCE,
    decided.map(({ taken }) => taken.schedule.id),
    decided.map(({ decision }) => isoOrNull(decision.next?.dueMs)),
    decided.map(({ decision }) => isoOrNull(decision.next?.atMs)),
    decided.map(({ decision, instanceIds }) => (decision.awaits ? (instanceIds.at(-1) ?? null) : null)),
  );
}

export function putOffCall(unable: readonly Unable[]): Call {
  return call(
    PUT_OFF,
    unable.map(({ taken }) => taken.schedule.id),
    unable.map(({ error }) => error),
    unable.map(({ taken: { schedule }, error }) =>
      JSON.stringify({ project: schedule.project, workflow: schedule.workflow, trigger: schedule.triggerId, error }),
    ),
    PUT_OFF_MS,
  );
}
