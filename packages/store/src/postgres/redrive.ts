import type { Statement } from './session.ts';

/**
 * Each finds rows that should have a driver and have none, in one snapshot, and gives them one. With every step in one transaction
 * there are none; that it found some is an error to be looked into, which is why the caller says so aloud.
 */
export const REDRIVE: readonly Statement[] = [
  {
    name: 'redrive-lost',
    text: `insert into command (instance_id, kind, payload)
           select a.instance_id, 'attempt-ended',
                  jsonb_build_object('attemptId', a.id::text, 'end', 'lost',
                                     'reason', jsonb_build_object('code', 'worker-lost', 'message', 'its worker is dead'))
             from active a
             left join worker_incarnation w on w.id = a.incarnation_id
            where (w.id is null or w.state = 'dead') and not exists (select from command c where c.instance_id = a.instance_id)
           returning instance_id`,
  },
  {
    name: 'redrive-settle',
    text: `insert into command (instance_id, kind)
           select l.id, 'settle' from live_instance l
            where l.state = 'stopping'
              and not exists (select from active a where a.instance_id = l.id)
              and not exists (select from command c where c.instance_id = l.id)
           returning instance_id`,
  },
  {
    name: 'redrive-start',
    text: `insert into command (instance_id, kind)
           select l.id, 'start' from live_instance l
            where l.state = 'running' and l.revision = 0 and not exists (select from command c where c.instance_id = l.id)
           returning instance_id`,
  },
];
