import type { Invariant } from '../../doctor.ts';
import { MEETS } from './count.ts';
import { SINCE } from './generation.ts';
import { oldestLive } from './live.ts';

const UNDER_WAY = "state in ('running', 'pausing', 'paused') and begun";

/**
 * Tasks of running instances that nothing drives: without an end, in no line, not active, not taken back by a command that waits, and no
 * need is left that could still end.
 */
const bare = (looked: string): string => `looked as materialized (
             ${looked}
           ), planned as materialized (
             select v.id as version_id, t.key as task, t.value as definition
               from workflow_version v cross join lateral json_each(v.definition->'tasks') t
              where v.id in (select version_id from looked)
           ), needs as materialized (
             select p.version_id, p.task, n.key as need, array(select json_array_elements_text(n.value)) as accepts
               from planned p cross join lateral json_each(p.definition->'needs') n
           ), bare as (
             select l.id as instance_id, l.generation, p.task, p.version_id, p.definition from looked l join planned p on p.version_id = l.version_id
              where not exists (select from finished_task f where f.instance_id = l.id and f.task = p.task and f.generation = l.generation)
                and not exists (select from ready r where r.instance_id = l.id and r.task = p.task)
                and not exists (select from delayed d where d.instance_id = l.id and d.task = p.task)
                and not exists (select from held h where h.instance_id = l.id and h.task = p.task)
                and not exists (select from active a where a.instance_id = l.id and a.task = p.task)
                and not exists (select from command c where c.instance_id = l.id and (c.kind = 'withdrawn' or (c.kind in ('fan-out', 'skip-task') and c.payload->>'task' = p.task)))
                and not exists (select from needs n where n.version_id = p.version_id and n.task = p.task
                                   and not exists (select from finished_task f where f.instance_id = l.id and f.task = n.need and f.generation = l.generation))
           )`;

/**
 * By the history's last word on the task. An attempt that a worker may still hold is left alone; all else becomes an attempt of a worker that
 * does not exist, with the command that says that it was lost: what follows is the engine's usual answer to a loss.
 */
const REVIVE = `with ${bare(`select * from live_instance where ${UNDER_WAY} and id = $1`)}, said as (
       select b.*, last.event, coalesce(last.event->>'type', 'none') as type, coalesce((last.event->>'attempt')::int, 0) as attempt,
              (select count(*)::int from history h cross join lateral jsonb_array_elements(h.events) e
                where h.instance_id = $1 and h.id >= ${SINCE} and e->>'task' = b.task and e->>'type' = 'attempt-ended' and e->>'end' in ('lost', 'stopped')) as losses
         from bare b left join lateral (
           select e.event from history h cross join lateral jsonb_array_elements(h.events) with ordinality as e(event, at)
            where h.instance_id = $1 and h.id >= ${SINCE} and e.event->>'task' = b.task
              and e.event->>'type' not in ('generation-created', 'generation-started', 'skip-requested', 'operation-refused') order by h.id desc, e.at desc limit 1
         ) last on true
        where b.definition->'broadcast' is null
     ), held as (
       select s.*, (select (e->>'incarnation')::bigint from history h cross join lateral jsonb_array_elements(h.events) e
                     where h.instance_id = $1 and e->>'type' = 'task-dispatched' and e->>'attemptId' = s.event->>'attemptId' limit 1) as incarnation_id
         from said s
     ), lost as (
       select h.generation, h.task, h.losses, h.type,
              case h.type when 'none' then 1 when 'attempt-ended' then h.attempt + 1 else h.attempt end as attempt,
              case when h.type in ('task-dispatched', 'task-running', 'timeout-passed') then (h.event->>'attemptId')::bigint else nextval('attempt_id') end as id,
              case when h.type in ('task-dispatched', 'task-running', 'timeout-passed') then h.incarnation_id else 0 end as incarnation_id
         from held h
        where h.type in ('task-ready', 'task-delayed', 'attempt-ended')
           or (h.type in ('task-dispatched', 'task-running', 'timeout-passed')
               and not exists (select from worker_incarnation w where w.id = h.incarnation_id and w.state <> 'dead'))
           or (h.type = 'none' and h.definition->'if' is null
               and not exists (select from needs n join finished_task f on f.instance_id = $1 and f.task = n.need and f.generation = h.generation
                                where n.version_id = h.version_id and n.task = h.task and not ${MEETS}))
     ), bound as (
       insert into active (id, instance_id, task, generation, attempt, losses, incarnation_id, nonce, ready_at)
       select id, $1, task, generation, attempt, losses, incarnation_id, 'repaired', clock_timestamp() from lost
     ), told as (
       insert into command (instance_id, kind, payload)
       select $1, 'attempt-ended', jsonb_build_object('attemptId', id::text, 'end', 'lost',
                'reason', jsonb_build_object('code', 'worker-lost', 'message', 'nothing drove it: the doctor gave it up for lost'))
         from lost
     ), counted as (
       delete from need_counter c using lost where c.instance_id = $1 and c.task = lost.task
     )
     select format('attempt %s of task %s is told to be lost', attempt, task) as message,
            case when incarnation_id <> 0 then null else
              (case when type in ('none', 'attempt-ended') then jsonb_build_array(jsonb_build_object('type', 'task-ready', 'task', task, 'attempt', attempt)) else '[]' end)
              || jsonb_build_array(jsonb_build_object('type', 'task-dispatched', 'task', task, 'attempt', attempt, 'attemptId', id::text, 'incarnation', '0'))
            end as events
       from lost`;

/** Every task that has not ended waits for something that will come. */
export const TASK_RULES: readonly Invariant[] = [
  {
    name: 'task-without-driver',
    explanation:
      'a task of an instance that goes on has ended, is in line, delayed, held or active, is being taken back or spread, or waits for a task that has not ended',
    why: 'the step that ends the last need of a task decides in the same transaction what becomes of it',
    meaning: 'a row was lost or written by hand, or a step forgot what follows: the instance would never end',
    pace: 'slow',
    sql: `with ${bare(oldestLive(UNDER_WAY))}
          select instance_id, format('task %s has no row, and nothing that it needs is left', task) as message from bare`,
    remedy: {
      repair:
        'gives the task up for lost as after the death of a worker, so that another attempt follows; not when a living worker may still hold it (restart that worker), nor when its `if` or a need that is not met has to be decided (stop the instance)',
      statements: [REVIVE],
    },
  },
  {
    name: 'two-active-attempts',
    explanation: 'a task, and each subtask of a broadcast, has at most one active attempt',
    why: 'a unique key of the table allows no second one',
    meaning: 'the key was dropped or its index is damaged',
    pace: 'fast',
    sql: `select a.instance_id, format('task %s: attempts %s', a.task, string_agg(a.id::text, ', ' order by a.id)) as message
            from active a group by a.instance_id, a.task, a.subtask having count(*) > 1`,
    remedy: {
      byHand:
        'stop the instance, which kills both; then `reindex table active`, which fails for as long as there are two',
    },
  },
];
