import type { Invariant } from '../doctor.ts';

/** How long something due may be left lying before that is a finding and not just a busy moment. */
const PATIENCE = "interval '1 minute'";
const RECENT_INSTANCES = 10_000;

/** Each statement selects `instance_id` and `message`. */
export const INVARIANTS: readonly Invariant[] = [
  {
    name: 'instance-without-driver',
    explanation:
      'a live instance has a command, a task in line, a delayed task or an active attempt: else nothing will ever move it',
    sql: `select l.id as instance_id, format('%s, %s tasks unfinished', l.state, l.unfinished) as message from live_instance l
           where l.state in ('running', 'pausing', 'stopping')
             and not exists (select from command c where c.instance_id = l.id) and not exists (select from ready r where r.instance_id = l.id)
             and not exists (select from delayed d where d.instance_id = l.id) and not exists (select from active a where a.instance_id = l.id)`,
  },
  {
    name: 'attempt-of-dead-worker',
    explanation: 'an active attempt is held by a worker that is not dead, or a command says that it ended',
    sql: `select a.instance_id, format('task %s, attempt %s, worker %s is dead', a.task, a.attempt, coalesce(w.name, a.incarnation_id::text)) as message
            from active a left join worker_incarnation w on w.id = a.incarnation_id
           where (w.id is null or w.state = 'dead')
             and not exists (select from command c where c.instance_id = a.instance_id and c.kind = 'attempt-ended' and c.payload->>'attemptId' = a.id::text)`,
  },
  {
    name: 'lease-not-expired',
    explanation: 'a worker whose lease is over is marked dead by some master within a lease and a minute',
    sql: `select null::bigint as instance_id, format('worker %s (%s), lease over since %s', w.name, w.id, w.lease_until) as message
            from worker_incarnation w
           where w.state <> 'dead' and w.lease_until + w.lease_ms * interval '1 millisecond' + ${PATIENCE} < clock_timestamp()
             and clock_timestamp() > server_up_since() + 2 * w.lease_ms * interval '1 millisecond' + ${PATIENCE}`,
  },
  {
    name: 'command-without-instance',
    explanation: 'a command belongs to a live instance',
    sql: `select c.instance_id, format('command %s (%s)', c.id, c.kind) as message from command c
           where not exists (select from live_instance l where l.id = c.instance_id)`,
  },
  {
    name: 'command-overdue',
    explanation: 'a command that may be applied is applied, put off or parked within a minute while a master runs',
    sql: `select c.instance_id, format('command %s (%s), tried %s times, waits since %s', c.id, c.kind, c.tries, greatest(c.created_at, c.not_before)) as message
            from command c where greatest(c.created_at, c.not_before) < clock_timestamp() - ${PATIENCE}`,
  },
  {
    name: 'timer-overdue',
    explanation: 'a delayed task whose time has come is put in line within a minute while a master runs',
    sql: `select d.instance_id, format('task %s, due at %s', d.task, d.due_at) as message from delayed d where d.due_at < clock_timestamp() - ${PATIENCE}`,
  },
  {
    name: 'row-without-instance',
    explanation: 'what is in line, delayed, active or counted belongs to a live instance and its generation',
    sql: `select t.instance_id, format('task %s in %s, generation %s', t.task, t.place, t.generation) as message from (
            select instance_id, task, generation, 'ready' as place from ready union all select instance_id, task, generation, 'delayed' from delayed
            union all select instance_id, task, generation, 'active' from active union all select instance_id, task, null, 'need_counter' from need_counter
          ) t where not exists (select from live_instance l where l.id = t.instance_id and l.generation = coalesce(t.generation, l.generation))`,
  },
  {
    name: 'task-in-two-places',
    explanation: 'a task is in line, delayed or active: one of them at most',
    sql: `select t.instance_id, format('task %s: %s', t.task, string_agg(t.place, ', ' order by t.place)) as message from (
            select instance_id, task, 'ready' as place from ready union all select instance_id, task, 'delayed' from delayed
            union all select instance_id, task, 'active' from active
          ) t group by t.instance_id, t.task having count(*) > 1`,
  },
  {
    name: 'ended-task-under-way',
    explanation: 'a task that has ended is neither in line nor delayed nor active in the same generation',
    sql: `select t.instance_id, format('task %s ended %s and is in %s', t.task, f.state, t.place) as message from (
            select instance_id, task, generation, 'ready' as place from ready union all select instance_id, task, generation, 'delayed' from delayed
            union all select instance_id, task, generation, 'active' from active
          ) t join finished_task f on f.instance_id = t.instance_id and f.task = t.task and f.generation = t.generation`,
  },
  {
    name: 'unfinished-count',
    explanation: 'a live instance has as many unfinished tasks as its version has tasks without an end',
    sql: `select l.id as instance_id, format('%s unfinished by its row, %s by its tasks', l.unfinished, v.task_count - f.ended) as message
            from live_instance l join workflow_version v on v.id = l.version_id
           cross join lateral (select count(*) as ended from finished_task f where f.instance_id = l.id and f.generation = l.generation) f
           where l.unfinished <> v.task_count - f.ended`,
  },
  {
    name: 'live-and-ended',
    explanation: 'a live instance has no end in its generation or a later one',
    sql: `select l.id as instance_id, format('ended %s in generation %s, alive in %s', e.state, e.generation, l.generation) as message
            from live_instance l join instance_end e on e.instance_id = l.id and e.generation >= l.generation`,
  },
  {
    name: 'instance-lost',
    explanation: `an instance is alive or has ended (looked at: the newest ${RECENT_INSTANCES})`,
    sql: `select i.id as instance_id, 'neither alive nor ended' as message
            from (select id from workflow_instance order by id desc limit ${RECENT_INSTANCES}) i
           where not exists (select from live_instance l where l.id = i.id) and not exists (select from instance_end e where e.instance_id = i.id)`,
  },
];
