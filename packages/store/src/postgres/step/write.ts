import type { EarlierAttempt, FinishedTask, InstanceChanges } from '@keelson/core';
import type { Placement } from '../../engine.ts';
import { call } from '../session.ts';
import type { Call } from '../session.ts';

/** One decided instance, ready to be written. */
export interface Decided {
  readonly id: string;
  readonly generation: number;
  readonly changes: InstanceChanges;
  readonly placements: readonly Placement[];
  /** Group, capability and priority of tasks that are delayed, in the order of `changes.delayed`. */
  readonly delayedAs: readonly Placement[];
  /** Names of all tasks; only read when the remaining ones are ended. */
  readonly allTasks: () => readonly string[];
}

const UPDATE_LIVE = {
  name: 'write-live',
  text: `update live_instance l
            set revision = u.revision, state = u.state, unfinished = u.unfinished, failed = u.failed,
                ending = u.ending, has_artifacts = u.has_artifacts, failure = u.failure::jsonb
           from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::int[], $6::bool[], $7::bool[], $8::text[])
                as u(id, revision, state, unfinished, failed, ending, has_artifacts, failure)
          cross join lateral (select ctid as place from live_instance where id = u.id offset 0) k
          where l.ctid = k.place`,
};

/** Its times are the active row's, or now for a task that never ran. Runs before the active row is deleted. */
const FINISHED_TASKS = {
  name: 'write-finished',
  text: `insert into finished_task (instance_id, generation, task, state, attempt, attempt_id, incarnation_id, ready_at, dispatched_at,
                                    started_at, ended_at, reason, outputs, artifacts)
         select u.instance_id, u.generation, u.task, u.state, u.attempt, u.attempt_id, a.incarnation_id, a.ready_at, a.dispatched_at,
                coalesce(a.started_at, t.now - u.started_ago * interval '1 millisecond'), t.now - coalesce(u.ended_ago, 0) * interval '1 millisecond',
                u.reason::jsonb, u.outputs::jsonb, u.artifacts::jsonb
           from (select clock_timestamp() as now) t,
                unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::float8[], $8::float8[], $9::text[], $10::text[], $11::text[])
                as u(instance_id, generation, task, state, attempt, attempt_id, started_ago, ended_ago, reason, outputs, artifacts)
           left join lateral (select * from active where id = u.attempt_id offset 0) a on true`,
};

const EARLIER_ATTEMPTS = {
  name: 'write-earlier',
  text: `insert into earlier_attempt (instance_id, generation, task, attempt, attempt_id, incarnation_id, state, ready_at, dispatched_at,
                                      started_at, ended_at, reason)
         select u.instance_id, u.generation, u.task, u.attempt, u.attempt_id, a.incarnation_id, u.state, a.ready_at, a.dispatched_at,
                coalesce(a.started_at, t.now - u.started_ago * interval '1 millisecond'), t.now - coalesce(u.ended_ago, 0) * interval '1 millisecond',
                u.reason::jsonb
           from (select clock_timestamp() as now) t,
                unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::float8[], $8::float8[], $9::text[])
                as u(instance_id, generation, task, state, attempt, attempt_id, started_ago, ended_ago, reason)
          cross join lateral (select * from active where id = u.attempt_id offset 0) a`,
};

const RELEASE = { name: 'write-release', text: 'delete from active where id = any($1::bigint[])' };

const COUNT_NEEDS = {
  name: 'write-counters',
  text: `insert into need_counter (instance_id, task, met) select * from unnest($1::bigint[], $2::text[], $3::int[])
         on conflict (instance_id, task) do update set met = excluded.met`,
};

const DROP_COUNTERS = {
  name: 'drop-counters',
  text: `delete from need_counter where ctid = any(array(
           select n.place from unnest($1::bigint[], $2::text[]) as k(instance_id, task)
            cross join lateral (select ctid as place from need_counter where instance_id = k.instance_id and task = k.task offset 0) n))`,
};

