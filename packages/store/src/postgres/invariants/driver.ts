import type { Invariant } from '../../doctor.ts';

/** How long something due may be left lying before that is a finding and not just a busy moment. */
const PATIENCE = "interval '1 minute'";

/** What a pausing one holds drives nothing, and neither do subtasks that nobody may hand over: it is an end of what runs, or a settle, that pauses it. */
const NO_DRIVER = `l.state in ('running', 'pausing', 'stopping')
             and not exists (select from command c where c.instance_id = l.id)
             and not exists (select from active a where a.instance_id = l.id and (l.state <> 'pausing' or a.state <> 'bound'))
             and (l.state = 'pausing' or not exists (select from ready r where r.instance_id = l.id)
                                         and not exists (select from delayed d where d.instance_id = l.id))`;

const LOST = `from active a left join worker_incarnation w on w.id = a.incarnation_id
           where (w.id is null or w.state = 'dead')
             and not exists (select from command c where c.instance_id = a.instance_id and c.kind = 'attempt-ended' and c.payload->>'attemptId' = a.id::text)`;

/** Rows that something has to move on: a command, a timer, an attempt of a living worker. */
export const DRIVER_RULES: readonly Invariant[] = [
  {
    name: 'instance-without-driver',
    explanation:
      'a live instance that is neither paused nor queued has a command, a task in line, a delayed task or an active attempt: else nothing will ever move it',
    why: 'a start commits the instance together with its command, and each step writes what follows in the same transaction',
    meaning: 'a row was lost or written by hand, or a step forgot what follows: a bug',
    pace: 'fast',
    sql: `select l.id as instance_id, format('%s, %s tasks unfinished', l.state, l.unfinished) as message from live_instance l where ${NO_DRIVER}`,
    remedy: {
      repair:
        'gives it the command that looks again: `start` or `begin` before its first step, `settle` when it is stopping or pausing or has no task left; else task-without-driver mends its tasks',
      statements: [
        `with bare as (
           select l.id, l.generation, case when l.state <> 'running' or l.begun then 'settle' when l.generation = 1 then 'start' else 'begin' end as kind
             from live_instance l
            where l.id = $1 and ${NO_DRIVER} and (l.state <> 'running' or not l.begun or l.unfinished = 0)
         ), told as (
           insert into command (instance_id, kind, payload)
           select b.id, b.kind, case b.kind when 'begin' then jsonb_strip_nulls(jsonb_build_object('mode', g.mode, 'task', g.task, 'by', g.created_by)) else '{}' end
             from bare b left join instance_generation g on g.instance_id = b.id and g.generation = b.generation
         )
         select format('command %s given', kind) as message, null::jsonb as events from bare`,
      ],
    },
  },
  {
    name: 'attempt-of-dead-worker',
    explanation: 'an active attempt is held by a worker that is not dead, or a command says that it ended',
    why: 'binding an attempt locks its worker against expiry, and an expiry writes a command for each attempt in its own transaction',
    meaning: 'the worker row was changed by hand, or a command was lost: the attempt would stay active for ever',
    pace: 'fast',
    sql: `select a.instance_id, format('task %s, attempt %s, worker %s is dead', a.task, a.attempt, coalesce(w.name, a.incarnation_id::text)) as message ${LOST}`,
    remedy: {
      repair: 'writes the command that ends the attempt as lost; another follows as after every loss',
      statements: [
        `with lost as (
           select a.instance_id, a.id, a.task, a.attempt ${LOST} and a.instance_id = $1 and exists (select from live_instance where id = $1)
         ), told as (
           insert into command (instance_id, kind, payload)
           select instance_id, 'attempt-ended',
                  jsonb_build_object('attemptId', id::text, 'end', 'lost', 'reason', jsonb_build_object('code', 'worker-lost', 'message', 'its worker is dead'))
             from lost
         )
         select format('attempt %s of task %s is told to be lost', attempt, task) as message, null::jsonb as events from lost`,
      ],
    },
  },
  {
    name: 'lease-not-expired',
    explanation: 'a worker whose lease is over is marked dead by some master within a lease and a minute',
    why: 'each master looks for leases that are over, all the time',
    meaning: 'no master runs, or none can reach the database',
    pace: 'doctor',
    sql: `select null::bigint as instance_id, format('worker %s (%s), lease over since %s', w.name, w.id, w.lease_until) as message
            from worker_incarnation w
           where w.state <> 'dead' and w.lease_until + w.lease_ms * interval '1 millisecond' + ${PATIENCE} < clock_timestamp()
             and clock_timestamp() > server_up_since() + 2 * w.lease_ms * interval '1 millisecond' + ${PATIENCE}`,
    remedy: { byHand: 'start a server with the role master (`keelson nodes` shows those that run), and read its log' },
  },
  {
    name: 'command-overdue',
    explanation: 'a command that may be applied is applied, put off or parked within a minute while a master runs',
    why: 'masters are woken by each command and look once a second besides',
    meaning: 'no master runs, or the masters have more to do than they can',
    pace: 'doctor',
    sql: `select c.instance_id, format('command %s (%s), tried %s times, waits since %s', c.id, c.kind, c.tries, greatest(c.created_at, c.not_before)) as message
            from command c where greatest(c.created_at, c.not_before) < clock_timestamp() - ${PATIENCE}`,
    remedy: { byHand: 'start a server with the role master; if one runs, read its log for steps that fail' },
  },
  {
    name: 'timer-overdue',
    explanation: 'a delayed task whose time has come is put in line within a minute while a master runs',
    why: 'each master sleeps until the earliest delay ends, and never longer than a second',
    meaning: 'no master runs, or none can reach the database',
    pace: 'doctor',
    sql: `select d.instance_id, format('task %s, due at %s', d.task, d.due_at) as message from delayed d where d.due_at < clock_timestamp() - ${PATIENCE}`,
    remedy: { byHand: 'start a server with the role master, and read its log' },
  },
  {
    name: 'alert-overdue',
    explanation: 'an alert leaves the outbox within an hour',
    why: 'the role alert tries each again, after an hour at the latest',
    meaning: 'no server has the role alert, or a webhook does not answer',
    pace: 'doctor',
    sql: `select a.instance_id, format('alert %s (%s) of %s, tried %s times: %s', a.id, a.kind, a.created_at, a.tries, coalesce(a.last_error, 'no error')) as message
            from alert a where a.delivered_at is null and a.created_at < clock_timestamp() - interval '1 hour'`,
    remedy: { byHand: 'start a server with the role alert, or mend the webhook that its error names' },
  },
];
