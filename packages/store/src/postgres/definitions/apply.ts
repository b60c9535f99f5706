import { slotsOf } from '@keelson/core';
import type pg from 'pg';
import type { BlobStore } from '../../blobs.ts';
import type { Applied, DefinitionDraft } from '../../definitions.ts';
import { StoreError } from '../../store-error.ts';
import { setLimits } from '../engine/concurrency.ts';
import { checkDependencies } from './dependencies.ts';
import { checkName, ensureProjects } from './projects.ts';
import { syncSchedules } from '../schedules/schedules-apply.ts';
import { inTransaction } from '../connection/transaction.ts';

/** Publishes all drafts or none; see `Definitions.apply`. */
export async function applyDefinitions(
  pool: pg.Pool,
  blobs: BlobStore,
  drafts: readonly DefinitionDraft[],
): Promise<Applied[]> {
  checkDrafts(drafts);
  await checkFiles(blobs, drafts);
  return inTransaction(pool, async (client) => {
    await ensureProjects(
      client,
      drafts.map(({ project }) => project),
    );
    const workflows = await lockWorkflows(client, drafts);
    const latest = await latestVersions(
      client,
      [...workflows.values()].map(({ id }) => id),
    );
    const plans = drafts.map((draft) => {
      const workflow = workflows.get(nameOf(draft));
      if (workflow === undefined) throw new Error(`the workflow ${nameOf(draft)} was just made and is not there`);
      return planOne(draft, workflow, latest.get(workflow.id));
    });
    const fresh = plans.filter(({ isNew }) => isNew);
    const ids = await insertVersions(client, fresh);
    await publish(
      client,
      plans.filter(({ changed }) => changed),
    );
    await checkDependencies(client, drafts, { lock: true });
    const published = plans.map((plan) => ({ ...plan, versionId: plan.versionId ?? ids.get(plan.workflowId) ?? '' }));
    await syncSchedules(client, published);
    await writeLimits(client, published);
    return published.map(({ draft, version, versionId, changed }) => ({
      project: draft.project,
      name: draft.name,
      version,
      versionId,
      hash: draft.hash,
      changed,
    }));
  });
}

function nameOf({ project, name }: DefinitionDraft): string {
  return `${project}/${name}`;
}

/** Locks: the limits, last of all. */
async function writeLimits(
  client: pg.PoolClient,
  published: readonly { readonly workflowId: string; readonly draft: DefinitionDraft }[],
): Promise<void> {
  const { statement, values } = setLimits(
    published.map(({ workflowId, draft }) => {
      const { concurrency } = draft.definition;
      return { workflowId, policy: concurrency.policy, slots: slotsOf(concurrency) };
    }),
  );
  await client.query(statement.text, [...values]);
}

function checkDrafts(drafts: readonly DefinitionDraft[]): void {
  const seen = new Set<string>();
  for (const draft of drafts) {
    checkName('project', draft.project);
    checkName('workflow', draft.name);
    if (seen.has(nameOf(draft)))
      throw new StoreError('invalid', 'duplicate-workflow', `${nameOf(draft)} is defined twice in what was applied`);
    seen.add(nameOf(draft));
  }
}

async function checkFiles(blobs: BlobStore, drafts: readonly DefinitionDraft[]): Promise<void> {
  const hashes = new Set(drafts.flatMap(({ files }) => files.map(({ sha256 }) => sha256)));
  if (hashes.size === 0) return;
  const present = await blobs.has([...hashes]);
  const missing = [...hashes].filter((hash) => !present.has(hash));
  if (missing.length === 0) return;
  const paths = drafts.flatMap((draft) =>
    draft.files.filter(({ sha256 }) => !present.has(sha256)).map(({ path }) => `${nameOf(draft)}: ${path}`),
  );
  const more = paths.length > 5 ? ` and ${paths.length - 5} more` : '';
  throw new StoreError(
    'conflict',
    'missing-blobs',
    `these files were not uploaded: ${paths.slice(0, 5).join(', ')}${more}`,
    { missing },
  );
}

