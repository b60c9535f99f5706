import { SKIPPED_BY_OPERATOR } from '@keelson/core';
import type { Invariant } from '../../doctor.ts';
import { oldestLive } from './live.ts';

/** What a live instance's counts are by its finished tasks. */
const COUNTS = `join workflow_version v on v.id = l.version_id
           cross join lateral (
             select count(*)::int as ended,
                    (count(*) filter (where f.state = 'failed' and coalesce(v.definition->'tasks'->f.task->>'allowFailure', 'false') <> 'true'))::int as failed
               from finished_task f where f.instance_id = l.id and f.generation = l.generation
           ) f
           where (l.unfinished <> v.task_count - f.ended or l.failed <> f.failed)`;

/** Every need of every task of the versions at work, once per version. */
const NEEDS = `needs as materialized (
             select v.id as version_id, t.key as task, n.key as need,
                    array(select json_array_elements_text(n.value)) as accepts
               from workflow_version v cross join lateral json_each(v.definition->'tasks') t cross join lateral json_each(t.value->'needs') n
              where v.id in (select version_id from looked)
           )`;
const OLDEST = `looked as materialized (${oldestLive()})`;
const ONE = 'looked as materialized (select * from live_instance where id = $1)';

/** One that an operator skipped counts as succeeded. */
export const MEETS = `(f.state = any(n.accepts) or f.reason->>'code' = '${SKIPPED_BY_OPERATOR}' and 'succeeded' = any(n.accepts))`;

const MET = `select l.id as instance_id, n.task, count(*)::int as needs,
                   (count(*) filter (where ${MEETS}))::int as met, count(f.state)::int as ended
              from looked l join needs n on n.version_id = l.version_id
              left join finished_task f on f.instance_id = l.id and f.task = n.need and f.generation = l.generation
             where l.state in ('running', 'pausing', 'paused') and l.begun
             group by l.id, n.task`;

const WRONG_COUNTS = `from (${MET}) m
           left join need_counter c on c.instance_id = m.instance_id and c.task = m.task
           where m.needs > 1 and m.met < m.needs and m.met <> coalesce(c.met, 0)
             and not exists (select from finished_task f join live_instance l on l.id = f.instance_id and l.generation = f.generation
                              where f.instance_id = m.instance_id and f.task = m.task)
             and ${['ready', 'delayed', 'held', 'active', 'broadcast']
               .map(
                 (table) =>
                   `not exists (select from ${table} p where p.instance_id = m.instance_id and p.task = m.task)`,
               )
               .join(' and ')}
             and not exists (select from command c where c.instance_id = m.instance_id and c.kind in ('withdrawn', 'fan-out', 'skip-task'))`;

/** How many needs are met, and how many tasks are left, as told by counters and by the rows that they count. */
export const COUNT_RULES: readonly Invariant[] = [
  {
    name: 'unfinished-count',
    explanation:
      'a live instance has as many unfinished tasks as its version has tasks without an end, and as many failures as tasks that failed without allowFailure',
    why: 'the step that writes the ends of tasks writes the counts, under the lock of the instance',
    meaning: 'a row was written by hand, or a step miscounted: the instance would end too early, or never',
    pace: 'slow',
    sql: `select l.id as instance_id, case when l.unfinished <> v.task_count - f.ended
                   then format('%s unfinished by its row, %s by its tasks', l.unfinished, v.task_count - f.ended)
                   else format('%s failed by its row, %s by its tasks', l.failed, f.failed) end as message
            from (${oldestLive()}) l ${COUNTS}`,
    remedy: {
      repair: 'counts again under the lock of the instance, and has a master look whether it is done',
      statements: [
        `with counted as (
           select l.id, v.task_count - f.ended as unfinished, f.failed from live_instance l ${COUNTS} and l.id = $1
         ), mended as (
           update live_instance l set unfinished = c.unfinished, failed = c.failed from counted c where l.id = c.id returning l.id, l.unfinished, l.failed
         ), told as (insert into command (instance_id, kind) select id, 'settle' from mended)
         select format('%s tasks unfinished, %s failed', unfinished, failed) as message, null::jsonb as events from mended`,
      ],
    },
  },
  {
    name: 'need-count',
    explanation: 'the counter of a waiting task is the number of its needs that are met',
    why: 'the step that ends a need counts it, under the lock of the instance',
    meaning: 'a counter was lost or written by hand: the task would start too early, or never',
    pace: 'slow',
    sql: `with ${OLDEST}, ${NEEDS}
          select m.instance_id, format('task %s: %s of %s needs met, counted %s', m.task, m.met, m.needs, coalesce(c.met, 0)) as message ${WRONG_COUNTS}`,
    remedy: {
      repair: 'counts again under the lock of the instance',
      statements: [
        `with ${ONE}, ${NEEDS}, counted as (
           select m.instance_id, m.task, m.met ${WRONG_COUNTS}
         ), mended as (
           insert into need_counter (instance_id, task, met) select instance_id, task, met from counted
           on conflict (instance_id, task) do update set met = excluded.met returning task, met
         )
         select format('task %s: %s needs met', task, met) as message, null::jsonb as events from mended`,
      ],
    },
  },
  {
    name: 'broadcast-count',
    explanation: 'a broadcast counts as many subtasks waiting, running and ended as there are',
    why: 'the step that ends a subtask counts it, under the lock of the instance',
    meaning: 'a row was lost or written by hand: the broadcast would go on without some of its workers, or never end',
    pace: 'slow',
    sql: `select b.instance_id, format('task %s: %s waiting, %s running, %s ended; its rows: %s, %s, %s', b.task, b.waiting, b.running,
                   b.total - b.waiting - b.running, a.waiting, a.running, f.ended) as message
            from broadcast b
           cross join lateral (
             select count(*) filter (where state = 'bound') as waiting, count(*) filter (where state <> 'bound') as running
               from active where instance_id = b.instance_id and task = b.task and subtask <> 0
           ) a
           cross join lateral (
             select count(*) as ended from finished_subtask where instance_id = b.instance_id and task = b.task and generation = b.generation
           ) f
           where b.waiting <> a.waiting or b.running <> a.running or b.total - b.waiting - b.running <> f.ended`,
    remedy: {
      byHand:
        'stop the instance: who ran what is in its history, and `keelson verify --instance ID` says what is missing',
    },
  },
];
