import type { BroadcastChange } from '@keelson/core';
import { call } from '../../connection/session.ts';
import type { Call } from '../../connection/session.ts';
import { gather, generations, ids, json } from './decided.ts';
import type { Decided, Keyed, Push } from './decided.ts';

/** Its times are the active row's. Runs before that is deleted. */
const FINISHED_SUBTASKS = {
  name: 'write-finished-subtasks',
  text: `insert into finished_subtask (instance_id, generation, task, incarnation_id, worker, state, attempt, attempt_id, ready_at, dispatched_at,
                                       started_at, ended_at, reason, outputs)
         select u.instance_id, u.generation, u.task, a.incarnation_id, w.name, u.state, u.attempt, a.id, a.ready_at,
                case when a.state <> 'bound' then a.dispatched_at end,
                coalesce(a.started_at, t.now - u.started_ago * interval '1 millisecond'), t.now - coalesce(u.ended_ago, 0) * interval '1 millisecond',
                u.reason::jsonb, u.outputs::jsonb
           from (select clock_timestamp() as now) t,
                unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::float8[], $8::float8[], $9::text[], $10::text[])
                as u(instance_id, generation, task, state, attempt, attempt_id, started_ago, ended_ago, reason, outputs)
          cross join lateral (select * from active where id = u.attempt_id offset 0) a
          cross join lateral (select name from worker_incarnation where id = a.incarnation_id offset 0) w`,
};

const WITHDRAW_SUBTASKS = {
  name: 'withdraw-subtasks',
  text: `with wanted as (
           select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as u(instance_id, task, ending, reason)
         ), gone as (
           delete from active a using wanted u where a.instance_id = u.instance_id and a.task = u.task and a.state = 'bound'
           returning a.instance_id, a.generation, a.task, a.incarnation_id, a.attempt, a.id, a.ready_at, u.ending, u.reason
         )
         insert into finished_subtask (instance_id, generation, task, incarnation_id, worker, state, attempt, attempt_id, ready_at, ended_at, reason)
         select g.instance_id, g.generation, g.task, g.incarnation_id, w.name, g.ending, g.attempt, g.id, g.ready_at, clock_timestamp(), g.reason::jsonb
           from gone g cross join lateral (select name from worker_incarnation where id = g.incarnation_id offset 0) w`,
};

const WRITE_BROADCASTS = {
  name: 'write-broadcasts',
  text: `insert into broadcast as b (instance_id, task, generation, phase, prior_attempts, total, waiting, running, succeeded, failed, lost, stopped, skipped, outputs)
         select u.instance_id, u.task, u.generation, u.phase, u.prior_attempts, u.total, u.waiting, u.running, u.succeeded, u.failed, u.lost, u.stopped,
                u.skipped, u.outputs::jsonb
           from unnest($1::bigint[], $2::text[], $3::int[], $4::text[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[], $10::int[], $11::int[],
                       $12::int[], $13::int[], $14::text[])
                as u(instance_id, task, generation, phase, prior_attempts, total, waiting, running, succeeded, failed, lost, stopped, skipped, outputs)
         on conflict (instance_id, task) do update
            set phase = excluded.phase, prior_attempts = excluded.prior_attempts, total = excluded.total, waiting = excluded.waiting,
                running = excluded.running, succeeded = excluded.succeeded, failed = excluded.failed, lost = excluded.lost,
                stopped = excluded.stopped, skipped = excluded.skipped, outputs = coalesce(excluded.outputs, b.outputs)`,
};

const DROP_BROADCASTS = {
  name: 'drop-broadcasts',
  text: `delete from broadcast where ctid = any(array(
           select b.place from unnest($1::bigint[], $2::text[]) as k(instance_id, task)
            cross join lateral (select ctid as place from broadcast where instance_id = k.instance_id and task = k.task offset 0) b))`,
};

/**
 * Binds subtasks to their incarnations. A snapshot has locked these already; a retry finds here whether its worker is still there. If not, its
 * expiry has passed by and saw another attempt: so the row comes with the command that ends it. Locks: the incarnations FOR KEY SHARE.
 */
const WRITE_SUBTASKS = {
  name: 'write-subtasks',
  text: `with wanted as (
           select * from unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::bigint[], $6::int[], $7::text[], $8::float8[], $9::text[])
                  as u(instance_id, task, generation, attempt, incarnation_id, index, state, delay_ms, nonce)
         ), alive as (
           select id from worker_incarnation where id = any($5::bigint[]) and state <> 'dead' order by id for key share
         ), bound as (
           insert into active (instance_id, task, generation, attempt, incarnation_id, nonce, state, ready_at, subtask, subtask_index, not_before)
           select instance_id, task, generation, attempt, incarnation_id, nonce, state, clock_timestamp(), incarnation_id, index,
                  case when delay_ms > 0 then clock_timestamp() + delay_ms * interval '1 millisecond' end
             from wanted
           returning id, instance_id, task, generation, attempt, incarnation_id, nonce, state, subtask_index, not_before
         ), noted as (
           insert into history (instance_id, events)
           select instance_id, jsonb_agg(jsonb_build_object('type', 'task-dispatched', 'task', task, 'attempt', attempt, 'attemptId', id::text,
                                                            'incarnation', incarnation_id::text, 'subtask', subtask_index))
             from bound where state = 'dispatched' group by instance_id
         ), orphaned as (
           insert into command (instance_id, kind, payload)
           select instance_id, 'attempt-ended',
                  jsonb_build_object('attemptId', id::text, 'end', 'lost', 'reason', jsonb_build_object('code', 'worker-lost', 'message', 'its worker is dead'))
             from bound where incarnation_id not in (select id from alive)
         )
         select id, instance_id, task, generation, attempt, incarnation_id, nonce, subtask_index, incarnation_id not in (select id from alive) as orphaned,
                extract(epoch from not_before - clock_timestamp())::float8 * 1000 as start_after
           from bound where state = 'dispatched'`,
};

