import type { Statement } from './session.ts';

/**
 * Each finds rows that should have a driver and have none, in one snapshot, and gives them one. With every step in one transaction
 * there are none; that it found some is an error to be looked into, which is why the caller says so aloud. Locks: the live rows of what was
 * found FOR KEY SHARE, so that no instance ends between the look and the command.
 */
export const REDRIVE: readonly Statement[] = [
  {
    name: 'redrive-lost',
    text: `with stuck as (
             select a.id, a.instance_id from active a left join worker_incarnation w on w.id = a.incarnation_id
              where (w.id is null or w.state = 'dead') and not exists (select from command c where c.instance_id = a.instance_id)
           ), held as (
             select id from live_instance where id = any(array(select instance_id from stuck)) order by id for key share
           )
           insert into command (instance_id, kind, payload)
           select s.instance_id, 'attempt-ended',
                  jsonb_build_object('attemptId', s.id::text, 'end', 'lost',
                                     'reason', jsonb_build_object('code', 'worker-lost', 'message', 'its worker is dead'))
             from stuck s join held on held.id = s.instance_id
           returning instance_id`,
  },
  {
    name: 'redrive-settle',
    text: `with held as (
             select l.id from live_instance l
              where l.state = 'stopping'
                and not exists (select from active a where a.instance_id = l.id)
                and not exists (select from command c where c.instance_id = l.id)
              order by l.id for key share of l
           )
           insert into command (instance_id, kind) select id, 'settle' from held returning instance_id`,
  },
  {
    name: 'redrive-start',
    text: `with held as (
             select l.id from live_instance l
              where l.state = 'running' and l.revision = 0 and not exists (select from command c where c.instance_id = l.id)
              order by l.id for key share of l
           )
           insert into command (instance_id, kind) select id, 'start' from held returning instance_id`,
  },
];
