import type { Database } from './database.ts';

const TASKS_PER_CHAIN = 40;
const CHUNK = 50_000;

/**
 * Fills the history with this many finished task instances: half of them in instances of one task, half in chains of 40,
 * with the rows that the engine would have written. They get ids before those of the instances that follow, in the same
 * partition, which is the harder case.
 */
export async function fillHistory(database: Database, workflow: string, tasks: number): Promise<void> {
  const [version] = await database.rows(
    `select w.id as workflow_id, v.id as version_id from workflow w join workflow_version v on v.workflow_id = w.id
      where w.name = $1 order by v.version desc limit 1`,
    [workflow],
  );
  if (version === undefined) throw new Error(`there is no workflow ${workflow} to fill the history with`);
  const singles = Math.floor(tasks / 2);
  for (let done = 0; done < singles; done += CHUNK) await fill(database, version, Math.min(CHUNK, singles - done), 1);
  const chains = Math.floor((tasks - singles) / TASKS_PER_CHAIN);
  const perChunk = Math.floor(CHUNK / TASKS_PER_CHAIN);
  for (let done = 0; done < chains; done += perChunk) {
    await fill(database, version, Math.min(perChunk, chains - done), TASKS_PER_CHAIN);
  }
  // As a history is that has grown over months: autovacuum has nothing left to do in it.
  await database.rows('vacuum analyze');
  await database.rows('checkpoint');
}

/** Ids are taken from the sequence, so that the server's blocks of ids stay its own. */
async function fill(database: Database, version: Record<string, unknown>, count: number, tasks: number): Promise<void> {
  const { workflow_id: workflow, version_id: versionId } = version;
  const first = await database.number(
    `select setval('instance_id', nextval('instance_id') + $1::bigint) - $1::bigint`,
    [count],
  );
  const last = first + count - 1;
  await database.rows(
    `insert into workflow_instance (id, workflow_id, version_id, params, run_time, trigger, priority, created_by)
     select id, $3::bigint, $4::bigint, '{}', now() - interval '1 day', 'manual', 0, 'bench' from generate_series($1::bigint, $2::bigint) as id`,
    [first, last, workflow, versionId],
  );
  await database.rows(
    `insert into instance_end (instance_id, generation, state) select id, 1, 'succeeded' from generate_series($1::bigint, $2::bigint) as id`,
    [first, last],
  );
  await database.rows(
    `insert into finished_task (instance_id, generation, task, state, attempt, attempt_id, incarnation_id, ready_at, dispatched_at, started_at, ended_at)
     select id, 1, 't' || task, 'succeeded', 1, nextval('attempt_id'), 1, now(), now(), now(), now()
       from generate_series($1::bigint, $2::bigint) as id, generate_series(1, $3::int) as task`,
    [first, last, tasks],
  );
  await database.rows(
    `insert into history (instance_id, events)
     select id, jsonb_build_array(jsonb_build_object('type', step, 'task', 't' || task, 'attempt', 1, 'attemptId', (id * 40 + task)::text))
       from generate_series($1::bigint, $2::bigint) as id, generate_series(1, $3::int) as task,
            unnest(array['task-dispatched', 'task-ended']) as step`,
    [first, last, tasks],
  );
}
