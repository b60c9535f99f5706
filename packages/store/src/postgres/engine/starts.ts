import type { Clock } from '@keelson/core';
import { systemClock } from '@keelson/core/system';
import type { StartOutcome, StartRequest, Starts } from '../../starts.ts';
import { createBatcher } from '../../batcher.ts';
import { again } from '../connection/again.ts';
import { outcomeOf } from '../connection/errors.ts';
import { newInstances } from './new-instances.ts';
import { call } from '../connection/session.ts';
import type { Runner } from '../connection/session.ts';
import type { NextId } from '../schema/partitions.ts';

/**
 * All of some starts in one statement. A key that is taken yields no row and writes nothing; an id that is there already (the statement
 * ran before and its answer was lost) writes nothing either and is answered as created. Keys are claimed in their order, so that two
 * batches with the same keys wait for each other instead of deadlocking.
 */
const START = {
  name: 'start',
  text: `
  with asked as (
    select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::text[], $6::timestamptz[], $7::int[], $8::text[], $9::text[], $10::text[])
           as u(id, workflow_id, version_id, task_count, params, run_time, priority, created_by, key, body_hash)
  ), claimed as (
    insert into start_key (workflow_id, key, body_hash, instance_id)
    select workflow_id, key, body_hash, id from asked where key is not null order by workflow_id, key
    on conflict (workflow_id, key) do nothing returning instance_id
  ), wanted as (
    select id, workflow_id, version_id, task_count, params::jsonb as params, run_time, priority, created_by, 'manual' as trigger,
           null::bigint as schedule_id, null::bigint as backfill_id
      from asked where key is null or id in (select instance_id from claimed)
  ), ${newInstances('wanted')}
  select id, limited from live`,
};

const KEY = {
  name: 'start-key',
  text: 'select instance_id, body_hash from start_key where workflow_id = $1 and key = $2',
};
const EXISTS = { name: 'instance-exists', text: 'select id from workflow_instance where id = $1' };

const FORGET = {
  name: 'forget-keys',
  text: `
  delete from start_key where (workflow_id, key) in (
    select workflow_id, key from start_key where created_at < now() - interval '7 days' order by created_at limit 1000 for update skip locked)
  returning key`,
};

const MOST_AT_ONCE = 200;
const START_LANES = 2;

interface Asked {
  readonly id: string;
  readonly request: StartRequest;
  readonly resolve: (outcome: StartOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Starter {
  readonly runner: Runner;
  readonly clock: Clock;
}

/**
 * Starts that come while others are being committed go together in the next statement.
 *
 * @param nextId hands out ids of instances, each once
 */
export function createStarts(runner: Runner, nextId: NextId, clock: Clock = systemClock): Starts {
  const starter: Starter = { runner, clock };
  const batcher = createBatcher<Asked>(MOST_AT_ONCE, START_LANES, (batch) => startBatch(starter, batch), clock);
  return {
    start: async (request) => {
      const id = await nextId();
      return new Promise((resolve, reject) => batcher.add({ id, request, resolve, reject }));
    },
    forgetOldKeys: async () => (await runner.run([call(FORGET)]))[0]?.length ?? 0,
  };
}

/** Never rejects: each start gets its own answer. */
async function startBatch(starter: Starter, batch: readonly Asked[]): Promise<void> {
  const { runner, clock } = starter;
  try {
    const made = await again(clock, () => insertStarts(runner, batch));
    await Promise.all(batch.map((asked) => answer(runner, asked, made.get(asked.id))));
  } catch (error) {
    // One that the database refuses must not take the others with it.
    if (batch.length > 1 && outcomeOf(error) === 'application')
      for (const asked of batch) await startBatch(starter, [asked]);
    else for (const { reject } of batch) reject(error);
  }
}

/** Answers the ids that were made, and whether each waits for a slot. */
async function insertStarts(runner: Runner, batch: readonly Asked[]): Promise<Map<string, boolean>> {
  const of = <T>(value: (request: StartRequest) => T): T[] => batch.map(({ request }) => value(request));
  const [rows = []] = await runner.run([
    call(
      START,
      batch.map(({ id }) => id),
      of(({ workflowId }) => workflowId),
      of(({ versionId }) => versionId),
      of(({ taskCount }) => taskCount),
      of(({ params }) => JSON.stringify(params)),
      of(({ runTime }) => runTime),
      of(({ priority }) => priority),
      of(({ createdBy }) => createdBy),
      of(({ idempotency }) => idempotency?.key ?? null),
      of(({ idempotency }) => idempotency?.bodyHash ?? null),
    ),
  ]);
  return new Map(rows.map(({ id, limited }) => [id, limited]));
}

async function answer(
  runner: Runner,
  { id, request, resolve, reject }: Asked,
  queued: boolean | undefined,
): Promise<void> {
  try {
    if (queued === undefined) resolve(await outcomeOfUnmade(runner, id, request));
    else resolve({ kind: 'created', instanceId: id, queued });
  } catch (error) {
    reject(error);
  }
}

/** Its key was taken, or it had been made by a try whose answer was lost. */
async function outcomeOfUnmade(
  runner: Runner,
  id: string,
  { workflowId, idempotency }: StartRequest,
): Promise<StartOutcome> {
  if (idempotency === undefined) {
    const [found = []] = await runner.run([call(EXISTS, id)]);
    if (found.length === 1) return { kind: 'created', instanceId: id };
    throw new Error(`instance ${id} was neither made nor there`);
  }
  const [rows = []] = await runner.run([call(KEY, workflowId, idempotency.key)]);
  const holder = rows[0];
  if (holder === undefined) throw new Error(`the key of instance ${id} was taken and is not there`);
  if (holder.instance_id === id) return { kind: 'created', instanceId: id };
  return {
    kind: holder.body_hash === idempotency.bodyHash ? 'existing' : 'key-conflict',
    instanceId: holder.instance_id,
  };
}
