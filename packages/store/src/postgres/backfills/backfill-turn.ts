import type { BackfillEnd, BackfillTurn, Reason } from '@keelson/core';
import type { BackfillMind, BackfillTurned, LockedBackfill, LockedRun } from '../../backfills.ts';
import { newInstances } from '../engine/new-instances.ts';
import { call } from '../connection/session.ts';
import type { Call, Rows, Session } from '../connection/session.ts';

/** Locks: the backfill's row, unless somebody else has it. No ending instance waits for it. */
const LOCK = {
  name: 'backfill-lock',
  text: `select id, state, parallel, priority, on_failure, again, members, params, waiting, pending, running, succeeded, failed, stopped, skipped, created_by
           from backfill where id = $1 for no key update skip locked`,
};

/** After the lock. An instance whose next generation runs already has ended all the same. */
const ENDS = {
  name: 'backfill-ends',
  text: `select f.id as followup_id, r.seq, e.state, e.reason
           from followup f left join backfill_run r on r.instance_id = f.instance_id and r.backfill_id = f.subject_id
           left join lateral (select state, reason from instance_end where instance_id = f.instance_id order by generation desc limit 1) e on true
          where f.kind = 'backfill' and f.subject_id = $1 order by f.id`,
};

/**
 * All runs of the times in which an instance has ended, and of those that are next. After the ends: it must not know less than they do. `offset 0`
 * keeps the look into each time apart: joined freely, a plan that was made when statistics were young read the whole backfill (0.5 s for 33,000 runs).
 */
const RUNS = {
  name: 'backfill-runs',
  text: `
  with width as materialized (
    select jsonb_array_length(members) as n from backfill where id = $1
  ), picked as (
    (select seq from backfill_run where backfill_id = $1 and state = 'pending' order by seq limit $2)
    union
    select r.seq from followup f join backfill_run r on r.instance_id = f.instance_id and r.backfill_id = f.subject_id
     where f.kind = 'backfill' and f.subject_id = $1
  ), times as materialized (
    select distinct (seq - 1) / n as place, n from picked, width
  )
  select r.seq, r.run_time, r.state, r.reason, there.id as there, there.live
    from times t cross join lateral (
      select seq, workflow_id, run_time, state, reason from backfill_run
       where backfill_id = $1 and seq between t.place * t.n + 1 and t.place * t.n + t.n offset 0
    ) r
    left join lateral (
      select i.id, l.id is not null as live
        from workflow_instance i left join live_instance l on l.id = i.id
       where r.state in ('waiting', 'pending') and i.workflow_id = r.workflow_id and i.run_time = r.run_time and (l.id is not null or exists (
             select from instance_end e where e.instance_id = i.id and e.state = 'succeeded'
                and not exists (select from instance_end n where n.instance_id = i.id and n.generation > e.generation)))
       order by l.id is null, i.id desc limit 1
    ) there on true
   order by r.seq`,
};

const START = {
  name: 'backfill-start',
  text: `
  with wanted as (
    select u.id, r.workflow_id, u.version_id, u.task_count, u.params::jsonb as params, r.run_time, b.priority, b.created_by,
           'backfill' as trigger, null::bigint as schedule_id, b.id as backfill_id
      from backfill b, unnest($2::bigint[], $3::int[], $4::bigint[], $5::int[], $6::text[]) as u(id, seq, version_id, task_count, params)
      join backfill_run r on r.backfill_id = $1 and r.seq = u.seq
     where b.id = $1
  ), ${newInstances('wanted')}
  select id, limited from live`,
};

const NOTE_RUNS = {
  name: 'backfill-note-runs',
  text: `update backfill_run r set state = u.state, instance_id = coalesce(u.instance_id, r.instance_id), reason = u.reason::jsonb
           from unnest($2::int[], $3::text[], $4::bigint[], $5::text[]) as u(seq, state, instance_id, reason)
          where r.backfill_id = $1 and r.seq = u.seq`,
};

/** Everything that was not started. */
export const LEAVE_OUT = {
  name: 'backfill-leave-out',
  text: `update backfill_run set state = 'skipped', reason = $2::jsonb where backfill_id = $1 and state in ('waiting', 'pending')`,
};

const FORGET = { name: 'backfill-forget', text: 'delete from followup where id = any($1::bigint[])' };

/** States and counts as they were decided under the lock. */
export const COUNT = {
  name: 'backfill-count',
  text: `update backfill set state = $2, waiting = $3, pending = $4, running = $5, succeeded = $6, failed = $7, stopped = $8, skipped = $9,
                ended_at = case when $10 then clock_timestamp() else ended_at end, last_error = null,
                turned_at = clock_timestamp()
          where id = $1`,
};

export const NOTE_EVENT = {
  name: 'backfill-note-event',
  text: 'insert into backfill_event (backfill_id, kind, by, detail) values ($1, $2, $3, $4::jsonb)',
};

