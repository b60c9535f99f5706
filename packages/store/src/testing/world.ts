import type { TaskDefinition, WorkflowDefinition } from '@keelson/core';
import type pg from 'pg';
import { createHash } from 'node:crypto';
import type { Applied, DefinitionDraft, Definitions } from '../definitions.ts';
import { postgresBlobs } from '../postgres/blobs.ts';
import { openPool } from '../postgres/connection.ts';
import type { ConnectionSettings } from '../postgres/connection.ts';
import { createDefinitions } from '../postgres/definitions.ts';
import { createStarts } from '../postgres/starts.ts';
import { migratedDatabase } from './migrated.ts';
import type { CleanUp } from './postgres.ts';

export function taskOf(id: string, needs: readonly string[] = [], more: Partial<TaskDefinition> = {}): TaskDefinition {
  return {
    id,
    labels: {},
    uses: 'shell',
    with: {},
    needs: Object.fromEntries(needs.map((need) => [need, ['succeeded'] as const])),
    env: {},
    retry: { max: 0, delayMs: 0, backoff: 'fixed', maxDelayMs: 1000 },
    delayMs: 0,
    priority: 0,
    workerGroup: 'default',
    allowFailure: false,
    ...more,
  };
}

export function workflowOf(project: string, name: string, tasks: readonly TaskDefinition[] = [taskOf('a')]): WorkflowDefinition {
  return {
    name,
    project,
    labels: {},
    timezone: 'UTC',
    params: {},
    files: [],
    triggers: [],
    concurrency: { policy: 'parallel' },
    onFailure: 'continue',
    tasks: Object.fromEntries(tasks.map((task) => [task.id, task])),
  };
}

/** A draft as an `apply` would make it; its hash covers the definition. */
export function draftOf(definition: WorkflowDefinition, more: Partial<DefinitionDraft> = {}): DefinitionDraft {
  const source = JSON.stringify(definition);
  const hash = createHash('sha256').update(source).digest('hex');
  return { project: definition.project, name: definition.name, definition, source, files: [], hash, createdBy: 'test', ...more };
}

export interface World {
  readonly settings: ConnectionSettings;
  readonly pool: pg.Pool;
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
  const starts = createStarts(pool);
  const sql = async (text: string, values: readonly unknown[] = []) => (await pool.query(text, [...values])).rows;
  return {
    settings,
    pool,
    definitions,
    sql,
    apply: async (definition) => {
      const [applied] = await definitions.apply([draftOf(definition)]);
      if (applied === undefined) throw new Error('nothing was applied');
      return applied;
    },
    start: async ({ versionId }) => {
      const [version] = await sql('select workflow_id, task_count from workflow_version where id = $1', [versionId]);
      const request = { params: { day: '2026-01-02' }, runTime: '2026-01-02T03:04:05Z', priority: 0, createdBy: 'test' };
      const { instanceId } = await starts.start({ ...request, workflowId: version?.workflow_id, versionId, taskCount: version?.task_count });
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
