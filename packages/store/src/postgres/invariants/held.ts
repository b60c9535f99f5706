import type { Invariant } from '../../doctor.ts';

const HOLDING = "('pausing', 'paused')";
const LINE = 'instance_id, task, generation, attempt, losses, worker_group, capability, priority';
const STATE = 'select 1 from live_instance l where l.id = $1 and l.state';

const hold = (table: 'ready' | 'delayed'): string => {
  const rest =
    table === 'ready'
      ? 'null, 0, false'
      : 'cause, greatest(0, extract(epoch from due_at - clock_timestamp())::float8 * 1000), fan_out';
  return `with gone as (
       delete from ${table} t where t.instance_id = $1 and exists (${STATE} in ${HOLDING}) returning *
     ), kept as (
       insert into held (${LINE}, cause, delay_left_ms, fan_out) select ${LINE}, ${rest} from gone
     )
     select format('task %s, which was in ${table}, is held', task) as message, null::jsonb as events from gone`;
};

/** What a pause holds. */
export const HELD_RULES: readonly Invariant[] = [
  {
    name: 'held-out-of-place',
    explanation:
      'while an instance is pausing or paused nothing of it is in line or delayed, and nothing is held of any other',
    why: 'the step that pauses or resumes an instance moves its tasks, and every later one puts them where that state wants them',
    meaning: 'a row was restored or written by hand: a task would run while its instance is paused, or never',
    pace: 'fast',
    sql: `select t.instance_id, format('task %s is in %s while its instance is %s', t.task, t.place, l.state) as message
            from (select instance_id, task, 'held' as place from held union all select instance_id, task, 'ready' from ready
                  union all select instance_id, task, 'delayed' from delayed) t
            join live_instance l on l.id = t.instance_id
           where (t.place = 'held') <> (l.state in ${HOLDING})`,
    remedy: {
      repair:
        'moves the task where the state of its instance wants it; of one that is being stopped it is taken out, for it ends with the others',
      statements: [
        `with gone as (
           delete from held t where t.instance_id = $1 and exists (${STATE} = 'running') returning *
         ), lined as (
           insert into ready (${LINE}) select ${LINE} from gone where cause is null
         ), later as (
           insert into delayed (${LINE}, cause, due_at, fan_out)
           select ${LINE}, cause, clock_timestamp() + delay_left_ms * interval '1 millisecond', fan_out from gone where cause is not null
         )
         select format('task %s is no longer held', task) as message, null::jsonb as events from gone`,
        `with gone as (delete from held t where t.instance_id = $1 and exists (${STATE} in ('stopping', 'queued')) returning task)
         select format('task %s taken out of held', task) as message, null::jsonb as events from gone`,
        hold('delayed'),
        hold('ready'),
      ],
    },
  },
];