/** See `Backfills.turn`. */
export async function backfillTurn(
  session: Session,
  id: string,
  instanceIds: readonly string[],
  mind: BackfillMind,
): Promise<BackfillTurned | undefined> {
  const transaction = session.begin();
  try {
    const [locked = [], ended = [], found = []] = await transaction.flight([
      call(LOCK, id),
      call(ENDS, id),
      call(RUNS, id, instanceIds.length),
    ]);
    const row = locked[0];
    if (row === undefined) {
      await transaction.rollback();
      return undefined;
    }
    const backfill = backfillFrom(row, instanceIds.length);
    const turn = mind(backfill, found.map(runFrom), ended.flatMap(endFrom));
    const followups = ended.map(({ followup_id }): string => followup_id);
    const calls = writes(backfill, turn, instanceIds);
    if (calls.length === 0 && followups.length === 0) {
      await transaction.rollback();
      return { worked: false, started: [], queued: false, ended: false };
    }
    const answers = await transaction.commit([...calls, call(FORGET, followups)]);
    // The first call, if any instance is made.
    const started = turn.starts.length > 0 ? (answers[0] ?? []) : [];
    return {
      worked: true,
      started: started.map((made): string => made.id),
      queued: started.some(({ limited }) => limited === true),
      ended: turn.ended,
    };
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}

function backfillFrom(row: Rows[number], room: number): LockedBackfill {
  const memberships = row.members as LockedBackfill['memberships'];
  const { waiting, pending, running, succeeded, failed, stopped, skipped } = row;
  return {
    id: row.id,
    state: row.state,
    parallel: row.parallel,
    onFailure: row.on_failure,
    room,
    again: row.again,
    counts: { waiting, pending, running, succeeded, failed, stopped, skipped },
    members: memberships.map(({ project, workflow, needs }) => ({ name: `${project}/${workflow}`, needs })),
    memberships,
    params: row.params,
  };
}

function runFrom(row: Rows[number]): LockedRun {
  const runTime: Date = row.run_time;
  return {
    seq: row.seq,
    state: row.state,
    runTime: runTime.toISOString(),
    ...(row.reason !== null && { reason: row.reason }),
    ...(row.there !== null && { there: { instanceId: row.there, live: row.live } }),
  };
}

function endFrom({ seq, state, reason }: Rows[number]): BackfillEnd[] {
  // Not one of its runs, or retention was faster.
  if (seq === null || state === null) return [];
  return [{ seq, state, ...(reason !== null && { reason }) }];
}

function writes(backfill: LockedBackfill, turn: BackfillTurn, instanceIds: readonly string[]): Call[] {
  const { id, memberships } = backfill;
  const { starts, changes, halted, counts } = turn;
  if (
    starts.length === 0 &&
    changes.length === 0 &&
    halted === undefined &&
    turn.state === backfill.state &&
    !turn.ended
  )
    return [];
  const calls: Call[] = [];
  const started = starts.map(({ seq, params }, index) => {
    const member = memberships[(seq - 1) % memberships.length];
    const instanceId = instanceIds[index];
    if (member === undefined || instanceId === undefined) throw new Error(`run ${seq} of backfill ${id} has no place`);
    return { seq, params, member, instanceId };
  });
  if (started.length > 0)
    calls.push(
      call(
        START,
        id,
        started.map(({ instanceId }) => instanceId),
        started.map(({ seq }) => seq),
        started.map(({ member }) => member.versionId),
        started.map(({ member }) => member.taskCount),
        started.map(({ params }) => JSON.stringify(params)),
      ),
    );
  const noted: { seq: number; state: string; instanceId: string | null; reason: Reason | undefined }[] = [
    ...started.map(({ seq, instanceId }) => ({ seq, state: 'running', instanceId, reason: undefined })),
    ...changes.map(({ seq, state, reason }) => ({ seq, state, instanceId: null, reason })),
  ];
  if (noted.length > 0)
    calls.push(
      call(
        NOTE_RUNS,
        id,
        noted.map(({ seq }) => seq),
        noted.map(({ state }) => state),
        noted.map(({ instanceId }) => instanceId),
        noted.map(({ reason }) => (reason === undefined ? null : JSON.stringify(reason))),
      ),
    );
  if (halted !== undefined) {
    calls.push(call(LEAVE_OUT, id, JSON.stringify(halted)));
    calls.push(call(NOTE_EVENT, id, 'halted', 'master', JSON.stringify({ message: halted.message })));
  }
  calls.push(countCall(id, turn.state, counts, turn.ended));
  if (turn.ended) calls.push(call(NOTE_EVENT, id, 'ended', 'master', JSON.stringify(counts)));
  return calls;
}

/** @param ended it has ended just now */
export function countCall(
  id: string,
  state: BackfillTurn['state'],
  counts: BackfillTurn['counts'],
  ended: boolean,
): Call {
  const { waiting, pending, running, succeeded, failed, stopped, skipped } = counts;
  return call(COUNT, id, state, waiting, pending, running, succeeded, failed, stopped, skipped, ended);
}
