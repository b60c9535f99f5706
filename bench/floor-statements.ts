/** The statements of one task's life, in the shape in which the engine sends them; each name stands for one text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

const statement = (name: string, text: string): Statement => ({ name: `floor-${name}`, text });

/** $1: how many. Ready → active, as a claim does it, with its row of history. */
export const CLAIM = statement(
  'claim',
  `with picked as (
     select * from ready where worker_group = 'default' and capability = any('{processor:noop}')
      order by priority desc, seq limit $1 for update skip locked
   ), gone as (
     delete from ready r using picked p where r.instance_id = p.instance_id and r.task = p.task
   ), bound as (
     insert into active (instance_id, task, generation, attempt, losses, incarnation_id, nonce, ready_at)
     select p.instance_id, p.task, p.generation, p.attempt, p.losses, 1, 'floor', p.ready_at from picked p
     returning id, instance_id, task, attempt
   ), noted as (
     insert into history (instance_id, events)
     select instance_id, jsonb_agg(jsonb_build_object('type', 'task-dispatched', 'task', task, 'attempt', attempt,
                                                      'attemptId', id::text, 'incarnation', '1'))
       from bound group by instance_id
   )
   select b.id, b.instance_id, l.version_id from bound b join live_instance l on l.id = b.instance_id`,
);

/** $1: instances. */
export const LOCK = statement(
  'lock',
  `select l.id, l.version_id, l.revision, l.state, l.unfinished from live_instance l
    where l.id = any($1::bigint[]) order by l.id for no key update skip locked`,
);

/** $1: attempts. */
export const ACTIVE = statement(
  'active',
  'select id, instance_id, task, nonce from active where id = any($1::bigint[])',
);

/** $1: instances, $2: tasks, $3: attempts. */
export const FINISH = statement(
  'finish',
  `insert into finished_task (instance_id, generation, task, state, attempt, attempt_id, incarnation_id, ready_at, dispatched_at,
                              started_at, ended_at, reason, outputs, artifacts)
   select u.instance_id, 1, u.task, 'succeeded', 1, u.attempt_id, a.incarnation_id, a.ready_at, a.dispatched_at,
          coalesce(a.started_at, t.now), t.now, null, null, null
     from (select clock_timestamp() as now) t, unnest($1::bigint[], $2::text[], $3::bigint[]) as u(instance_id, task, attempt_id)
     left join active a on a.id = u.attempt_id`,
);

/** $1: attempts. */
export const RELEASE = statement('release', 'delete from active where id = any($1::bigint[])');

/** $1: instances, $2: the events of each. */
export const NOTE = statement(
  'note',
  'insert into history (instance_id, events) select u.id, u.events::jsonb from unnest($1::bigint[], $2::text[]) as u(id, events)',
);

/** $1: instances. */
export const END = statement(
  'end',
  `insert into instance_end (instance_id, generation, state) select id, 1, 'succeeded' from unnest($1::bigint[]) as u(id)`,
);
export const DELETE_LIVE = statement('delete-live', 'delete from live_instance where id = any($1::bigint[])');
export const DELETE_COMMANDS = statement(
  'delete-commands',
  'delete from command where instance_id = any($1::bigint[])',
);

/** $1: instances. */
export const UPDATE_LIVE = statement(
  'update-live',
  `update live_instance l set revision = l.revision + 1, unfinished = l.unfinished - 1 from unnest($1::bigint[]) as u(id) where l.id = u.id`,
);

/** $1: instances, $2: tasks. The next task straight to a worker, as a step does it. */
export const BIND = statement(
  'bind',
  `with bound as (
     insert into active (instance_id, task, generation, attempt, losses, incarnation_id, nonce, ready_at)
     select u.instance_id, u.task, 1, 1, 0, 1, 'floor', clock_timestamp() from unnest($1::bigint[], $2::text[]) as u(instance_id, task)
     returning id, instance_id, task, attempt
   ), noted as (
     insert into history (instance_id, events)
     select instance_id, jsonb_agg(jsonb_build_object('type', 'task-dispatched', 'task', task, 'attempt', attempt,
                                                      'attemptId', id::text, 'incarnation', '1'))
       from bound group by instance_id
   )
   select id, instance_id from bound`,
);

/** $1, $2: first and last instance, $3: unfinished tasks. */
export const MAKE_INSTANCES = statement(
  'make-instances',
  `with made as (
     insert into workflow_instance (id, workflow_id, version_id, params, run_time, trigger, priority, created_by)
     select id, 1, 1, '{}', now(), 'manual', 0, 'bench' from generate_series($1::bigint, $2::bigint) as id returning id
   )
   insert into live_instance (id, workflow_id, version_id, generation, state, unfinished, priority)
   select id, 1, 1, 1, 'running', $3, 0 from made`,
);
export const MAKE_READY = statement(
  'make-ready',
  `insert into ready (instance_id, task, generation, attempt, losses, worker_group, capability, priority)
   select id, 't1', 1, 1, 0, 'default', 'processor:noop', 0 from generate_series($1::bigint, $2::bigint) as id`,
);