const DELAY = {
  name: 'write-delayed',
  text: `insert into delayed (instance_id, task, generation, attempt, losses, worker_group, capability, priority, cause, due_at)
         select instance_id, task, generation, attempt, losses, worker_group, capability, priority, cause, clock_timestamp() + delay_ms * interval '1 millisecond'
           from unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::int[], $6::text[], $7::text[], $8::int[], $9::text[], $10::float8[])
                as u(instance_id, task, generation, attempt, losses, worker_group, capability, priority, cause, delay_ms)`,
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

const HISTORY = {
  name: 'write-history',
  text: 'insert into history (instance_id, events) select u.id, u.events::jsonb from unnest($1::bigint[], $2::text[]) as u(id, events)',
};

const ALERTS = {
  name: 'write-alerts',
  text: 'insert into alert (kind, instance_id, payload) select u.kind, u.id, u.payload::jsonb from unnest($1::text[], $2::bigint[], $3::text[]) as u(kind, id, payload)',
};

const END_REMAINING = {
  name: 'write-remaining',
  text: `insert into finished_task (instance_id, generation, task, state, attempt, ended_at, reason)
         select $1::bigint, $2::int, u.task, $3::text, 0, clock_timestamp(), $4::jsonb from unnest($5::text[]) as u(task)
         on conflict (instance_id, task, generation) do nothing`,
};

const DROP_ALL_COUNTERS = { name: 'drop-all-counters', text: 'delete from need_counter where instance_id = $1' };

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

const END_INSTANCES = {
  name: 'write-ends',
  text: `insert into instance_end (instance_id, generation, state, reason)
         select u.id, u.generation, u.state, u.reason::jsonb from unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) as u(id, generation, state, reason)`,
};
/** After this statement no command can be added for the instance: adding one locks the live row FOR KEY SHARE first. */
const DELETE_LIVE = { name: 'delete-live', text: 'delete from live_instance where id = any($1::bigint[])' };
const DELETE_COMMANDS_OF_ENDED = {
  name: 'delete-commands-of-ended',
  text: 'delete from command where instance_id = any($1::bigint[])',
};
const DELETE_COMMANDS = { name: 'delete-commands', text: 'delete from command where id = any($1::bigint[])' };

const json = (value: unknown): string | null => (value === undefined || value === null ? null : JSON.stringify(value));

interface Keyed<T> {
  readonly id: string;
  readonly generation: number;
  readonly item: T;
}

function gather<T>(decided: readonly Decided[], items: (one: Decided) => readonly T[]): Keyed<T>[] {
  const all: Keyed<T>[] = [];
  for (const one of decided) for (const item of items(one)) all.push({ id: one.id, generation: one.generation, item });
  return all;
}

const ids = (rows: readonly { readonly id: string }[]): string[] => rows.map(({ id }) => id);
const generations = (rows: readonly { readonly generation: number }[]): number[] =>
  rows.map(({ generation }) => generation);

function endedColumns(rows: readonly Keyed<FinishedTask | EarlierAttempt>[]): unknown[] {
  return [
    ids(rows),
    generations(rows),
    rows.map(({ item }) => item.task),
    rows.map(({ item }) => item.state),
    rows.map(({ item }) => item.attempt),
    rows.map(({ item }) => item.attemptId ?? null),
    rows.map(({ item }) => item.startedAgoMs ?? null),
    rows.map(({ item }) => item.endedAgoMs ?? null),
    rows.map(({ item }) => json(item.reason)),
  ];
}

function lineColumns(rows: readonly Keyed<Placement>[]): unknown[] {
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

export interface WrittenCalls {
  readonly calls: readonly Call[];
  /** Index of the binding call; -1 when nothing was offered. */
  readonly bindAt: number;
  /** Index of the first claim. */
  readonly claimsAt: number;
}

/**
 * The calls that write a batch, in an order that keeps its own reads right. Claims come after what lines tasks up and before what ends
 * instances, so that incarnations are always locked before live rows are deleted.
 */
export function writeCalls(
  decided: readonly Decided[],
  commandIds: readonly string[],
  claims: readonly Call[],
): WrittenCalls {
  const calls: Call[] = [];
  const push = (rows: readonly unknown[], make: () => Call): void => {
    if (rows.length > 0) calls.push(make());
  };
  const ended = decided.filter(({ changes }) => changes.end !== undefined);
  const going = decided.filter(({ changes }) => changes.end === undefined);
  push(commandIds, () => call(DELETE_COMMANDS, commandIds));
  push(going, () => updateLive(going));
  writeEndedRuns(decided, push);
  const counters = gather(decided, ({ changes }) => [...changes.counters]);
  push(counters, () =>
    call(
      COUNT_NEEDS,
      ids(counters),
      counters.map(({ item }) => item[0]),
      counters.map(({ item }) => item[1]),
    ),
  );
  const dropped = gather(decided, ({ changes }) => changes.droppedCounters);
  push(dropped, () =>
    call(
      DROP_COUNTERS,
      ids(dropped),
      dropped.map(({ item }) => item),
    ),
  );
  const noted = decided.filter(({ changes }) => changes.events.length > 0);
  push(noted, () =>
    call(
      HISTORY,
      ids(noted),
      noted.map(({ changes }) => JSON.stringify(changes.events)),
    ),
  );
  // Before anything new is put in line: what `onFailure: end` starts must not be taken back with the rest.
  writeWithdrawals(decided, push);
  writeDelayed(decided, push);
  const inLine = gather(decided, ({ placements }) => placements.filter(({ offer }) => offer === undefined));
  push(inLine, () => call(LINE_UP, ...lineColumns(inLine)));
  const offered = gather(decided, ({ placements }) => placements.filter(({ offer }) => offer !== undefined));
  const bindAt = offered.length > 0 ? calls.length : -1;
  push(offered, () => bind(offered));
  const claimsAt = calls.length;
  calls.push(...claims);
  writeEnds(ended, push);
  const alerts = gather(decided, ({ changes }) => changes.alerts);
  push(alerts, () =>
    call(
      ALERTS,
      alerts.map(({ item }) => item.kind),
      ids(alerts),
      alerts.map(({ item }) => JSON.stringify(item.payload)),
    ),
  );
  return { calls, bindAt, claimsAt };
}

type Push = (rows: readonly unknown[], make: () => Call) => void;

function updateLive(going: readonly Decided[]): Call {
  const live = going.map(({ changes }) => changes.live);
  return call(
    UPDATE_LIVE,
    ids(live),
    live.map(({ revision }) => revision),
    live.map(({ state }) => state),
    live.map(({ unfinished }) => unfinished),
    live.map(({ failed }) => failed),
    live.map(({ ending }) => ending),
    live.map(({ hasArtifacts }) => hasArtifacts),
    live.map(({ failure }) => json(failure)),
  );
}

function writeEndedRuns(decided: readonly Decided[], push: Push): void {
  const finished = gather(decided, ({ changes }) => changes.finished);
  push(finished, () =>
    call(
      FINISHED_TASKS,
      ...endedColumns(finished),
      finished.map(({ item }) =>
        item.outputs === undefined || Object.keys(item.outputs).length === 0 ? null : JSON.stringify(item.outputs),
      ),
      finished.map(({ item }) =>
        item.artifacts === undefined || item.artifacts.length === 0 ? null : JSON.stringify(item.artifacts),
      ),
    ),
  );
  const earlier = gather(decided, ({ changes }) => changes.earlier);
  push(earlier, () => call(EARLIER_ATTEMPTS, ...endedColumns(earlier)));
  const released = decided.flatMap(({ changes }) => changes.released);
  push(released, () => call(RELEASE, released));
}

function writeDelayed(decided: readonly Decided[], push: Push): void {
  const delayed = gather(decided, ({ changes, delayedAs }) =>
    changes.delayed.map((item, index) => ({ ...delayedAs[index], ...item }) as Placement & typeof item),
  );
  push(delayed, () =>
    call(
      DELAY,
      ...lineColumns(delayed),
      delayed.map(({ item }) => item.cause),
      delayed.map(({ item }) => item.delayMs),
    ),
  );
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

function writeWithdrawals(decided: readonly Decided[], push: Push): void {
  const withdrawing = ids(decided.filter(({ changes }) => changes.withdraw !== undefined));
  push(withdrawing, () => call(WITHDRAW_DELAYED, withdrawing));
  push(withdrawing, () => call(WITHDRAW_READY, withdrawing));
  push(withdrawing, () => call(KILL_ACTIVE, withdrawing));
  const settling = ids(decided.filter(({ changes }) => changes.withdraw === 'settle'));
  push(settling, () => call(SETTLE_LATER, settling));
}

function writeEnds(ended: readonly Decided[], push: Push): void {
  for (const { id, generation, changes, allTasks } of ended) {
    const { endRemaining } = changes;
    if (endRemaining === undefined) continue;
    push([id], () => call(END_REMAINING, id, generation, endRemaining.state, json(endRemaining.reason), allTasks()));
    push([id], () => call(DROP_ALL_COUNTERS, id));
  }
  push(ended, () =>
    call(
      END_INSTANCES,
      ids(ended),
      generations(ended),
      ended.map(({ changes }) => changes.end?.state),
      ended.map(({ changes }) => json(changes.end?.reason)),
    ),
  );
  push(ended, () => call(DELETE_LIVE, ids(ended)));
  push(ended, () => call(DELETE_COMMANDS_OF_ENDED, ids(ended)));
}
