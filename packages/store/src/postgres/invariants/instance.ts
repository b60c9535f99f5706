import type { Invariant } from '../../doctor.ts';
import { endedFollowups } from '../engine/ended.ts';
import { REVIVALS, SAYS_ENDED } from './generation.ts';

/** Of the append-only tables only so many of the newest rows are looked at; `keelson verify` reads all. */
const NEWEST = 10_000;
const NEWEST_WITH_BLOBS = 2000;

const ENDED = `(select * from instance_end order by instance_id desc, generation desc limit ${NEWEST}) e`;
const VERSION = `join workflow_instance i on i.id = e.instance_id
           left join instance_generation g on g.instance_id = e.instance_id and g.generation = e.generation
           join workflow_version v on v.id = coalesce(g.version_id, i.version_id)`;
/** The histories of the generations before and after an end `e` ($1) are not its own. */
const OF_GENERATION = `h.id >= coalesce((select max(s.id) from history s cross join lateral jsonb_array_elements(s.events) x
                                          where s.instance_id = $1 and x->>'type' = 'generation-created' and (x->>'generation')::int <= e.generation), 0)
               and h.id < coalesce((select min(s.id) from history s cross join lateral jsonb_array_elements(s.events) x
                                     where s.instance_id = $1 and x->>'type' = 'generation-created' and (x->>'generation')::int > e.generation), 9223372036854775807)`;
const NO_END = `${VERSION}
           cross join lateral (select count(*)::int as ended from finished_task f where f.instance_id = e.instance_id and f.generation = e.generation) f
           where f.ended <> v.task_count`;

const GHOST = ['ready', 'delayed', 'held', 'active', 'need_counter', 'broadcast'].map(
  (table) =>
    `with gone as (
       delete from ${table} t where t.instance_id = $1 and ${SAYS_ENDED}
          and exists (select from live_instance l join instance_end e on e.instance_id = l.id and e.generation >= l.generation where l.id = $1) returning task
     )
     select format('task %s taken out of ${table}', task) as message, null::jsonb as events from gone`,
);

