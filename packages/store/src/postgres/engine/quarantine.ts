import type { HistoryEvent, Reason } from '@keelson/core';
import type { CountedCommand } from '../../engine.ts';
import { endedFollowups } from './ended.ts';
import { call } from '../connection/session.ts';
import type { Session } from '../connection/session.ts';

const COUNT_TRY = {
  name: 'count-try',
  text: `with free as (select id from live_instance where id = any($1::bigint[]) for no key update skip locked)
         update command set tries = tries + 1 from free where instance_id = free.id and not_before <= clock_timestamp()
         returning command.id, command.instance_id, command.tries`,
};

const FORGIVE_TRY = {
  name: 'forgive-try',
  text: `with free as (select id from live_instance where id = $1::bigint for no key update)
         update command set tries = tries - 1 from free where instance_id = free.id and tries > 0`,
};

const PUT_OFF = {
  name: 'put-off',
  text: `update command set not_before = clock_timestamp() + $2::float8 * interval '1 millisecond', last_error = $3 where id = any($1::bigint[])`,
};

/** Locks: the live row, as a step does. */
const LOCK = { name: 'park-lock', text: 'select generation from live_instance where id = $1 for no key update' };

const PARK_COMMANDS = {
  name: 'park-commands',
  text: `with parked as (delete from command where instance_id = $1 returning id, instance_id, kind, payload, tries), kept as (
           insert into command_error (command_id, instance_id, kind, payload, tries, error)
           select id, instance_id, kind, payload, tries, $2 from parked on conflict (command_id) do nothing
         )
         select string_agg(distinct kind, ', ') as kinds from parked`,
};
const PARK_LINE = { name: 'park-line', text: 'delete from ready where instance_id = $1' };
const PARK_DELAYED = { name: 'park-delayed', text: 'delete from delayed where instance_id = $1' };
const PARK_HELD = { name: 'park-held', text: 'delete from held where instance_id = $1' };
const PARK_COUNTERS = { name: 'park-counters', text: 'delete from need_counter where instance_id = $1' };
/** Their holders are told to kill them as soon as they say that they hold them. */
const PARK_ACTIVE = {
  name: 'park-active',
  text: `with gone as (delete from active where instance_id = $1 returning *), told as (
           insert into finished_task (instance_id, generation, task, state, attempt, attempt_id, incarnation_id, ready_at, dispatched_at, started_at, ended_at, reason)
           select instance_id, generation, task, 'stopped', attempt, id, incarnation_id, ready_at, dispatched_at, started_at, clock_timestamp(), $2::jsonb from gone where subtask = 0
           on conflict (instance_id, task, generation) do nothing
         ), subtasks as (
           insert into finished_subtask (instance_id, generation, task, incarnation_id, worker, state, attempt, attempt_id, ready_at, dispatched_at, started_at, ended_at, reason)
           select g.instance_id, g.generation, g.task, g.incarnation_id, w.name, 'stopped', g.attempt, g.id, g.ready_at,
                  case when g.state <> 'bound' then g.dispatched_at end, g.started_at, clock_timestamp(), $2::jsonb
             from gone g join worker_incarnation w on w.id = g.incarnation_id where g.subtask <> 0
           on conflict (instance_id, task, generation, incarnation_id) do nothing
         )
         select task, attempt, id, incarnation_id, subtask_index from gone order by id`,
};
const PARK_BROADCASTS = { name: 'park-broadcasts', text: 'delete from broadcast where instance_id = $1' };
/** Every other task: the history that says so folds to rows that are there. */
const PARK_REMAINING = {
  name: 'park-remaining',
  text: `insert into finished_task (instance_id, generation, task, state, attempt, ended_at, reason)
         select l.id, l.generation, t.task, 'stopped', 0, clock_timestamp(), $2::jsonb
           from live_instance l join workflow_version v on v.id = l.version_id cross join lateral json_object_keys(v.definition->'tasks') as t(task)
          where l.id = $1
         on conflict (instance_id, task, generation) do nothing`,
};
const PARK_END = {
  name: 'park-end',
  text: `with gone as (delete from live_instance where id = $1 returning *), ${endedFollowups('gone')}
         insert into instance_end (instance_id, generation, state, reason) select id, generation, 'failed', $2::jsonb from gone
         on conflict (instance_id, generation) do nothing`,
};
const PARK_NOTE = {
  name: 'park-note',
  text: `with noted as (insert into history (instance_id, events) values ($1, $2::jsonb))
         insert into alert (kind, instance_id, payload) values ('command-parked', $1, $3::jsonb)`,
};

export async function countTry(session: Session, instanceIds: readonly string[]): Promise<CountedCommand[]> {
  const [rows = []] = await session.run([call(COUNT_TRY, instanceIds)]);
  return rows.map((row) => ({ id: row.id, instanceId: row.instance_id, tries: row.tries }));
}

export async function forgiveTry(session: Session, instanceId: string): Promise<void> {
  await session.run([call(FORGIVE_TRY, instanceId)]);
}

export async function putOff(
  session: Session,
  commandIds: readonly string[],
  delayMs: number,
  error: string,
): Promise<void> {
  await session.run([call(PUT_OFF, commandIds, delayMs, error)]);
}

/**
 * Ends an instance that the core cannot move: plain SQL, so that nothing of what made it fail is run again.
 *
 * @returns false when the instance had ended already
 */
export async function parkInstance(session: Session, instanceId: string, reason: Reason): Promise<boolean> {
  const transaction = session.begin();
  const [locked = []] = await transaction.flight([call(LOCK, instanceId)]);
  if (locked.length === 0) {
    await transaction.rollback();
    return false;
  }
  const text = JSON.stringify(reason);
  const [commands = [], , , active = []] = await transaction.flight([
    call(PARK_COMMANDS, instanceId, reason.message),
    call(PARK_DELAYED, instanceId),
    call(PARK_LINE, instanceId),
    call(PARK_ACTIVE, instanceId, text),
    call(PARK_REMAINING, instanceId, text),
    call(PARK_COUNTERS, instanceId),
    call(PARK_BROADCASTS, instanceId),
    call(PARK_HELD, instanceId),
  ]);
  const events: HistoryEvent[] = [
    { type: 'command-parked', command: commands[0]?.kinds ?? '', reason },
    ...active.map((row): HistoryEvent => {
      const { task, attempt, id, incarnation_id: incarnation, subtask_index: subtask } = row;
      if (typeof subtask === 'number')
        return { type: 'subtask-ended', task, subtask, incarnation, state: 'stopped', attempt, attemptId: id, reason };
      return { type: 'task-ended', task, state: 'stopped', attempt, attemptId: id, reason };
    }),
    { type: 'remaining-ended', state: 'stopped', reason },
    { type: 'instance-ended', state: 'failed', reason },
  ];
  await transaction.commit([
    call(PARK_END, instanceId, text),
    // Those that came meanwhile: from now on there is no live row to add one for.
    call(PARK_COMMANDS, instanceId, reason.message),
    call(PARK_NOTE, instanceId, JSON.stringify(events), JSON.stringify({ message: reason.message })),
  ]);
  return true;
}
