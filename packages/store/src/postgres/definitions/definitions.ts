import type pg from 'pg';
import type { BlobStore } from '../../blobs.ts';
import type { Definitions, PlannedApply, WorkflowName } from '../../definitions.ts';
import { StoreError } from '../../store-error.ts';
import { applyDefinitions } from './apply.ts';
import { pageFrom, parseCursor } from '../connection/cursor.ts';
import { removeSchedulesOf } from '../schedules/schedules-apply.ts';
import { inTransaction } from '../connection/transaction.ts';
import { checkDependencies } from './dependencies.ts';
import { definitionCache } from './definition-cache.ts';
import type { DefinitionReader } from './definition-cache.ts';
import { isId, iso } from '../connection/rows.ts';
import type { Queryable } from '../connection/rows.ts';
import { summaryFrom, versionFrom } from './version-rows.ts';
import type { SummaryRow, VersionRow } from './version-rows.ts';

const VERSION = `select p.name as project, w.name, w.id as workflow_id, w.created_at as workflow_created_at, w.latest_version,
         v.id, v.version, v.hash, v.definition, v.source, v.files, v.created_by, v.created_at
    from workflow w join project p on p.id = w.project_id join workflow_version v on v.workflow_id = w.id`;

const LIST = `select p.name as project, w.name, w.created_at as workflow_created_at, v.version, v.hash, v.task_count, v.created_by, v.created_at,
         v.definition->>'title' as title, v.definition->>'description' as description, v.definition->>'owner' as owner,
         v.definition->'labels' as labels, v.definition->>'timezone' as timezone, v.definition->'triggers' as triggers
    from workflow w join project p on p.id = w.project_id
    join workflow_version v on v.workflow_id = w.id and v.version = w.latest_version
   where w.deleted_at is null and ($1::text is null or p.name = $1) and ($2::text is null or strpos(w.name, $2) > 0)
     and (p.name collate "C", w.name collate "C") > ($3, $4)
   order by p.name collate "C", w.name collate "C" limit $5`;

const START_BASIS = {
  name: 'start-basis',
  text: `select w.id as workflow_id, v.id as version_id, v.version, v.task_count, p.params
           from project p join workflow w on w.project_id = p.id join workflow_version v on v.workflow_id = w.id
          where p.name = $1 and w.name = $2 and w.deleted_at is null and v.version = coalesce($3, w.latest_version)`,
};

export function createDefinitions(
  pool: pg.Pool,
  blobs: BlobStore,
  definitionOf: DefinitionReader = definitionCache(),
): Definitions {
  return {
    apply: (drafts) => applyDefinitions(pool, blobs, drafts),
    plan: (drafts) => planApply(pool, drafts),
    get: async ({ project, name }, version) => {
      const { rows } = await pool.query<VersionRow>(
        `${VERSION} where p.name = $1 and w.name = $2 and w.deleted_at is null and v.version = coalesce($3, w.latest_version)`,
        [project, name, version ?? null],
      );
      return rows[0] && versionFrom(rows[0]);
    },
    startBasis: async ({ project, name }, version) => {
      const { rows } = await pool.query({ ...START_BASIS, values: [project, name, version ?? null] });
      const row = rows[0];
      if (row === undefined) return undefined;
      return {
        workflowId: row.workflow_id,
        versionId: row.version_id,
        version: row.version,
        taskCount: row.task_count,
        definition: await definitionOf(pool, row.version_id),
        projectParams: row.params,
      };
    },
    list: async ({ project, search }, page) => {
      const [afterProject = '', afterName = ''] = parseCursor(page.cursor, 2) ?? [];
      const { rows } = await pool.query<SummaryRow>(LIST, [
        project ?? null,
        search ?? null,
        afterProject,
        afterName,
        page.limit + 1,
      ]);
      return pageFrom(rows, page, summaryFrom, (row) => [row.project, row.name]);
    },
    versions: async ({ project, name }, page) => {
      const [below] = parseCursor(page.cursor, 1, isId) ?? [];
      const { rows } = await pool.query<Pick<VersionRow, 'id' | 'version' | 'hash' | 'created_by' | 'created_at'>>(
        `select v.id, v.version, v.hash, v.created_by, v.created_at
           from workflow w join project p on p.id = w.project_id join workflow_version v on v.workflow_id = w.id
          where p.name = $1 and w.name = $2 and w.deleted_at is null and ($3::bigint is null or v.version < $3)
          order by v.version desc limit $4`,
        [project, name, below ?? null, page.limit + 1],
      );
      const item = (row: (typeof rows)[number]) => ({
        id: row.id,
        version: row.version,
        hash: row.hash,
        createdBy: row.created_by,
        createdAt: iso(row.created_at),
      });
      return pageFrom(rows, page, item, (row) => [String(row.version)]);
    },
    versionById: async (versionId) => {
      if (!isId(versionId)) return undefined;
      const { rows } = await pool.query<VersionRow>(`${VERSION} where v.id = $1`, [versionId]);
      return rows[0] && versionFrom(rows[0]);
    },
    delete: (workflow, by = 'nobody') => deleteWorkflow(pool, workflow, by),
  };
}

