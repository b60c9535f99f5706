import type { Damage } from './damage.ts';

/** A limit of its workflow, and that it goes under it. */
const LIMITED = `insert into concurrency (workflow_id, policy, slots, changed_at) select workflow_id, 'serial-wait', 1, clock_timestamp() - interval '1 hour'
                   from workflow_instance where id = $1`;
const SLOT = 'insert into slot (workflow_id, instance_id) select workflow_id, id from live_instance where id = $1';
/** As if it had never begun. */
const QUEUED = `${['active', 'ready', 'delayed', 'need_counter', 'finished_task'].map((table) => `delete from ${table} where instance_id = $1;`).join(' ')}
  delete from history where instance_id = $1 and not events @> '[{"type": "instance-created"}]';
  update live_instance set state = 'queued', begun = false, limited = true, revision = 0, unfinished = 7 where id = $1`;

/** Of slots, limits and those who wait. The workflow is 1, its instances have 7 tasks. */
export const SLOT_DAMAGES: readonly Damage[] = [
  {
    rule: 'slot-without-instance',
    sql: `${LIMITED}; insert into slot (workflow_id, instance_id) select workflow_id, max(instance_id) from concurrency, instance_end group by 1`,
    finds: /^slot of workflow 1 since /,
    does: /^slot of workflow 1 taken back$/,
    holds:
      "select not exists (select from slot) and exists (select from followup where kind = 'admission' and subject_id = 1)",
  },
  {
    rule: 'instance-without-slot',
    sql: `${LIMITED}; update live_instance set limited = true where id = $1`,
    finds: /^running, of workflow 1$/,
    does: /^has a slot of workflow 1$/,
    holds: 'select count(*) = 1 from slot where instance_id = $1',
  },
  {
    rule: 'slots-over-limit',
    sql: `${LIMITED}; update live_instance set limited = true; insert into slot (workflow_id, instance_id) select workflow_id, id from live_instance`,
    finds: /^workflow 1: 2 given, limit 1$/,
  },
  {
    rule: 'queued-unseen',
    sql: `${LIMITED}; ${QUEUED}`,
    finds: /^queued in workflow 1, and nobody is told$/,
    does: /^the line of workflow 1 will be looked at$/,
    holds: 'select count(*) = 1 from followup where instance_id = $1',
  },
  {
    rule: 'queued-unseen',
    sql: `${QUEUED}; update live_instance set limited = false where id = $1`,
    finds: /^queued in workflow 1, and nobody is told$/,
    does: /^the line of workflow 1 will be looked at$/,
    holds: 'select limited from live_instance where id = $1',
  },
  {
    rule: 'queued-not-begun',
    sql: `${LIMITED}; ${QUEUED}; ${SLOT}`,
    finds: /^queued with a slot of workflow 1, and without a command$/,
    does: /^command start given$/,
    holds: "select count(*) = 1 from command where kind = 'start' and instance_id = $1",
  },
  {
    rule: 'followup-overdue',
    sql: "insert into followup (kind, subject_id, instance_id, created_at) values ('admission', 1, 0, now() - interval '2 minutes')",
    finds: /^admission 1, since /,
  },
];
