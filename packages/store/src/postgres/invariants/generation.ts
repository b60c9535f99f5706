import type { Invariant } from '../../doctor.ts';
import { oldestLive } from './live.ts';

/** Of the generations after the first only so many of the newest instances' are looked at; `keelson verify` reads all. */
const NEWEST = 10_000;

/** The history of an instance ($1) from the request for its last generation on; all of it while there was none. */
export const SINCE = `(select coalesce(max(s.id), 0) from history s where s.instance_id = $1 and s.events @> '[{"type": "generation-created"}]')`;
/** The history says that the instance ($1) has ended, and nobody has asked for it again since. */
export const SAYS_ENDED = `exists (select from history h where h.instance_id = $1 and h.id >= ${SINCE} and h.events @> '[{"type": "instance-ended"}]')`;
export const UNSEEN = `not exists (select from live_instance l where l.id = $1)
       and not exists (select from instance_end e where e.instance_id = $1
                          and e.generation >= coalesce((select max(generation) from instance_generation g where g.instance_id = $1), 1))`;

const SAID = `bool_or(events @> '[{"type": "stop-requested"}]') as stopping,
                  bool_or(events @> '[{"type": "instance-started"}]' or events @> '[{"type": "generation-started"}]') as started,
                  bool_or(events @> '[{"type": "failure-ends-instance"}]') as ending,
                  coalesce(max(id) filter (where events @> '[{"type": "pause-requested"}]'), 0)
                    > coalesce(max(id) filter (where events @> '[{"type": "resumed"}]'), 0) as holding`;

/** For an instance ($1) whose last generation is neither alive nor ended: the end that its history tells, else the live row as its tasks have it. */
export const REVIVALS: readonly string[] = [
  `with told as (
     insert into instance_end (instance_id, generation, state, reason, ended_at)
     select $1, coalesce((select max(generation) from instance_generation where instance_id = $1), 1), e->>'state', e->'reason', h.at
       from history h cross join lateral jsonb_array_elements(h.events) e
      where h.instance_id = $1 and h.id >= ${SINCE} and e->>'type' = 'instance-ended' and ${UNSEEN} order by h.id limit 1 returning state
   )
   select format('its end (%s) is written again', state) as message, null::jsonb as events from told`,
  `with known as (
     select i.id, i.workflow_id, i.priority, i.backfill_id, v.id as version_id, v.definition, v.task_count, coalesce(g.generation, 1) as generation,
            exists (select from slot s where s.workflow_id = i.workflow_id and s.instance_id = i.id) as slotted,
            exists (select from concurrency c where c.workflow_id = i.workflow_id and c.slots is not null) as limited
       from workflow_instance i
       left join lateral (select * from instance_generation where instance_id = i.id order by generation desc limit 1) g on true
       join workflow_version v on v.id = coalesce(g.version_id, i.version_id)
      where i.id = $1 and ${UNSEEN} and not ${SAYS_ENDED}
   ), said as (
     select count(*) as entries, ${SAID} from history where instance_id = $1 and id >= ${SINCE}
   ), ends as (
     select f.*, coalesce(k.definition->'tasks'->f.task->>'allowFailure', 'false') <> 'true' as counts
       from finished_task f join known k on k.generation = f.generation where f.instance_id = $1
   ), made as (
     insert into live_instance (id, workflow_id, version_id, generation, revision, begun, ended_ahead, state, unfinished, failed, ending, has_artifacts,
                                failure, priority, limited, schedule_id, backfill_id)
     select k.id, k.workflow_id, k.version_id, k.generation, case when coalesce(s.started or s.stopping, false) then s.entries else 0 end,
            coalesce(s.started, false), exists (select from ends),
            case when s.stopping then 'stopping' when s.holding then 'pausing'
                 when k.limited and not k.slotted and not coalesce(s.started, false) then 'queued' else 'running' end,
            k.task_count - (select count(*) from ends), (select count(*) from ends where state = 'failed' and counts), coalesce(s.ending, false),
            exists (select from ends where artifacts is not null),
            (select jsonb_build_object('task', task, 'reason', reason) from ends
              where state = 'failed' and counts or state in ('stopped', 'lost') and carried_from is not null
              order by state <> 'failed', ended_at limit 1),
            k.priority, k.slotted or (k.limited and not coalesce(s.started, false)), (select h.id from schedule h where h.awaiting = k.id), k.backfill_id
       from known k cross join said s returning id, workflow_id, state, unfinished
   ), asked as (
     insert into followup (kind, subject_id, instance_id) select 'admission', workflow_id, id from made where state = 'queued'
   )
   select format('its live row is made again: %s, %s tasks unfinished', state, unfinished) as message, null::jsonb as events from made`,
];

/** What begins again after its end. */
export const GENERATION_RULES: readonly Invariant[] = [
  {
    name: 'generation-lost',
    explanation: `the last generation of an instance is alive or has ended (looked at: the newest ${NEWEST})`,
    why: 'it is committed together with its live row, and the step that deletes that writes the end',
    meaning: 'a row was deleted by hand or lost in a restore: an acknowledged rerun would be forgotten',
    pace: 'slow',
    sql: `select g.instance_id, format('generation %s (%s) is neither alive nor ended', g.generation, g.mode) as message
            from (select * from instance_generation order by instance_id desc limit ${NEWEST}) g
           where not exists (select from live_instance l where l.id = g.instance_id)
             and not exists (select from instance_end e where e.instance_id = g.instance_id and e.generation >= g.generation)`,
    remedy: {
      repair:
        'believes the history: writes the end that it tells, else makes the live row again from what the tasks say',
      statements: REVIVALS,
    },
  },
  {
    name: 'generation-unknown',
    explanation:
      'a live instance is in the generation, and has the version, that its start or the last request for another generation gave it',
    why: 'a generation and its live row are one statement, and neither changes afterwards',
    meaning:
      'a row was restored or written by hand: its tasks would run with the wrong definition or the wrong parameters',
    pace: 'slow',
    sql: `select l.id as instance_id, format('alive in generation %s with version %s; told: generation %s, version %s', l.generation, l.version_id,
                   coalesce(g.generation, 1), coalesce(g.version_id, i.version_id)) as message
            from (${oldestLive()}) l join workflow_instance i on i.id = l.id
            left join lateral (select generation, version_id from instance_generation where instance_id = l.id order by generation desc limit 1) g on true
           where (l.generation, l.version_id) is distinct from (coalesce(g.generation, 1), coalesce(g.version_id, i.version_id))`,
    remedy: {
      byHand: 'stop the instance and run it again; `keelson verify --instance ID` says what its history tells',
    },
  },
];
