import type { Invariant } from '../../doctor.ts';

/** What is in a hot table, of one instance ($1) or of all. */
const PLACES = `select instance_id, task, generation, 'ready' as place from ready union all select instance_id, task, generation, 'delayed' from delayed
            union all select instance_id, task, generation, 'held' from held union all select instance_id, task, generation, 'active' from active`;
const COUNTED = `${PLACES} union all select instance_id, task, generation, 'broadcast' from broadcast
            union all select instance_id, task, null, 'need_counter' from need_counter`;
const STRAY = `not exists (select from live_instance l where l.id = t.instance_id and l.generation = coalesce(t.generation, l.generation))`;
const OVER = `not exists (select from live_instance l where l.id = $1 and l.generation <= t.generation)
             and (exists (select from instance_end e where e.instance_id = $1 and e.generation >= t.generation)
                  or exists (select from live_instance l where l.id = $1 and l.generation > t.generation)
                  or not exists (select from workflow_instance i where i.id = $1))`;
const KNOWN_COMMANDS = `('start', 'stop', 'withdrawn', 'settle', 'attempt-ended', 'fan-out', 'pause', 'resume', 'begin', 'skip-task', 'set-priority', 'discard')`;

const dropStray = (table: string): string =>
  `with gone as (delete from ${table} t where t.instance_id = $1 and ${OVER} returning task, generation)
   select format('task %s, generation %s, taken out of ${table}', task, generation) as message, null::jsonb as events from gone`;

const dropEnded = (table: string): string =>
  `with gone as (
     delete from ${table} t using finished_task f
      where t.instance_id = $1 and f.instance_id = $1 and f.task = t.task and f.generation = t.generation returning t.task, f.state
   )
   select format('task %s, which ended %s, taken out of ${table}', task, state) as message, null::jsonb as events from gone`;

const dropSecond = (table: string, besides: string): string =>
  `with gone as (
     delete from ${table} t where t.instance_id = $1 and exists (select from ${besides} o where o.instance_id = $1 and o.task = t.task) returning t.task
   )
   select format('task %s taken out of ${table}: it is in ${besides}', task) as message, null::jsonb as events from gone`;

/** Where a task may be, and what may belong to an instance. */
export const PLACE_RULES: readonly Invariant[] = [
  {
    name: 'command-without-instance',
    explanation: 'a command belongs to a live instance',
    why: 'who writes a command holds the live row, and the step that ends an instance deletes its commands last',
    meaning: 'a live row was deleted by hand, or a command was written without its lock',
    pace: 'fast',
    sql: `select c.instance_id, format('command %s (%s)', c.id, c.kind) as message from command c
           where not exists (select from live_instance l where l.id = c.instance_id)`,
    remedy: {
      repair:
        'moves the command to command_error, unless the instance has no end either (instance-lost mends that first)',
      statements: [
        `with gone as (
           delete from command c where c.instance_id = $1 and not exists (select from live_instance l where l.id = $1)
              and (exists (select from instance_end e where e.instance_id = $1) or not exists (select from workflow_instance i where i.id = $1))
           returning *
         ), kept as (
           insert into command_error (command_id, instance_id, kind, payload, tries, error)
           select id, instance_id, kind, payload, tries, 'its instance is not alive' from gone on conflict (command_id) do nothing
         )
         select format('command %s (%s) moved to command_error', id, kind) as message, null::jsonb as events from gone`,
      ],
    },
  },
  {
    name: 'command-kind-unknown',
    explanation: 'a command is of a kind that this release can apply',
    why: 'a check of the table allows no other',
    meaning: 'a newer release has written it, or the check was dropped',
    pace: 'fast',
    sql: `select c.instance_id, format('command %s (%s)', c.id, c.kind) as message from command c where c.kind not in ${KNOWN_COMMANDS}`,
    remedy: {
      byHand:
        'run a master of the release that wrote it; an older one parks it, and its instance fails with that reason',
    },
  },
  {
    name: 'row-without-instance',
    explanation: 'what is in line, delayed, held, active or counted belongs to a live instance and its generation',
    why: 'the step that ends an instance has seen that nothing of it is left, under its lock',
    meaning: 'a row was restored or written by hand, or an instance was ended too early',
    pace: 'fast',
    sql: `select t.instance_id, format('task %s in %s, generation %s', t.task, t.place, t.generation) as message from (${COUNTED}) t where ${STRAY}`,
    remedy: {
      repair:
        'deletes the row of an instance or generation that has ended or never was; a worker that holds the attempt is told to kill it',
      statements: [
        ...['held', 'delayed', 'ready', 'active', 'broadcast'].map(dropStray),
        `with gone as (
           delete from need_counter t where t.instance_id = $1 and not exists (select from live_instance l where l.id = $1)
              and (exists (select from instance_end e where e.instance_id = $1) or not exists (select from workflow_instance i where i.id = $1)) returning task
         )
         select format('task %s taken out of need_counter', task) as message, null::jsonb as events from gone`,
      ],
    },
  },
  {
    name: 'task-in-two-places',
    explanation: 'a task is in line, delayed, held or active: one of them at most',
    why: 'what moves a task from one to the other is one statement',
    meaning: 'a row was restored or written by hand; a claim of the line fails for it',
    pace: 'fast',
    sql: `select t.instance_id, format('task %s: %s', t.task, string_agg(distinct t.place, ', ')) as message from (${PLACES}) t
           group by t.instance_id, t.task having count(distinct t.place) > 1`,
    remedy: {
      repair:
        'keeps the one that is furthest, so that nothing runs twice: active before in line before delayed before held',
      statements: [
        ...['held', 'delayed', 'ready'].map((table) => dropSecond(table, 'active')),
        dropSecond('held', 'ready'),
        dropSecond('delayed', 'ready'),
        dropSecond('held', 'delayed'),
      ],
    },
  },
  {
    name: 'ended-task-under-way',
    explanation: 'a task that has ended is neither in line nor delayed, held or active in the same generation',
    why: 'the step that writes the end deletes the attempt that it ends, and an end is never changed',
    meaning: 'a row was restored or written by hand; the step that would end it again cannot be made',
    pace: 'fast',
    sql: `select t.instance_id, format('task %s ended %s and is in %s', t.task, f.state, t.place) as message
            from (${PLACES}) t join finished_task f on f.instance_id = t.instance_id and f.task = t.task and f.generation = t.generation`,
    remedy: {
      repair: 'takes it out: its end stands; a worker that holds the attempt is told to kill it',
      statements: ['held', 'delayed', 'ready', 'active'].map(dropEnded),
    },
  },
];
