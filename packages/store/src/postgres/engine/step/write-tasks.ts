import type { EarlierAttempt, FinishedTask } from '@keelson/core';
import { call } from '../../connection/session.ts';
import { gather, generations, ids, json } from './decided.ts';
import type { Decided, Keyed, Push } from './decided.ts';

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

/** As they are, from the generation before; told with the one in which they ended. */
const CARRY = {
  name: 'write-carried',
  text: `insert into finished_task (instance_id, generation, task, state, attempt, attempt_id, incarnation_id, ready_at, dispatched_at, started_at, ended_at,
                                    reason, outputs, artifacts, carried_from)
         select k.instance_id, k.generation, f.task, f.state, f.attempt, f.attempt_id, f.incarnation_id, f.ready_at, f.dispatched_at, f.started_at, f.ended_at,
                f.reason, f.outputs, f.artifacts, coalesce(f.carried_from, f.generation)
           from unnest($1::bigint[], $2::int[], $3::text[]) as k(instance_id, generation, task)
          cross join lateral (select * from finished_task
                               where instance_id = k.instance_id and task = k.task and generation = k.generation - 1 offset 0) f`,
};

const EARLIER_ATTEMPTS = {
  name: 'write-earlier',
  text: `insert into earlier_attempt (instance_id, generation, task, attempt, attempt_id, incarnation_id, state, ready_at, dispatched_at,
                                      started_at, ended_at, reason, subtask)
         select u.instance_id, u.generation, u.task, u.attempt, u.attempt_id, a.incarnation_id, u.state, a.ready_at, a.dispatched_at,
                coalesce(a.started_at, t.now - u.started_ago * interval '1 millisecond'), t.now - coalesce(u.ended_ago, 0) * interval '1 millisecond',
                u.reason::jsonb, a.subtask
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

/** Ends that a new generation keeps. */
export function writeCarried(decided: readonly Decided[], push: Push): void {
  const carried = gather(decided, ({ changes }) => changes.carried);
  push(carried, () =>
    call(
      CARRY,
      ids(carried),
      generations(carried),
      carried.map(({ item }) => item),
    ),
  );
}

/** What ended, and last the active rows that the times of the ended runs come from. */
export function writeEndedRuns(decided: readonly Decided[], push: Push): void {
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

/** How many needs of a waiting task are met. */
export function writeCounters(decided: readonly Decided[], push: Push): void {
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
}