interface WorkflowRow {
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly latest_version: number;
  readonly deleted: boolean;
}

/** Locks: new workflows in the order of their names, then all of them FOR NO KEY UPDATE in id order; a second apply waits here. */
async function lockWorkflows(
  client: pg.PoolClient,
  drafts: readonly DefinitionDraft[],
): Promise<Map<string, WorkflowRow>> {
  const names = [drafts.map(({ project }) => project), drafts.map(({ name }) => name)];
  await client.query(
    `insert into workflow (project_id, name)
     select p.id, asked.name from unnest($1::text[], $2::text[]) as asked(project, name) join project p on p.name = asked.project
      order by p.id, asked.name on conflict (project_id, name) do nothing`,
    names,
  );
  const { rows } = await client.query<WorkflowRow>(
    `select w.id, p.name as project, w.name, w.latest_version, w.deleted_at is not null as deleted
       from unnest($1::text[], $2::text[]) as asked(project, name)
       join project p on p.name = asked.project join workflow w on w.project_id = p.id and w.name = asked.name
      order by w.id for no key update of w`,
    names,
  );
  return new Map(rows.map((row) => [`${row.project}/${row.name}`, row]));
}

interface LatestRow {
  readonly workflow_id: string;
  readonly id: string;
  readonly hash: string;
}

/** Only after the lock: an apply that was waited for may have made one. */
async function latestVersions(client: pg.PoolClient, workflowIds: readonly string[]): Promise<Map<string, LatestRow>> {
  const { rows } = await client.query<LatestRow>(
    `select v.workflow_id, v.id, v.hash from workflow w join workflow_version v on v.workflow_id = w.id and v.version = w.latest_version
      where w.id = any($1::bigint[])`,
    [workflowIds],
  );
  return new Map(rows.map((row) => [row.workflow_id, row]));
}

interface ApplyPlan {
  readonly draft: DefinitionDraft;
  readonly workflowId: string;
  readonly version: number;
  readonly versionId?: string;
  readonly isNew: boolean;
  readonly changed: boolean;
}

function planOne(draft: DefinitionDraft, workflow: WorkflowRow, latest: LatestRow | undefined): ApplyPlan {
  const base = { draft, workflowId: workflow.id };
  if (latest?.hash !== draft.hash) return { ...base, version: workflow.latest_version + 1, isNew: true, changed: true };
  return { ...base, version: workflow.latest_version, versionId: latest.id, isNew: false, changed: workflow.deleted };
}

async function insertVersions(client: pg.PoolClient, plans: readonly ApplyPlan[]): Promise<Map<string, string>> {
  const { rows } = await client.query<{ workflow_id: string; id: string }>(
    `insert into workflow_version (workflow_id, version, hash, definition, task_count, source, files, created_by)
     select * from unnest($1::bigint[], $2::int[], $3::text[], $4::json[], $5::int[], $6::text[], $7::jsonb[], $8::text[])
     returning workflow_id, id`,
    [
      plans.map(({ workflowId }) => workflowId),
      plans.map(({ version }) => version),
      plans.map(({ draft }) => draft.hash),
      plans.map(({ draft }) => JSON.stringify(draft.definition)),
      plans.map(({ draft }) => Object.keys(draft.definition.tasks).length),
      plans.map(({ draft }) => draft.source),
      plans.map(({ draft }) => JSON.stringify(draft.files)),
      plans.map(({ draft }) => draft.createdBy),
    ],
  );
  return new Map(rows.map((row) => [row.workflow_id, row.id]));
}

async function publish(client: pg.PoolClient, plans: readonly ApplyPlan[]): Promise<void> {
  await client.query(
    `update workflow w set latest_version = p.version, deleted_at = null
       from unnest($1::bigint[], $2::int[]) as p(id, version) where w.id = p.id`,
    [plans.map(({ workflowId }) => workflowId), plans.map(({ version }) => version)],
  );
}
