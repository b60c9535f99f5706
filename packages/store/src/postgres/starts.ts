import type pg from 'pg';
import type { StartOutcome, StartRequest, Starts, StopOutcome } from '../starts.ts';
import { outcomeOf } from './errors.ts';
import { instanceIds } from './partitions.ts';

/**
 * All of a start in one statement. A key that is taken yields no row and writes nothing; an id that is there already (the
 * statement ran before and its answer was lost) writes nothing either and is answered as created.
 */
const START = `
  with claimed as (
    insert into start_key (workflow_id, key, body_hash, instance_id)
    select $2, $9, $10, $1 where $9::text is not null
    on conflict (workflow_id, key) do nothing returning 1
  ), made as (
    insert into workflow_instance (id, workflow_id, version_id, params, run_time, trigger, priority, created_by)
    select $1::bigint, $2::bigint, $3::bigint, $5::jsonb, $6::timestamptz, 'manual', $7::int, $8
     where $9::text is null or exists (select from claimed)
    on conflict (id) do nothing returning id
  ), live as (
    insert into live_instance (id, workflow_id, version_id, generation, state, unfinished, priority)
    select id, $2::bigint, $3::bigint, 1, 'running', $4::int, $7::int from made
  ), begun as (
    insert into command (instance_id, kind) select id, 'start' from made
  ), noted as (
    insert into history (instance_id, events)
    select id, jsonb_build_array(jsonb_build_object('type', 'instance-created', 'by', $8::text, 'version', $3::text)) from made
  )
  select id from made`;

const KEY = 'select instance_id, body_hash from start_key where workflow_id = $1 and key = $2';
const EXISTS = 'select 1 from workflow_instance where id = $1';

/** Locks: the live row FOR KEY SHARE, so that the instance cannot end between the look and the command. */
const STOP = `
  with live as (
    select id, state from live_instance where id = $1 for key share
  ), asked as (
    insert into command (instance_id, kind, payload)
    select id, 'stop', jsonb_build_object('by', $2::text) from live where state <> 'stopping'
     and not exists (select from command where instance_id = $1 and kind = 'stop')
    returning 1
  )
  select (select state from live) as state, exists (select from asked) as asked,
         exists (select from workflow_instance where id = $1) as known`;

const FORGET = `
  delete from start_key where (workflow_id, key) in (
    select workflow_id, key from start_key where created_at < now() - interval '7 days' order by created_at limit 1000 for update skip locked)`;

const START_TRIES = 5;

export function createStarts(pool: pg.Pool): Starts {
  const nextId = instanceIds(pool);
  return {
    start: async (request) => {
      const id = await nextId();
      return again(() => startOnce(pool, id, request));
    },
    stop: async (instanceId, by): Promise<StopOutcome> => {
      const { rows } = await pool.query({ name: 'stop', text: STOP, values: [instanceId, by] });
      const { state, asked, known } = rows[0];
      if (state === null) return known ? 'ended' : 'unknown';
      return asked ? 'requested' : 'already-stopping';
    },
    forgetOldKeys: async () => (await pool.query(FORGET)).rowCount ?? 0,
  };
}

/** The same operation under the same id until its outcome is certain, or the database refuses it. */
async function again<T>(operation: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation();
    } catch (error) {
      if (outcomeOf(error) === 'application' || attempt === START_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50 * 2 ** attempt));
    }
  }
}

async function startOnce(pool: pg.Pool, id: string, request: StartRequest): Promise<StartOutcome> {
  const { workflowId, versionId, taskCount, params, runTime, priority, createdBy, idempotency } = request;
  const { rows } = await pool.query({
    name: 'start',
    text: START,
    values: [
      id,
      workflowId,
      versionId,
      taskCount,
      JSON.stringify(params),
      runTime,
      priority,
      createdBy,
      idempotency?.key ?? null,
      idempotency?.bodyHash ?? null,
    ],
  });
  if (rows.length === 1) return { kind: 'created', instanceId: id };
  if (idempotency === undefined) {
    const { rowCount } = await pool.query({ name: 'instance-exists', text: EXISTS, values: [id] });
    if (rowCount === 1) return { kind: 'created', instanceId: id };
    throw new Error(`instance ${id} was neither made nor there`);
  }
  const { rows: keys } = await pool.query({ name: 'start-key', text: KEY, values: [workflowId, idempotency.key] });
  const holder = keys[0];
  if (holder === undefined) throw new Error(`the key of instance ${id} was taken and is not there`);
  if (holder.instance_id === id) return { kind: 'created', instanceId: id };
  return {
    kind: holder.body_hash === idempotency.bodyHash ? 'existing' : 'key-conflict',
    instanceId: holder.instance_id,
  };
}
