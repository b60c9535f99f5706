import type { Invariant } from '../../doctor.ts';

/** How long something due may be left lying before that is a finding and not just a busy moment. */
const PATIENCE = "interval '1 minute'";
/** Looked at every minute, and never as old as what retention removes. */
const YOUNG = "interval '10 minutes'";

const NAMED = `format('schedule %s (trigger %s of workflow %s)', s.id, s.trigger_id, s.workflow_id)`;

const STUCK = `from schedule s where s.awaiting is not null and not exists (select from live_instance l where l.id = s.awaiting)
             and not exists (select from followup f where f.kind = 'schedule' and f.subject_id = s.id and f.instance_id = s.awaiting)`;

/** What starts instances by the clock. Of schedules there may be a million: all of them are only looked at when a person asks. */
export const SCHEDULE_RULES: readonly Invariant[] = [
  {
    name: 'schedule-without-next',
    explanation: 'a schedule that is to fire has a next time, or waits for the end of an instance',
    why: 'a check of its table refuses anything else',
    meaning: 'the check was dropped, and the row written by hand',
    pace: 'doctor',
    sql: `select null::bigint as instance_id, ${NAMED} as message from schedule s
           where s.deleted_at is null and s.enabled and not s.exhausted and s.paused_at is null and s.next_at is null and s.awaiting is null`,
    remedy: { byHand: '`keelson schedule pause NAME`, then `keelson schedule resume NAME`: it counts from then' },
  },
  {
    name: 'schedule-awaits-ended',
    explanation: 'the instance that a fixed delay waits for lives, or a follow-up tells of its end',
    why: 'the statement that deletes the live row writes the follow-up, and the fire that takes it moves the schedule on',
    meaning: 'a row was lost or written by hand: the schedule would never fire again',
    pace: 'fast',
    sql: `select s.awaiting as instance_id, ${NAMED} as message ${STUCK}`,
    remedy: {
      repair: 'writes the follow-up: the delay counts from now',
      statements: [
        `with stuck as (select s.id, s.awaiting ${STUCK} and s.awaiting = $1),
              told as (insert into followup (kind, subject_id, instance_id) select 'schedule', id, awaiting from stuck)
         select format('schedule %s is told of its end', id) as message, null::jsonb as events from stuck`,
      ],
    },
  },
  {
    name: 'schedule-of-old-version',
    explanation: "a schedule names its workflow's latest version",
    why: 'an apply changes both in one transaction',
    meaning: 'the workflow was changed by hand: its schedules start what was',
    pace: 'doctor',
    sql: `select null::bigint as instance_id, ${NAMED} as message
            from schedule s join workflow w on w.id = s.workflow_id left join workflow_version v on v.id = s.version_id
           where s.deleted_at is null and (w.deleted_at is not null or v.id is null or v.workflow_id <> w.id or v.version <> w.latest_version)`,
    remedy: { byHand: 'apply the workflow again' },
  },
  {
    name: 'fire-without-instance',
    explanation: 'a fire that started an instance has it, and the instance has its time',
    why: 'both are written by one statement',
    meaning: 'an instance was deleted by hand, or a fire was written by something else',
    pace: 'slow',
    sql: `select f.instance_id, format('fire of schedule %s at %s', f.schedule_id, f.due_at) as message from fire f
           where f.decided_at > clock_timestamp() - ${YOUNG} and f.outcome = 'fired'
             and not exists (select from workflow_instance i where i.id = f.instance_id and i.schedule_id = f.schedule_id and i.run_time = f.due_at)`,
    remedy: { byHand: 'start it for that time: `keelson run NAME --at TIME`' },
  },
  {
    name: 'schedule-overdue',
    explanation: 'a schedule that is due is looked at within a minute while a master runs',
    why: 'each master sleeps until the earliest time, and never longer than a second',
    meaning: 'no master runs, none can reach the database, or they have more to do than they can',
    pace: 'doctor',
    sql: `select null::bigint as instance_id, format('%s, due at %s', ${NAMED}, s.next_at) as message from schedule s
           where s.next_at < clock_timestamp() - ${PATIENCE}`,
    remedy: { byHand: 'start a server with the role master, and read its log' },
  },
];