/** The next subtasks in their order. Whether their workers still live is not asked: if one does not, the command that says so is there. */
const PROMOTE = {
  name: 'promote-subtasks',
  text: `with picked as (
           select a.id from unnest($1::bigint[], $2::text[], $3::int[]) as p(instance_id, task, count)
            cross join lateral (select id from active where instance_id = p.instance_id and task = p.task and state = 'bound' order by subtask limit p.count) a
         ), given as (
           update active set state = 'dispatched', dispatched_at = clock_timestamp() where id = any(array(select id from picked))
           returning id, instance_id, task, generation, attempt, incarnation_id, nonce, subtask_index
         ), noted as (
           insert into history (instance_id, events)
           select instance_id, jsonb_agg(jsonb_build_object('type', 'task-dispatched', 'task', task, 'attempt', attempt, 'attemptId', id::text,
                                                            'incarnation', incarnation_id::text, 'subtask', subtask_index))
             from given group by instance_id
         )
         select id, instance_id, task, generation, attempt, incarnation_id, nonce, subtask_index, false as orphaned, null::float8 as start_after from given`,
};

/** Ends of subtasks; before the active rows go that their times come from. */
export function writeFinishedSubtasks(decided: readonly Decided[], push: Push): void {
  const finished = gather(decided, ({ changes }) => changes.finishedSubtasks);
  push(finished, () =>
    call(
      FINISHED_SUBTASKS,
      ids(finished),
      generations(finished),
      finished.map(({ item }) => item.task),
      finished.map(({ item }) => item.state),
      finished.map(({ item }) => item.attempt),
      finished.map(({ item }) => item.attemptId),
      finished.map(({ item }) => item.startedAgoMs ?? null),
      finished.map(({ item }) => item.endedAgoMs ?? null),
      finished.map(({ item }) => json(item.reason)),
      finished.map(({ item }) => json(item.outputs)),
    ),
  );
}

/** The rows of broadcasts, and the ends of subtasks that will not be handed over; after what has ended is gone. */
export function writeBroadcasts(decided: readonly Decided[], push: Push): void {
  const changed = gather(decided, ({ changes }) => changes.broadcasts);
  const tasks = (rows: readonly Keyed<BroadcastChange>[]): string[] => rows.map(({ item }) => item.task);
  const withdrawn = changed.filter(({ item }) => item.withdraw !== undefined);
  push(withdrawn, () =>
    call(
      WITHDRAW_SUBTASKS,
      ids(withdrawn),
      tasks(withdrawn),
      withdrawn.map(({ item }) => item.withdraw?.state),
      withdrawn.map(({ item }) => json(item.withdraw?.reason)),
    ),
  );
  const kept = changed.filter(({ item }) => item.record !== undefined);
  push(kept, () => upsert(kept));
  const dropped = changed.filter(({ item }) => item.record === undefined);
  push(dropped, () => call(DROP_BROADCASTS, ids(dropped), tasks(dropped)));
}

const COUNTS = ['total', 'waiting', 'running', 'succeeded', 'failed', 'lost', 'stopped', 'skipped'] as const;

function upsert(kept: readonly Keyed<BroadcastChange>[]): Call {
  return call(
    WRITE_BROADCASTS,
    ids(kept),
    kept.map(({ item }) => item.task),
    generations(kept),
    kept.map(({ item }) => item.record?.phase),
    kept.map(({ item }) => item.record?.priorAttempts),
    ...COUNTS.map((count) => kept.map(({ item }) => item.record?.[count])),
    kept.map(({ item }) => json(item.outputs)),
  );
}

/** Subtasks that are bound now, and those that are handed over now: what was to be killed has been told before. */
export function writeSubtasks(decided: readonly Decided[], push: Push): void {
  const bound = gather(decided, ({ changes, nonce }) =>
    changes.subtasks.map((item, index) => ({ ...item, nonce: `${nonce()}-${index}` })),
  );
  push(bound, () =>
    call(
      WRITE_SUBTASKS,
      ids(bound),
      bound.map(({ item }) => item.task),
      generations(bound),
      bound.map(({ item }) => item.attempt),
      bound.map(({ item }) => item.incarnation),
      bound.map(({ item }) => item.index),
      bound.map(({ item }) => item.state),
      bound.map(({ item }) => item.delayMs),
      bound.map(({ item }) => item.nonce),
    ),
  );
  const promoted = gather(decided, ({ changes }) => changes.broadcasts.filter(({ promote }) => promote > 0));
  push(promoted, () =>
    call(
      PROMOTE,
      ids(promoted),
      promoted.map(({ item }) => item.task),
      promoted.map(({ item }) => item.promote),
    ),
  );
}
