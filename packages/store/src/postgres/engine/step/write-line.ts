import type { Placement } from '../../../engine.ts';
import { call } from '../../connection/session.ts';
import type { Call } from '../../connection/session.ts';
import { gather, generations, ids } from './decided.ts';
import type { Decided, Keyed, Push } from './decided.ts';

const DELAY = {
  name: 'write-delayed',
  text: `insert into delayed (instance_id, task, generation, attempt, losses, worker_group, capability, priority, cause, due_at, fan_out)
         select instance_id, task, generation, attempt, losses, worker_group, capability, priority, cause, clock_timestamp() + delay_ms * interval '1 millisecond',
                fan_out
           from unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::int[], $6::text[], $7::text[], $8::int[], $9::text[], $10::float8[], $11::bool[])
                as u(instance_id, task, generation, attempt, losses, worker_group, capability, priority, cause, delay_ms, fan_out)`,
};

const LINE_UP = {
  name: 'write-ready',
  text: `insert into ready (instance_id, task, generation, attempt, losses, worker_group, capability, priority)
         select * from unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::int[], $6::text[], $7::text[], $8::int[])`,
};

/**
 * Hands tasks straight to waiting workers. Locks: each offered incarnation FOR KEY SHARE, which an expiry (FOR UPDATE)
 * excludes and a renewal does not; a task whose incarnation is no longer alive goes in line instead.
 */
const BIND = {
  name: 'write-bind',
  text: `with offered as (
           select * from unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::int[], $6::text[], $7::text[], $8::int[], $9::bigint[], $10::text[])
                  as u(instance_id, task, generation, attempt, losses, worker_group, capability, priority, incarnation_id, nonce)
         ), alive as (
           select id from worker_incarnation where id = any($11::bigint[]) and state = 'live' and lease_until > clock_timestamp() for key share
         ), bound as (
           insert into active (instance_id, task, generation, attempt, losses, incarnation_id, nonce, ready_at)
           select o.instance_id, o.task, o.generation, o.attempt, o.losses, o.incarnation_id, o.nonce, clock_timestamp()
             from offered o join alive on alive.id = o.incarnation_id
           returning id, instance_id, task, generation, attempt, incarnation_id, nonce
         ), noted as (
           insert into history (instance_id, events)
           select instance_id, jsonb_agg(jsonb_build_object('type', 'task-dispatched', 'task', task, 'attempt', attempt,
                                                            'attemptId', id::text, 'incarnation', incarnation_id::text))
             from bound group by instance_id
         ), left_in_line as (
           insert into ready (instance_id, task, generation, attempt, losses, worker_group, capability, priority)
           select instance_id, task, generation, attempt, losses, worker_group, capability, priority
             from offered where incarnation_id not in (select id from alive)
         )
         select id, instance_id, task, generation, attempt, incarnation_id, nonce from bound`,
};

/**
 * Withdrawal, in this order, each statement waiting for claims and timers in flight: what a timer moves on while the first one
 * waits is seen by the second, and what a claim binds while the second waits is seen by the third.
 */
const WITHDRAW_DELAYED = {
  name: 'withdraw-delayed',
  text: `with gone as (delete from delayed where instance_id = any($1::bigint[]) returning instance_id, task, attempt)
         insert into command (instance_id, kind, payload)
         select instance_id, 'withdrawn', jsonb_build_object('tasks', jsonb_agg(jsonb_build_object('task', task, 'attempt', attempt, 'from', 'delayed')))
           from gone group by instance_id`,
};
const WITHDRAW_READY = {
  name: 'withdraw-ready',
  text: `with gone as (delete from ready where instance_id = any($1::bigint[]) returning instance_id, task, attempt)
         insert into command (instance_id, kind, payload)
         select instance_id, 'withdrawn', jsonb_build_object('tasks', jsonb_agg(jsonb_build_object('task', task, 'attempt', attempt, 'from', 'ready')))
           from gone group by instance_id`,
};
const WITHDRAW_HELD = {
  name: 'withdraw-held',
  text: `with gone as (delete from held where instance_id = any($1::bigint[]) returning instance_id, task, attempt)
         insert into command (instance_id, kind, payload)
         select instance_id, 'withdrawn', jsonb_build_object('tasks', jsonb_agg(jsonb_build_object('task', task, 'attempt', attempt, 'from', 'held')))
           from gone group by instance_id`,
};
/** Locks: the attempts' rows, in id order. */
export const KILL_ACTIVE = {
  name: 'kill-active',
  text: `with held as (
           select id from active where instance_id = any($1::bigint[]) and kill_reason is null order by id for no key update
         )
         update active set kill_reason = 'stop' where id = any(array(select id from held))`,
};
const SETTLE_LATER = {
  name: 'settle-later',
  text: `insert into command (instance_id, kind) select id, 'settle' from unnest($1::bigint[]) as u(id)`,
};