async function planApply(pool: pg.Pool, drafts: Parameters<Definitions['plan']>[0]): Promise<PlannedApply[]> {
  await checkDependencies(pool, drafts, { lock: false });
  const { rows } = await pool.query<VersionRow>(
    `${VERSION} join (select distinct * from unnest($1::text[], $2::text[])) as asked(project, name)
        on asked.project = p.name and asked.name = w.name
     where w.deleted_at is null and v.version = w.latest_version`,
    [drafts.map(({ project }) => project), drafts.map(({ name }) => name)],
  );
  const latest = new Map(rows.map((row) => [`${row.project}/${row.name}`, row]));
  return drafts.map(({ project, name, hash }) => {
    const row = latest.get(`${project}/${name}`);
    if (row === undefined) return { project, name, change: 'create' };
    const { version, definition, source, files } = row;
    return {
      project,
      name,
      change: row.hash === hash ? 'unchanged' : 'update',
      latest: { version, hash: row.hash, definition, source, files },
    };
  });
}

/**
 * Locks: the workflow's row FOR NO KEY UPDATE, against an apply. A start that had read the workflow just before still makes
 * its instance: no harm, since it keeps its version.
 */
function deleteWorkflow(pool: pg.Pool, { project, name }: WorkflowName, by: string): Promise<void> {
  return inTransaction(pool, async (client) => {
    const found = await client.query<{ id: string }>(
      `select w.id from workflow w join project p on p.id = w.project_id
        where p.name = $1 and w.name = $2 and w.deleted_at is null for no key update of w`,
      [project, name],
    );
    const id = found.rows[0]?.id;
    if (id === undefined)
      throw new StoreError('not-found', 'unknown-workflow', `there is no workflow ${project}/${name}`);
    // A fire that is under way is waited for, and its instance counts.
    await removeSchedulesOf(client, id, by);
    const live = await client.query<{ count: number; newest: string | null }>(
      'select count(*)::int as count, max(id) as newest from live_instance where workflow_id = $1',
      [id],
    );
    const { count, newest } = live.rows[0] ?? { count: 0, newest: null };
    if (count > 0) {
      const named = count === 1 ? `instance ${newest}` : `${count} instances, the newest ${newest}`;
      throw new StoreError(
        'conflict',
        'workflow-busy',
        `${project}/${name} still has ${named} under way: stop what runs or wait for its end`,
      );
    }
    await refuseWhileBackfilled(client, id, `${project}/${name}`);
    await client.query('update workflow set deleted_at = now() where id = $1', [id]);
  });
}

/** One that has just been made may be missed: it runs the versions that it has, as a start does. */
async function refuseWhileBackfilled(client: Queryable, id: string, name: string): Promise<void> {
  const { rows } = await client.query<{ id: string }>(
    `select id from backfill where state in ('running', 'paused')
        and members @> jsonb_build_array(jsonb_build_object('workflowId', $1::text)) order by id limit 1`,
    [id],
  );
  const [backfill] = rows;
  if (backfill !== undefined)
    throw new StoreError(
      'conflict',
      'workflow-busy',
      `${name} is still to be run by backfill ${backfill.id}: cancel it or wait for its end`,
    );
}