/** That an instance is in one place, and what it is made of in all of them. */
export const INSTANCE_RULES: readonly Invariant[] = [
  {
    name: 'live-and-ended',
    explanation: 'a live instance has no end in its generation or a later one',
    why: 'the step that writes the end deletes the live row',
    meaning: 'a row was restored or written by hand',
    pace: 'fast',
    sql: `select l.id as instance_id, format('ended %s in generation %s, alive in %s', e.state, e.generation, l.generation) as message
            from live_instance l join instance_end e on e.instance_id = l.id and e.generation >= l.generation`,
    remedy: {
      repair: 'believes the history: deletes what is alive if it says that the instance has ended, else the end',
      statements: [
        `with gone as (
           delete from instance_end e where e.instance_id = $1 and not ${SAYS_ENDED}
              and exists (select from live_instance l where l.id = $1 and l.generation <= e.generation) returning state
         )
         select format('the end (%s) is deleted: the history does not know it', state) as message, null::jsonb as events from gone`,
        ...GHOST,
        `with gone as (
           delete from command c where c.instance_id = $1 and ${SAYS_ENDED}
              and exists (select from live_instance l join instance_end e on e.instance_id = l.id and e.generation >= l.generation where l.id = $1) returning *
         ), kept as (
           insert into command_error (command_id, instance_id, kind, payload, tries, error)
           select id, instance_id, kind, payload, tries, 'its instance has ended' from gone on conflict (command_id) do nothing
         )
         select format('command %s (%s) moved to command_error', id, kind) as message, null::jsonb as events from gone`,
        `with gone as (
           delete from live_instance l where l.id = $1 and ${SAYS_ENDED}
              and exists (select from instance_end e where e.instance_id = l.id and e.generation >= l.generation) returning *
         ), ${endedFollowups('gone')}
         select format('the live row (%s) is deleted: the history says that it has ended', state) as message, null::jsonb as events from gone`,
      ],
    },
  },
  {
    name: 'instance-lost',
    explanation: `an instance is alive or has ended (looked at: the newest ${NEWEST})`,
    why: 'it is committed together with its live row, and the step that deletes that writes the end',
    meaning: 'a row was deleted by hand or lost in a restore: an acknowledged start would be forgotten',
    pace: 'slow',
    sql: `select i.id as instance_id, 'neither alive nor ended' as message
            from (select id from workflow_instance order by id desc limit ${NEWEST}) i
           where not exists (select from live_instance l where l.id = i.id) and not exists (select from instance_end e where e.instance_id = i.id)`,
    remedy: {
      repair:
        'believes the history: writes the end that it tells, else makes the live row again from what the tasks say',
      statements: REVIVALS,
    },
  },
  {
    name: 'ended-without-tasks',
    explanation: `an instance that has ended has an end for each of its tasks (looked at: the newest ${NEWEST})`,
    why: 'an instance ends when no task is left, and a stop or a park ends those that are',
    meaning: 'rows were deleted by hand, or a release before 0.2 parked the instance',
    pace: 'slow',
    sql: `select e.instance_id, format('%s of %s tasks have ended', f.ended, v.task_count) as message from ${ENDED} ${NO_END}`,
    remedy: {
      repair: 'ends those of which the history tells no end as stopped; a row that it tells of is only in a backup',
      statements: [
        `with missing as (
           select e.instance_id, e.generation, t.task from (select * from instance_end where instance_id = $1) e ${VERSION}
            cross join lateral json_object_keys(v.definition->'tasks') as t(task)
            where not exists (select from finished_task f where f.instance_id = $1 and f.task = t.task and f.generation = e.generation)
              and not exists (select from history h cross join lateral jsonb_array_elements(h.events) x
                               where h.instance_id = $1 and ${OF_GENERATION}
                                 and (x->>'type' in ('task-ended', 'remaining-ended') and coalesce(x->>'task', t.task) = t.task
                                      or coalesce(x->'carried', case when x->>'type' = 'tasks-carried' then x->'tasks' end) ? t.task))
         ), told as (
           insert into finished_task (instance_id, generation, task, state, attempt, ended_at, reason)
           select instance_id, generation, task, 'stopped', 0, clock_timestamp(),
                  jsonb_build_object('code', 'instance-stopped', 'message', 'it had not ended when its instance did') from missing
         )
         select format('ended as stopped: %s', string_agg(task, ', ' order by task)) as message,
                jsonb_build_array(jsonb_build_object('type', 'remaining-ended', 'state', 'stopped', 'reason',
                  jsonb_build_object('code', 'instance-stopped', 'message', 'it had not ended when its instance did'))) as events
           from missing having count(*) > 0`,
      ],
    },
  },
  {
    name: 'start-key-without-instance',
    explanation: `an idempotency key names an instance that is there (looked at: the newest ${NEWEST})`,
    why: 'key and instance are committed in one statement',
    meaning:
      'the instance was deleted by hand or lost in a restore: a client that repeats its call is given an id that leads nowhere',
    pace: 'slow',
    sql: `select k.instance_id, format('key %s of workflow %s', left(k.key, 100), k.workflow_id) as message
            from (select * from start_key order by created_at desc limit ${NEWEST}) k
           where k.instance_id > (select removed_up_to from retention_state) and not exists (select from workflow_instance i where i.id = k.instance_id)`,
    remedy: {
      repair: 'forgets the key: the client that repeats its call gets a new instance',
      statements: [
        `with gone as (
           delete from start_key k where k.instance_id = $1 and not exists (select from workflow_instance i where i.id = $1) returning key
         )
         select format('key %s forgotten', left(key, 100)) as message, null::jsonb as events from gone`,
      ],
    },
  },
  {
    name: 'history-without-instance',
    explanation: `a history is that of an instance (looked at: the newest ${NEWEST} entries)`,
    why: 'an instance and its first entry are committed in one statement, and retention notes what it removes before it removes it',
    meaning: 'the instance was deleted by hand or lost in a restore',
    pace: 'slow',
    sql: `select distinct h.instance_id, 'its history is there, the instance is not' as message
            from (select instance_id from history order by instance_id desc, id desc limit ${NEWEST}) h
           where not exists (select from workflow_instance i where i.id = h.instance_id)
             and not exists (select from removal r where h.instance_id between r.first_id and r.last_id)`,
    remedy: { byHand: 'restore workflow_instance from a backup; the history says what the instance was' },
  },
  {
    name: 'blob-missing',
    explanation: `what a version's files or a task's artifacts name is there, where blobs lie in PostgreSQL (looked at: all versions, the newest ${NEWEST_WITH_BLOBS} instances)`,
    why: 'files are uploaded before a version is written, and artifacts before success is reported; retention leaves both for as long as they are named',
    meaning: 'blobs were deleted by hand or lost in a restore: tasks that need them fail with file-missing',
    pace: 'slow',
    sql: `select null::bigint as instance_id, format('version %s: %s, sha256 %s', v.id, f->>'path', f->>'sha256') as message
            from workflow_version v cross join lateral jsonb_array_elements(v.files) f
           where not exists (select from blob b where b.sha256 = f->>'sha256') and exists (select from blob)
          union all
          select t.instance_id, format('task %s: %s, sha256 %s', t.task, a->>'path', a->>'sha256')
            from (select id from workflow_instance order by id desc limit ${NEWEST_WITH_BLOBS}) i
            join finished_task t on t.instance_id = i.id and t.artifacts is not null
           cross join lateral jsonb_array_elements(t.artifacts) a
           where not exists (select from blob b where b.sha256 = a->>'sha256') and exists (select from blob)`,
    remedy: { byHand: 'apply the workflow again from its files, or restore blob and blob_chunk from a backup' },
  },
];
