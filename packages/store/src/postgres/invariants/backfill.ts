import type { Invariant } from '../../doctor.ts';

const PATIENCE = "interval '1 minute'";

const UNTOLD = `from backfill_run r where r.state = 'running' and not exists (select from live_instance l where l.id = r.instance_id)
             and not exists (select from followup f where f.kind = 'backfill' and f.subject_id = r.backfill_id and f.instance_id = r.instance_id)`;

const COUNTED = `select backfill_id, ${['waiting', 'pending', 'running', 'succeeded', 'failed', 'stopped', 'skipped']
  .map((state) => `count(*) filter (where state = '${state}') as ${state}`)
  .join(', ')} from backfill_run where backfill_id = b.id group by backfill_id`;

/** What runs workflows for past dates. */
export const BACKFILL_RULES: readonly Invariant[] = [
  {
    name: 'backfill-run-not-told',
    explanation: 'the instance of a running backfill run lives, or a follow-up tells its backfill of its end',
    why: 'the statement that deletes the live row writes the follow-up, and the turn that takes it notes the end in the run',
    meaning: 'a row was lost or written by hand: the backfill would wait for ever',
    pace: 'fast',
    sql: `select r.instance_id, format('run %s of backfill %s', r.seq, r.backfill_id) as message ${UNTOLD}`,
    remedy: {
      repair: 'writes the follow-up: the run gets the end of its instance, and the backfill goes on',
      statements: [
        `with untold as (select r.backfill_id, r.seq, r.instance_id ${UNTOLD} and r.instance_id = $1
                            and exists (select from instance_end e where e.instance_id = $1)),
              told as (insert into followup (kind, subject_id, instance_id) select 'backfill', backfill_id, instance_id from untold)
         select format('backfill %s is told of the end of run %s', backfill_id, seq) as message, null::jsonb as events from untold`,
      ],
    },
  },
  {
    name: 'backfill-without-driver',
    explanation: 'a backfill that goes on has a run that may start or is under way',
    why: 'runs that wait follow others of the same time, and the turn that notes the end of one decides about those that follow it',
    meaning: 'a bug, or runs were changed by hand: nothing would ever start what waits',
    pace: 'slow',
    sql: `select null::bigint as instance_id, format('backfill %s, %s runs waiting', b.id, b.waiting) as message from backfill b
           where b.state in ('running', 'paused') and b.pending + b.running = 0`,
    remedy: { byHand: '`keelson backfill cancel ID`, then make it again: what has succeeded is left out' },
  },
  {
    name: 'backfill-count',
    explanation: 'a backfill that goes on counts its runs right',
    why: 'runs and counts are written by one transaction, under the lock of the backfill',
    meaning: 'runs were changed by hand, or a bug: it would end too early, or never',
    pace: 'slow',
    sql: `select null::bigint as instance_id, format('backfill %s', b.id) as message from backfill b cross join lateral (${COUNTED}) c
           where b.state in ('running', 'paused')
             and (b.waiting, b.pending, b.running, b.succeeded, b.failed, b.stopped, b.skipped)
                 is distinct from (c.waiting, c.pending, c.running, c.succeeded, c.failed, c.stopped, c.skipped)`,
    remedy: { byHand: '`keelson backfill cancel ID`, then make it again: what has succeeded is left out' },
  },
  {
    name: 'backfill-overdue',
    explanation: 'a backfill with room for a run starts it within a minute while a master runs',
    why: 'masters are woken by each end of a run, and look once a second besides',
    meaning: 'no master runs, or the backfill cannot go on: `keelson backfill show ID` says why',
    pace: 'doctor',
    sql: `select null::bigint as instance_id, format('backfill %s, %s runs to start%s', b.id, b.pending, coalesce(': ' || b.last_error, '')) as message
            from backfill b where b.state = 'running' and b.pending > 0 and b.running < b.parallel and b.turned_at < clock_timestamp() - ${PATIENCE}`,
    remedy: { byHand: 'start a server with the role master; if one runs, read its log for backfills that fail' },
  },
];
