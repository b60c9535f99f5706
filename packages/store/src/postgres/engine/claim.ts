import type { ActiveOfIncarnation, BoundAttempt, Claimed, ClaimRequest, StartedAttempt } from '../../engine.ts';
import { call } from '../connection/session.ts';
import type { Call, Rows } from '../connection/session.ts';

/**
 * How far a claim looks into each kind's line, for other claims may have locked the rows in front. With more locked than that it gets less
 * than there is, and the look at the line a second later gets the rest.
 */
const DEPTH = 'cardinality(ids) * 4 + 64';

/**
 * Tasks in line → free slots. The front of each kind's line is read by itself, so that tasks of a kind that nobody offers cost nothing
 * (100,000 of them: 70 ms for each claim when they were filtered out behind one index on group and priority, none now). Locks: the slots' incarnations FOR KEY SHARE (an expiry excludes it), then ready rows with SKIP
 * LOCKED, so that it waits for nobody in line. It takes no instance lock: it changes who runs a task, not what runs next.
 */
const CLAIM = {
  name: 'claim',
  text: `with alive as (
           select id from worker_incarnation
            where id = any($4::bigint[]) and state = 'live' and lease_until > clock_timestamp() for key share
         ), slot as (
           select coalesce(array_agg(s.incarnation_id order by s.position), '{}') as ids
             from unnest($3::bigint[]) with ordinality as s(incarnation_id, position) join alive on alive.id = s.incarnation_id
         ), picked as (
           select r.ctid as place, r.*
             from (select distinct capability from unnest($2::text[]) as offered(capability)) kind
            cross join lateral (
                    select ctid as place, priority, seq from ready
                     where worker_group = $1 and capability = kind.capability
                     order by priority desc, seq limit (select ${DEPTH} from slot)
                  ) front
             join ready r on r.ctid = front.place
            order by front.priority desc, front.seq limit (select cardinality(ids) from slot) for update of r skip locked
         ), numbered as (
           select p.*, row_number() over (order by p.priority desc, p.seq) as number from picked p
         ), gone as (
           delete from ready where ctid = any(array(select place from picked))
         ), bound as (
           insert into active (instance_id, task, generation, attempt, losses, incarnation_id, nonce, ready_at)
           select n.instance_id, n.task, n.generation, n.attempt, n.losses, (select ids from slot)[n.number], $5 || '-' || n.number, n.ready_at
             from numbered n
           returning id, instance_id, task, generation, attempt, incarnation_id, nonce
         ), noted as (
           insert into history (instance_id, events)
           select instance_id, jsonb_agg(jsonb_build_object('type', 'task-dispatched', 'task', task, 'attempt', attempt,
                                                            'attemptId', id::text, 'incarnation', incarnation_id::text))
             from bound group by instance_id
         )
         select cardinality(s.ids) as live_slots, b.*, l.version_id, l.has_artifacts
           from slot s left join bound b on true
           left join lateral (select version_id, has_artifacts from live_instance where id = b.instance_id offset 0) l on true`,
};

/** Locks: the attempts' rows, in id order, as every other statement that takes several of them. */
const STARTED = {
  name: 'started',
  text: `with said as (
           select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::float8[], $5::float8[], $6::text[])
                  as u(id, incarnation_id, nonce, started_ago, timeout_ms, timeout_action)
         ), held as (
           select id from active where id = any($1::bigint[]) and state = 'dispatched' order by id for no key update
         ), running as (
           update active a
              set state = 'running', started_at = clock_timestamp() - s.started_ago * interval '1 millisecond',
                  timeout_at = clock_timestamp() + (s.timeout_ms - s.started_ago) * interval '1 millisecond', timeout_action = s.timeout_action
             from said s
            where a.id = s.id and a.incarnation_id = s.incarnation_id and a.nonce = s.nonce and a.state = 'dispatched'
              and a.id = any(array(select id from held))
           returning a.id, a.instance_id, a.task, a.attempt
         )
         insert into history (instance_id, events)
         select instance_id, jsonb_agg(jsonb_build_object('type', 'task-running', 'task', task, 'attempt', attempt, 'attemptId', id::text))
           from running group by instance_id`,
};

const ACTIVE_OF = {
  name: 'active-of',
  text: `select a.id, a.instance_id, a.task, a.generation, a.attempt, a.incarnation_id, a.nonce, a.kill_reason,
                extract(epoch from clock_timestamp() - a.dispatched_at) * 1000 as dispatched_ago, l.version_id, l.has_artifacts, a.subtask_index,
                extract(epoch from a.not_before - clock_timestamp())::float8 * 1000 as start_after
           from active a cross join lateral (select version_id, has_artifacts from live_instance where id = a.instance_id offset 0) l
          where a.incarnation_id = any($1::bigint[]) and a.state <> 'bound' and (not $2::boolean or a.kill_reason is not null)`,
};

export function claimCall({ workerGroup, capabilities, slots, nonce }: ClaimRequest): Call {
  return call(CLAIM, workerGroup, capabilities, slots, [...new Set(slots)], nonce);
}

export function boundFrom(row: Rows[number], versionId: string, hasArtifacts: boolean): BoundAttempt {
  return {
    instanceId: row.instance_id,
    generation: row.generation,
    task: row.task,
    attemptId: row.id,
    attempt: row.attempt,
    incarnationId: row.incarnation_id,
    nonce: row.nonce,
    versionId,
    hasArtifacts,
    ...(typeof row.subtask_index === 'number' ? { subtaskIndex: row.subtask_index } : {}),
    ...(row.start_after > 0 ? { startAfterMs: row.start_after } : {}),
  };
}

/** There is always a row: with no task bound it only says how many slots were alive. */
export function claimedFrom(rows: Rows): Claimed {
  const bound = rows.filter((row) => row.id !== null).map((row) => boundFrom(row, row.version_id, row.has_artifacts));
  return { bound, liveSlots: rows[0]?.live_slots ?? 0 };
}

export function startedCall(reports: readonly StartedAttempt[]): Call {
  return call(
    STARTED,
    reports.map(({ attemptId }) => attemptId),
    reports.map(({ incarnationId }) => incarnationId),
    reports.map(({ nonce }) => nonce),
    reports.map(({ startedAgoMs }) => startedAgoMs),
    reports.map(({ timeout }) => timeout?.afterMs ?? null),
    reports.map(({ timeout }) => timeout?.action ?? null),
  );
}

export const activeOfCall = (incarnations: readonly string[], onlyKilled: boolean): Call =>
  call(ACTIVE_OF, incarnations, onlyKilled);

export function activeOfFrom(rows: Rows): ActiveOfIncarnation[] {
  return rows.map((row) => ({
    ...boundFrom(row, row.version_id, row.has_artifacts),
    killReason: row.kill_reason,
    dispatchedAgoMs: Number(row.dispatched_ago),
  }));
}
