import type { Invariant } from '../../doctor.ts';

const NO_INSTANCE = `not exists (select from live_instance l where l.id = s.instance_id and l.workflow_id = s.workflow_id and l.limited)`;

const HAS_SLOT = 'exists (select from slot s where s.workflow_id = l.workflow_id and s.instance_id = l.id)';

/** A queued instance that no admission will look at although it could go, or be told that it may not. */
const UNSEEN = `l.state = 'queued' and not ${HAS_SLOT}
             and not exists (select from followup f where f.kind = 'admission' and f.subject_id = l.workflow_id)
             and not exists (select from command d where d.instance_id = l.id and d.kind = 'discard')
             and (not l.limited or not exists (
                    select from concurrency c
                     where c.workflow_id = l.workflow_id and c.policy <> 'serial-discard'
                       and c.slots <= (select count(*) from slot s where s.workflow_id = c.workflow_id)))`;

const NOT_BEGUN = `l.state = 'queued' and ${HAS_SLOT}
             and not exists (select from command c where c.instance_id = l.id and c.kind in ('start', 'begin'))`;

/** Slots of workflows with a limit: each has a holder, nobody goes without one, and nobody is forgotten. */
export const SLOT_RULES: readonly Invariant[] = [
  {
    name: 'slot-without-instance',
    explanation: 'a slot of a workflow is held by a live instance of it',
    why: 'a slot is given under the lock of the live row, and taken back in the statement that deletes that',
    meaning: 'a live row was deleted by hand: others would wait for its slot for ever',
    pace: 'fast',
    sql: `select s.instance_id, format('slot of workflow %s since %s', s.workflow_id, s.held_since) as message from slot s where ${NO_INSTANCE}`,
    remedy: {
      repair: 'takes the slot back and has a master give it to the next',
      statements: [
        `with gone as (delete from slot s where s.instance_id = $1 and ${NO_INSTANCE} returning workflow_id, instance_id),
              told as (insert into followup (kind, subject_id, instance_id) select 'admission', workflow_id, instance_id from gone)
         select format('slot of workflow %s taken back', workflow_id) as message, null::jsonb as events from gone`,
      ],
    },
  },
  {
    name: 'instance-without-slot',
    explanation: 'an instance that goes under a limit holds a slot',
    why: 'its slot and its first command are written in one transaction, and nothing but its end takes the slot back',
    meaning: 'a slot was deleted by hand: more instances than the limit would go at once',
    pace: 'fast',
    sql: `select l.id as instance_id, format('%s, of workflow %s', l.state, l.workflow_id) as message from live_instance l
           where l.limited and l.state <> 'queued' and not ${HAS_SLOT}`,
    remedy: {
      repair: 'writes down that it holds a slot; others wait for its end',
      statements: [
        `with given as (
           insert into slot (workflow_id, instance_id, held_since)
           select l.workflow_id, l.id, coalesce(c.changed_at, clock_timestamp()) from live_instance l left join concurrency c on c.workflow_id = l.workflow_id
            where l.id = $1 and l.limited and l.state <> 'queued' and not ${HAS_SLOT}
           returning workflow_id
         )
         select format('has a slot of workflow %s', workflow_id) as message, null::jsonb as events from given`,
      ],
    },
  },
  {
    name: 'slots-over-limit',
    explanation: 'since the limit of a workflow was last changed, no more slots of it were given than there are',
    why: 'slots are counted and given under the lock of the limit',
    meaning: 'a slot or a limit was written by hand, or two admissions did not see each other: a bug',
    pace: 'fast',
    sql: `select null::bigint as instance_id, format('workflow %s: %s given, limit %s', c.workflow_id, count(*), c.slots) as message
            from concurrency c join slot s on s.workflow_id = c.workflow_id and s.held_since > c.changed_at
           group by c.workflow_id, c.slots having count(*) > c.slots`,
    remedy: {
      byHand: 'nobody is given another one until enough have ended; stop some of its instances to hasten that',
    },
  },
  {
    name: 'queued-unseen',
    explanation: 'a queued instance that could go is about to be looked at',
    why: 'whoever makes an instance, ends one or changes a limit leaves a follow-up in the same transaction',
    meaning:
      'a follow-up was deleted by hand or lost: the instance would wait for the next end of another one, or for ever',
    pace: 'fast',
    sql: `select l.id as instance_id, format('queued in workflow %s, and nobody is told', l.workflow_id) as message from live_instance l where ${UNSEEN}`,
    remedy: {
      repair: 'leaves the follow-up that has a master look at the line of its workflow',
      statements: [
        `with unseen as (
           update live_instance l set limited = true where l.id = $1 and ${UNSEEN} returning l.id, l.workflow_id
         ), told as (insert into followup (kind, subject_id, instance_id) select 'admission', workflow_id, id from unseen)
         select format('the line of workflow %s will be looked at', workflow_id) as message, null::jsonb as events from unseen`,
      ],
    },
  },
  {
    name: 'queued-not-begun',
    explanation: 'a queued instance that has a slot has the command that begins it',
    why: 'both are written in one transaction, and the step that applies the command ends the waiting',
    meaning: 'a command was deleted by hand or lost: the instance would hold its slot for ever',
    pace: 'fast',
    sql: `select l.id as instance_id, format('queued with a slot of workflow %s, and without a command', l.workflow_id) as message
            from live_instance l where ${NOT_BEGUN}`,
    remedy: {
      repair: 'writes the command again: `start`, or `begin` of a later generation',
      statements: [
        `with told as (
           insert into command (instance_id, kind, payload)
           select l.id, case when l.generation = 1 then 'start' else 'begin' end,
                  case when l.generation = 1 then '{}' else jsonb_strip_nulls(jsonb_build_object('mode', g.mode, 'task', g.task, 'by', g.created_by)) end
             from live_instance l left join instance_generation g on g.instance_id = l.id and g.generation = l.generation
            where l.id = $1 and ${NOT_BEGUN}
           returning kind
         )
         select format('command %s given', kind) as message, null::jsonb as events from told`,
      ],
    },
  },
  {
    name: 'followup-overdue',
    explanation:
      'what an end leaves for a limit, a schedule or a backfill is taken up within a minute while a master runs',
    why: 'the master that left it acts at once, and all look once a second',
    meaning: 'no master runs, or none can reach the database',
    pace: 'doctor',
    sql: `select nullif(f.instance_id, 0) as instance_id, format('%s %s, since %s', f.kind, f.subject_id, f.created_at) as message
            from followup f where f.created_at < clock_timestamp() - interval '1 minute'`,
    remedy: { byHand: 'start a server with the role master; if one runs, read its log for what fails' },
  },
];
