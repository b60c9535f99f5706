import type { HeldTask } from '@keelson/core';
import type { Placement } from '../../../engine.ts';
import { call } from '../../connection/session.ts';
import type { Call } from '../../connection/session.ts';
import { gather, ids } from './decided.ts';
import type { Decided, Push } from './decided.ts';
import { lineColumns } from './write-line.ts';

const LINE = 'instance_id, task, generation, attempt, losses, worker_group, capability, priority';

/**
 * Holds what is delayed, then what is in line. As in a withdrawal each statement waits for timers and claims in flight: what a timer moves on while
 * the first waits is seen by the second, and what a claim binds while that waits goes on, as all that runs does.
 */
const HOLD_DELAYED = {
  name: 'hold-delayed',
  text: `with gone as (delete from delayed where instance_id = any($1::bigint[]) returning *)
         insert into held (${LINE}, cause, delay_left_ms, fan_out)
         select ${LINE}, cause, greatest(0, extract(epoch from due_at - clock_timestamp())::float8 * 1000), fan_out from gone`,
};
const HOLD_READY = {
  name: 'hold-ready',
  text: `with gone as (delete from ready where instance_id = any($1::bigint[]) returning *)
         insert into held (${LINE}) select ${LINE} from gone`,
};

const HOLD = {
  name: 'write-held',
  text: `insert into held (${LINE}, cause, delay_left_ms, fan_out)
         select * from unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::int[], $6::text[], $7::text[], $8::int[], $9::text[], $10::float8[], $11::bool[])`,
};

/** Answers who has to be woken: the kinds of what is in line now, and whether a timer or a command has come. */
const RELEASE = {
  name: 'release-held',
  text: `with gone as (
           delete from held where instance_id = any($1::bigint[]) returning *
         ), lined as (
           insert into ready (${LINE}) select ${LINE} from gone where cause is null and not fan_out order by priority desc, instance_id, task
         ), later as (
           insert into delayed (${LINE}, cause, due_at, fan_out)
           select ${LINE}, cause, clock_timestamp() + delay_left_ms * interval '1 millisecond', fan_out from gone where cause is not null
         ), told as (
           insert into command (instance_id, kind, payload)
           select instance_id, 'fan-out', jsonb_build_object('task', task) from gone where cause is null and fan_out
         )
         select distinct worker_group, capability, case when cause is not null then 'delayed' when fan_out then 'command' else 'ready' end as place from gone`,
};

const takeBackFrom = (table: 'delayed' | 'ready' | 'held'): string =>
  `with gone as (
     delete from ${table} t using unnest($1::bigint[], $2::text[], $3::text[]) as k(instance_id, task, asker)
      where t.instance_id = k.instance_id and t.task = k.task returning t.instance_id, t.task, t.attempt, k.asker
   )
   insert into command (instance_id, kind, payload)
   select instance_id, 'withdrawn', jsonb_build_object('by', asker, 'tasks', jsonb_agg(jsonb_build_object('task', task, 'attempt', attempt, 'from', '${table}')))
     from gone group by instance_id, asker`;
const TAKE_BACK_DELAYED = { name: 'take-back-delayed', text: takeBackFrom('delayed') };
const TAKE_BACK_READY = { name: 'take-back-ready', text: takeBackFrom('ready') };
const TAKE_BACK_HELD = { name: 'take-back-held', text: takeBackFrom('held') };
const SKIP_LATER = {
  name: 'skip-later',
  text: `insert into command (instance_id, kind, payload)
         select u.instance_id, 'skip-task', jsonb_build_object('task', u.task, 'by', u.asker) from unnest($1::bigint[], $2::text[], $3::text[]) as u(instance_id, task, asker)`,
};

/** Delayed before ready, as above: a task that a timer moves on meanwhile is met where it is then. */
const shiftIn = (table: 'delayed' | 'ready' | 'held'): string =>
  `update ${table} t set priority = t.priority + k.shift from unnest($1::bigint[], $2::int[]) as k(instance_id, shift) where t.instance_id = k.instance_id`;
const SHIFT_DELAYED = { name: 'shift-delayed', text: shiftIn('delayed') };
const SHIFT_READY = { name: 'shift-ready', text: shiftIn('ready') };
const SHIFT_HELD = { name: 'shift-held', text: shiftIn('held') };

/** Holds what is in line, and lets go what was held, in that order: both were asked for at once. */
export function writeHolds(decided: readonly Decided[], push: Push): void {
  const holding = ids(decided.filter(({ changes }) => changes.withdraw === 'hold'));
  push(holding, () => call(HOLD_DELAYED, holding));
  push(holding, () => call(HOLD_READY, holding));
}

/** Whether it is the call of `writeReleases`. */
export const releasesHeld = ({ statement }: Call): boolean => statement === RELEASE;

/** Held tasks go where they would be. */
export function writeReleases(decided: readonly Decided[], push: Push): void {
  const released = ids(decided.filter(({ changes }) => changes.release));
  push(released, () => call(RELEASE, released));
}

/** Tasks that somebody wants skipped leave the line; the next step is told which did. */
export function writeTakeBacks(decided: readonly Decided[], push: Push): void {
  const asked = gather(decided, ({ changes }) => changes.takeBack);
  const columns = [ids(asked), asked.map(({ item }) => item.task), asked.map(({ item }) => item.by)];
  for (const statement of [TAKE_BACK_DELAYED, TAKE_BACK_READY, TAKE_BACK_HELD, SKIP_LATER])
    push(asked, () => call(statement, ...columns));
}

/** The priority of what is in line already. */
export function writeShifts(decided: readonly Decided[], push: Push): void {
  const shifted = decided.filter(({ changes }) => changes.shiftPriority !== 0);
  const columns = [ids(shifted), shifted.map(({ changes }) => changes.shiftPriority)];
  for (const statement of [SHIFT_DELAYED, SHIFT_READY, SHIFT_HELD]) push(shifted, () => call(statement, ...columns));
}

/** What would be in line or delayed if its instance went on. */
export function writeHeld(decided: readonly Decided[], push: Push): void {
  const held = gather(decided, ({ changes, heldAs }) =>
    changes.held.map((item, index) => ({ ...heldAs[index], ...item }) as Placement & HeldTask),
  );
  push(held, () =>
    call(
      HOLD,
      ...lineColumns(held),
      held.map(({ item }) => item.cause ?? null),
      held.map(({ item }) => item.delayMs),
      held.map(({ item }) => item.fanOut === true),
    ),
  );
}
