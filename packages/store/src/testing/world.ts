import type { TaskDefinition, WorkflowDefinition } from '@keelson/core';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type pg from 'pg';
import { createHash } from 'node:crypto';
import type { Applied, DefinitionDraft, Definitions } from '../definitions.ts';
import { postgresBlobs } from '../postgres/blobs.ts';
import { openPool } from '../postgres/connection/connection.ts';
import type { ConnectionSettings } from '../postgres/connection/connection.ts';
import { createDefinitions } from '../postgres/definitions/definitions.ts';
import { ensurePartition, instanceIds } from '../postgres/schema/partitions.ts';
import { openSession, poolRunner } from '../postgres/connection/session.ts';
import type { OpenSession } from '../postgres/connection/session.ts';
import { createStarts } from '../postgres/engine/starts.ts';
import { migratedDatabase } from './migrated.ts';
import type { CleanUp } from './postgres.ts';

/** A workflow of this project and name; by default of one task, `a`. */
export function namedWorkflow(
  project: string,
  name: string,
  tasks: readonly TaskDefinition[] = [taskOf('a')],
): WorkflowDefinition {
  return workflowOf(tasks, { project, name });
}

/** A draft as an `apply` would make it; its hash covers the definition. */
export function draftOf(definition: WorkflowDefinition, more: Partial<DefinitionDraft> = {}): DefinitionDraft {
  const source = JSON.stringify(definition);
  const hash = createHash('sha256').update(source).digest('hex');
  return {
    project: definition.project,
    name: definition.name,
    definition,
    source,
    files: [],
    hash,
    createdBy: 'test',
    ...more,
  };
}

export interface World {
  readonly settings: ConnectionSettings;
  readonly pool: pg.Pool;
  /** Sessions as the engine has them. */
  readonly open: OpenSession;
  readonly definitions: Definitions;
  /** Applies one workflow. */
  apply(definition: WorkflowDefinition): Promise<Applied>;
  /** Starts an instance of it, whose rows are as no master has seen it yet. Answers its id. */
  start(applied: Applied): Promise<string>;
  /** Lets a live instance end. */
  end(instanceId: string, state: 'succeeded' | 'failed' | 'stopped', reason?: object): Promise<void>;
  sql(text: string, values?: readonly unknown[]): Promise<pg.QueryResultRow[]>;
}

/** A database of its own, with what the tests of reading need to fill it. */
export async function openWorld(test: CleanUp): Promise<World> {
  const { url } = await migratedDatabase(test);
  const settings = { url, applicationName: 'test' };
  const pool = openPool(settings, 10);
  test.after(() => pool.end());
  const definitions = createDefinitions(pool, postgresBlobs(pool));
  const runner = poolRunner(pool);
  const starts = createStarts(
    runner,
    instanceIds(runner, (index) => ensurePartition(pool, index)),
  );
  const sql = async (text: string, values: readonly unknown[] = []) => (await pool.query(text, [...values])).rows;
  return {
    settings,
    pool,
    open: (bounds) => openSession(settings, bounds),
    definitions,
    sql,
    apply: async (definition) => {
      const [applied] = await definitions.apply([draftOf(definition)]);
      if (applied === undefined) throw new Error('nothing was applied');
      return applied;
    },
    start: async ({ versionId }) => {
      const [version] = await sql('select workflow_id, task_count from workflow_version where id = $1', [versionId]);
      const request = {
        params: { day: '2026-01-02' },
        runTime: '2026-01-02T03:04:05Z',
        priority: 0,
        createdBy: 'test',
      };
      const { instanceId } = await starts.start({
        ...request,
        workflowId: version?.workflow_id,
        versionId,
        taskCount: version?.task_count,
      });
      return instanceId;
    },
    end: async (instanceId, state, reason) => {
      await sql('delete from command where instance_id = $1', [instanceId]);
      await sql(
        `with gone as (delete from live_instance where id = $1 returning id, generation)
         insert into instance_end (instance_id, generation, state, reason) select id, generation, $2, $3 from gone`,
        [instanceId, state, reason === undefined ? null : JSON.stringify(reason)],
      );
    },
  };
}

/** Registers a worker with a lease of a minute. Answers its incarnation. */
export async function addWorker(
  { sql }: World,
  name: string,
  more: { group?: string; slots?: number; capabilities?: string[]; state?: string; leaseMs?: number } = {},
): Promise<string> {
  const { group = 'default', slots = 4, capabilities = ['shell'], state = 'live', leaseMs = 60_000 } = more;
  const [row] = await sql(
    `insert into worker_incarnation (name, worker_group, slots, capabilities, credential_hash, host, pid, version, state, lease_ms, lease_until)
     values ($1, $2, $3, $4, 'x', 'host', 1, '0', $5, 60000, clock_timestamp() + $6 * interval '1 millisecond') returning id`,
    [name, group, slots, capabilities, state, leaseMs],
  );
  return row?.id;
}

/** Puts a task in line. */
export async function lineUp(
  { sql }: World,
  instanceId: string,
  task: string,
  more: { group?: string; capability?: string; attempt?: number; priority?: number } = {},
): Promise<void> {
  const { group = 'default', capability = 'shell', attempt = 1, priority = 0 } = more;
  await sql(
    'insert into ready (instance_id, task, generation, attempt, worker_group, capability, priority) values ($1, $2, 1, $3, $4, $5, $6)',
    [instanceId, task, attempt, group, capability, priority],
  );
}

/** Gives a task to a worker. Answers the attempt's id. */
export async function bind(
  { sql }: World,
  instanceId: string,
  task: string,
  incarnation: string,
  state: 'dispatched' | 'running' = 'running',
  attempt = 1,
): Promise<string> {
  const [row] = await sql(
    `insert into active (instance_id, task, generation, attempt, incarnation_id, nonce, state, ready_at, started_at)
     values ($1, $2, 1, $3, $4, 'n', $5, clock_timestamp(), case $5 when 'running' then clock_timestamp() end) returning id`,
    [instanceId, task, attempt, incarnation, state],
  );
  return row?.id;
}

/** Ends a task, without any of what follows from it. An `attempt` of 0: it never ran. */
export async function finish(
  { sql }: World,
  instanceId: string,
  task: string,
  state: string,
  more: { attempt?: number; reason?: object; outputs?: object; artifacts?: object } = {},
): Promise<void> {
  const { attempt = 1, reason, outputs, artifacts } = more;
  const json = (value: object | undefined) => (value === undefined ? null : JSON.stringify(value));
  await sql(
    `with gone as (delete from active where instance_id = $1 and task = $2 returning *)
     insert into finished_task (instance_id, generation, task, state, attempt, attempt_id, incarnation_id, ready_at, dispatched_at, started_at, ended_at, reason, outputs, artifacts)
     select $1, 1, $2, $3, $4, case when $4 > 0 then coalesce(gone.id, 9999) end, gone.incarnation_id, gone.ready_at, gone.dispatched_at, gone.started_at,
            clock_timestamp(), $5, $6, $7 from (select) one left join gone on true`,
    [instanceId, task, state, attempt, json(reason), json(outputs), json(artifacts)],
  );
  await sql('update live_instance set unfinished = unfinished - 1 where id = $1', [instanceId]);
}
