import { call } from '../connection/session.ts';
import type { OpenSession } from '../connection/session.ts';
import type { Timers } from '../../timers.ts';

/**
 * Locks: due rows with SKIP LOCKED. Like a claim it takes no instance lock: it changes when a task runs, not what runs next. A broadcast gets a
 * command: its instance cannot end before, for a withdrawal waits for the row.
 */
const RELEASE = {
  name: 'timer-release',
  text: `with due as (
           select ctid as place from delayed where due_at <= clock_timestamp() order by due_at limit $1 for update skip locked
         ), gone as (
           delete from delayed where ctid = any(array(select place from due)) returning *
         ), lined as (
           insert into ready (instance_id, task, generation, attempt, losses, worker_group, capability, priority)
           select instance_id, task, generation, attempt, losses, worker_group, capability, priority from gone where not fan_out
         ), told as (
           insert into command (instance_id, kind, payload) select instance_id, 'fan-out', jsonb_build_object('task', task) from gone where fan_out
         ), noted as (
           insert into history (instance_id, events)
           select instance_id, jsonb_agg(jsonb_build_object('type', 'task-ready', 'task', task, 'attempt', attempt))
             from gone where not fan_out group by instance_id
         )
         select distinct case when not fan_out then worker_group end as worker_group from gone`,
};

/** The worker kills its task by its own clock; this is for the one that does not, so it comes a little later. */
const TIMEOUT_SLACK = "interval '5 seconds'";

/** Locks: the attempts' rows with SKIP LOCKED. */
const STRIKE = {
  name: 'timer-strike',
  text: `with due as (
           select id from active
            where timeout_at <= clock_timestamp() - case timeout_action when 'fail' then ${TIMEOUT_SLACK} else interval '0' end
            order by timeout_at limit $1 for no key update skip locked
         ), struck as (
           update active a set timeout_at = null, kill_reason = case when timeout_action = 'fail' then coalesce(kill_reason, 'timeout') else kill_reason end
             where a.id = any(array(select id from due)) returning a.instance_id, a.task, a.attempt, a.id, a.timeout_action
         ), warned as (
           insert into alert (kind, instance_id, payload)
           select 'task-timeout', instance_id, jsonb_build_object('task', task, 'attempt', attempt) from struck where timeout_action = 'warn'
         ), noted as (
           insert into history (instance_id, events)
           select instance_id, jsonb_agg(jsonb_build_object('type', 'timeout-passed', 'task', task, 'attempt', attempt,
                                                            'attemptId', id::text, 'action', timeout_action)) from struck group by instance_id
         )
         select instance_id, task, timeout_action from struck`,
};

const NEXT_DUE = {
  name: 'timer-next',
  text: `select extract(epoch from min(due) - clock_timestamp()) * 1000 as wait from (
           (select due_at as due from delayed order by due_at limit 1)
           union all
           (select timeout_at + case timeout_action when 'fail' then ${TIMEOUT_SLACK} else interval '0' end from active
             where timeout_at is not null order by timeout_at limit 1)
           union all
           (select min(lease_until) from worker_incarnation where state <> 'dead')
         ) as timer`,
};

const CLOCK = {
  name: 'timer-clock',
  text: `select extract(epoch from clock_timestamp()) * 1000 as now, (select timeline_id from pg_control_checkpoint()) as timeline`,
};

/** Timers have a connection of their own: they must be on time when the others are busy. */
export function createTimers(open: OpenSession): Timers & { close(): Promise<void> } {
  const session = open();
  return {
    releaseDelayed: async (limit) => {
      const [rows = []] = await session.run([call(RELEASE, limit)]);
      return rows.map((row) => row.worker_group);
    },
    strikeTimeouts: async (limit) => {
      const [rows = []] = await session.run([call(STRIKE, limit)]);
      return rows.map((row) => ({ instanceId: row.instance_id, task: row.task, action: row.timeout_action }));
    },
    nextDue: async () => {
      const [rows = []] = await session.run([call(NEXT_DUE)]);
      const wait = rows[0]?.wait;
      return wait === null || wait === undefined ? undefined : Math.max(0, Number(wait));
    },
    clock: async () => {
      const [rows = []] = await session.run([call(CLOCK)]);
      return { nowMs: Number(rows[0]?.now), timeline: Number(rows[0]?.timeline) };
    },
    close: () => session.close(),
  };
}