/** The columns that all places in and before the line have. */
export function lineColumns(rows: readonly Keyed<Placement>[]): unknown[] {
  return [
    ids(rows),
    rows.map(({ item }) => item.task),
    generations(rows),
    rows.map(({ item }) => item.attempt),
    rows.map(({ item }) => item.losses),
    rows.map(({ item }) => item.workerGroup),
    rows.map(({ item }) => item.capability),
    rows.map(({ item }) => item.priority),
  ];
}

/** Takes back what is in line and kills what runs, in the order that the statements need. */
export function writeWithdrawals(decided: readonly Decided[], push: Push): void {
  const withdrawing = ids(decided.filter(isWithdrawing));
  push(withdrawing, () => call(WITHDRAW_DELAYED, withdrawing));
  push(withdrawing, () => call(WITHDRAW_READY, withdrawing));
  // Only who pauses or has paused has any.
  const paused = ids(decided.filter((one) => isWithdrawing(one) && one.mayHold));
  push(paused, () => call(WITHDRAW_HELD, paused));
  push(withdrawing, () => call(KILL_ACTIVE, withdrawing));
}

/** A pause holds what is in line, and lets run what runs. */
export function isWithdrawing({ changes }: Decided): boolean {
  return changes.withdraw === 'settle' || changes.withdraw === 'skip';
}

/** Whoever emptied its line looks once more afterwards whether something of it still runs. */
export function writeSettles(decided: readonly Decided[], push: Push): void {
  const resting = ({ changes }: Decided): boolean => ['stopping', 'pausing'].includes(changes.live.state);
  const settling = ids(decided.filter((one) => one.changes.withdraw !== undefined && resting(one)));
  push(settling, () => call(SETTLE_LATER, settling));
}

/** Tasks that a timer puts in line later. */
export function writeDelayed(decided: readonly Decided[], push: Push): void {
  const delayed = gather(decided, ({ changes, delayedAs }) =>
    changes.delayed.map((item, index) => ({ ...delayedAs[index], ...item }) as Placement & typeof item),
  );
  push(delayed, () =>
    call(
      DELAY,
      ...lineColumns(delayed),
      delayed.map(({ item }) => item.cause),
      delayed.map(({ item }) => item.delayMs),
      delayed.map(({ item }) => item.fanOut === true),
    ),
  );
}

/** Tasks that no waiting worker was found for. */
export function writeReady(decided: readonly Decided[], push: Push): void {
  const inLine = gather(decided, ({ placements }) => placements.filter(({ offer }) => offer === undefined));
  push(inLine, () => call(LINE_UP, ...lineColumns(inLine)));
}

/** Tasks that are handed to a waiting worker: one call, or none. */
export function writeBound(decided: readonly Decided[], push: Push): void {
  const offered = gather(decided, ({ placements }) => placements.filter(({ offer }) => offer !== undefined));
  push(offered, () => bind(offered));
}

function bind(offered: readonly Keyed<Placement>[]): Call {
  const incarnations = offered.map(({ item }) => item.offer?.incarnationId ?? null);
  return call(
    BIND,
    ...lineColumns(offered),
    incarnations,
    offered.map(({ item }) => item.offer?.nonce ?? null),
    [...new Set(incarnations)],
  );
}
