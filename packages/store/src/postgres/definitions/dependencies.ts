import { dependencyCycle, didYouMean } from '@keelson/core';
import type { WorkflowDefinition } from '@keelson/core';
import type { WorkflowName } from '../../definitions.ts';
import { StoreError } from '../../store-error.ts';
import type { Queryable } from '../connection/rows.ts';

/** Which workflows depend on which, as `project/name`, of all latest versions that name any. */
export const DEPENDENCIES = `select p.name || '/' || w.name as name, v.depends_on
    from workflow w join project p on p.id = w.project_id
    join workflow_version v on v.workflow_id = w.id and v.version = w.latest_version
   where w.deleted_at is null and v.depends_on is not null order by 1`;

const EXISTING = `select p.name || '/' || w.name as name from unnest($1::text[]) as asked(name)
    join project p on p.name = split_part(asked.name, '/', 1)
    join workflow w on w.project_id = p.id and w.name = split_part(asked.name, '/', 2) where w.deleted_at is null`;

const NEIGHBOURS = `select p.name || '/' || w.name as name from workflow w join project p on p.id = w.project_id
   where w.deleted_at is null and p.name = $1 limit 1000`;

/** Any constant will do, as long as every Keelson takes the same one. */
const DEPENDENCY_LOCK = 7_305_114_213;

type Draft = WorkflowName & { readonly definition?: WorkflowDefinition };

/**
 * Refuses drafts whose dependencies are not there, neither before nor among them, or would make a circle with what there is. With a `lock`
 * two that together would make one come after each other: it lasts until the end of the transaction.
 *
 * @throws {StoreError} `unknown-dependency`, `dependency-cycle`
 */
export async function checkDependencies(
  client: Queryable,
  drafts: readonly Draft[],
  { lock }: { readonly lock: boolean },
): Promise<void> {
  const own = new Map(drafts.map((draft) => [`${draft.project}/${draft.name}`, draft.definition?.dependsOn ?? []]));
  const named = new Set([...own.values()].flat());
  if (named.size === 0) return;
  if (lock) await client.query('select pg_advisory_xact_lock($1)', [DEPENDENCY_LOCK]);
  const asked = [...named].filter((name) => !own.has(name));
  const { rows: found } = await client.query<{ name: string }>(EXISTING, [asked]);
  const known = new Set(found.map(({ name }) => name));
  const missing = asked.find((name) => !known.has(name));
  if (missing !== undefined) throw await unknown(client, missing, own);
  const { rows } = await client.query<{ name: string; depends_on: string[] }>(DEPENDENCIES);
  const cycle = dependencyCycle(new Map([...rows.map((row) => [row.name, row.depends_on] as const), ...own]));
  if (cycle === undefined) return;
  const circle = [...cycle, cycle[0]].join(' → ');
  throw new StoreError('invalid', 'dependency-cycle', `these workflows depend on each other: ${circle}`);
}

async function unknown(
  client: Queryable,
  missing: string,
  own: ReadonlyMap<string, readonly string[]>,
): Promise<StoreError> {
  const [by = ''] = [...own].find(([, names]) => names.includes(missing)) ?? [];
  const { rows } = await client.query<{ name: string }>(NEIGHBOURS, [missing.split('/')[0]]);
  const hint = didYouMean(missing, [...rows.map(({ name }) => name), ...own.keys()]);
  const message = `${by} depends on ${missing}, and there is no such workflow${hint === undefined ? '' : `: ${hint}`}`;
  return new StoreError('invalid', 'unknown-dependency', message);
}
