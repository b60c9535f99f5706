import { canonicalJson } from '@keelson/core';
import type { NextTime, TriggerDefinition } from '@keelson/core';
import type pg from 'pg';
import type { DefinitionDraft } from '../../definitions.ts';
import { StoreError } from '../../store-error.ts';
import { databaseNow, nextPlace, projectCalendars, skipOverdue } from './schedule-place.ts';
import type { CompiledCalendars } from './schedule-place.ts';

/** A version that was just published, or that is the latest already. */
export interface ScheduledVersion {
  readonly draft: Pick<DefinitionDraft, 'project' | 'name' | 'definition' | 'createdBy'>;
  readonly workflowId: string;
  readonly versionId: string;
}

interface ExistingRow {
  readonly id: string;
  readonly workflow_id: string;
  readonly version_id: string;
  readonly trigger_id: string;
  readonly trigger: TriggerDefinition;
  readonly next_due: Date | null;
  readonly awaiting: string | null;
  readonly paused: boolean;
}

interface Wanted {
  readonly version: ScheduledVersion;
  readonly trigger: TriggerDefinition;
  readonly existing: ExistingRow | undefined;
}

/**
 * Brings the schedules of workflows to the triggers of their latest versions, in the transaction that publishes these. A new trigger and one
 * that has changed count from now; one that is as it was keeps its place; one that is gone is removed.
 *
 * Locks: calendars FOR KEY SHARE, then the schedules FOR NO KEY UPDATE in the order of their ids; fires that are under way are waited for.
 *
 * @throws {StoreError} `missing-calendar`
 */
export async function syncSchedules(client: pg.PoolClient, versions: readonly ScheduledVersion[]): Promise<void> {
  const calendars = await knownCalendars(client, versions);
  const existing = await lockExisting(
    client,
    versions.map(({ workflowId }) => workflowId),
  );
  const byTrigger = new Map(existing.map((row) => [`${row.workflow_id}/${row.trigger_id}`, row]));
  const wanted = versions.flatMap((version) =>
    version.draft.definition.triggers.map((trigger): Wanted => {
      const key = `${version.workflowId}/${trigger.id}`;
      const row = byTrigger.get(key);
      byTrigger.delete(key);
      return { version, trigger, existing: row };
    }),
  );
  const changed = wanted.filter(
    ({ trigger, existing: row }) => row !== undefined && canonicalJson(row.trigger) !== canonicalJson(trigger),
  );
  const fresh = wanted.filter((one) => one.existing === undefined);
  const gone = [...byTrigger.values()];
  const now = fresh.length + changed.length + gone.length > 0 ? await databaseNow(client) : 0;
  await removeSchedules(client, gone, authorsOf(versions), now);
  await insertNew(client, fresh, calendars, now);
  await updateChanged(client, changed, calendars, now);
  await moveVersion(
    client,
    wanted.filter(({ version, existing: row }) => row !== undefined && row.version_id !== version.versionId),
  );
}

/** Removes all schedules of a workflow that is being deleted. Locks them as an apply does. */
export async function removeSchedulesOf(client: pg.PoolClient, workflowId: string, by: string): Promise<void> {
  const existing = await lockExisting(client, [workflowId]);
  if (existing.length > 0)
    await removeSchedules(client, existing, new Map([[workflowId, by]]), await databaseNow(client));
}

async function knownCalendars(
  client: pg.PoolClient,
  versions: readonly ScheduledVersion[],
): Promise<CompiledCalendars> {
  const named = versions.flatMap(({ draft }) =>
    draft.definition.triggers.map((trigger) => ({ project: draft.project, name: draft.name, trigger })),
  );
  const calendars = await projectCalendars(client, named, 'share');
  for (const { project, name, trigger } of named)
    for (const calendar of trigger.calendars ?? [])
      if (calendars.get(project)?.has(calendar) !== true)
        throw new StoreError(
          'invalid',
          'missing-calendar',
          `a trigger of ${project}/${name} names the calendar ${calendar}, which project ${project} does not have`,
        );
  return calendars;
}

async function lockExisting(client: pg.PoolClient, workflowIds: readonly string[]): Promise<ExistingRow[]> {
  const { rows } = await client.query<ExistingRow>(
    `select id, workflow_id, version_id, trigger_id, trigger, next_due, awaiting, paused_at is not null as paused
       from schedule where workflow_id = any($1::bigint[]) and deleted_at is null order by id for no key update`,
    [workflowIds],
  );
  return rows;
}

const authorsOf = (versions: readonly ScheduledVersion[]): Map<string, string> =>
  new Map(versions.map(({ workflowId, draft }) => [workflowId, draft.createdBy]));

async function removeSchedules(
  client: pg.PoolClient,
  gone: readonly ExistingRow[],
  authors: ReadonlyMap<string, string>,
  now: number,
): Promise<void> {
  if (gone.length === 0) return;
  await skipOverdue(client, gone, now, {
    code: 'schedule-removed',
    message: 'the trigger was removed before this time fired',
  });
  await client.query(
    `with removed as (
       update schedule s set deleted_at = clock_timestamp(), next_due = null, next_at = null, awaiting = null
         from unnest($1::bigint[], $2::text[]) as u(id, by) where s.id = u.id returning s.id, u.by
     ) insert into schedule_event (schedule_id, kind, by) select id, 'removed', by from removed`,
    [gone.map(({ id }) => id), gone.map((row) => authors.get(row.workflow_id) ?? 'nobody')],
  );
}

/** The place of one that nobody has paused; of a disabled one it is kept in mind, and not taken. */
function placeOf({ version, trigger, existing }: Wanted, calendars: CompiledCalendars, now: number) {
  const { project, name } = version.draft;
  const enabled = trigger.enabled !== false;
  // From the end of the last instance on: also when the delay is another one now.
  const awaits = (existing?.awaiting ?? null) !== null && trigger.fixedDelayMs !== undefined;
  const next = awaits ? undefined : nextPlace({ project, name, trigger }, calendars, now);
  const taken: NextTime | undefined = enabled && existing?.paused !== true ? next : undefined;
  return { enabled, awaits, exhausted: next === undefined && !awaits, taken };
}

const dateOrNull = (ms: number | undefined): Date | null => (ms === undefined ? null : new Date(ms));

async function insertNew(
  client: pg.PoolClient,
  fresh: readonly Wanted[],
  calendars: CompiledCalendars,
  now: number,
): Promise<void> {
  if (fresh.length === 0) return;
  const places = fresh.map((one) => placeOf(one, calendars, now));
  await client.query(
    `with made as (
       insert into schedule (workflow_id, version_id, trigger_id, trigger, next_due, next_at, exhausted, enabled)
       select workflow_id, version_id, trigger_id, trigger::jsonb, next_due, next_at, exhausted, enabled
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::boolean[], $8::boolean[])
              as u(workflow_id, version_id, trigger_id, trigger, next_due, next_at, exhausted, enabled) returning id, workflow_id
     ) insert into schedule_event (schedule_id, kind, by)
       select made.id, 'created', author.by from made join (select distinct * from unnest($1::bigint[], $9::text[])) as author(workflow_id, by) using (workflow_id)`,
    [
      fresh.map(({ version }) => version.workflowId),
      fresh.map(({ version }) => version.versionId),
      fresh.map(({ trigger }) => trigger.id),
      fresh.map(({ trigger }) => JSON.stringify(trigger)),
      places.map(({ taken }) => dateOrNull(taken?.dueMs)),
      places.map(({ taken }) => dateOrNull(taken?.atMs)),
      places.map(({ exhausted }) => exhausted),
      places.map(({ enabled }) => enabled),
      fresh.map(({ version }) => version.draft.createdBy),
    ],
  );
}

async function updateChanged(
  client: pg.PoolClient,
  changed: readonly Wanted[],
  calendars: CompiledCalendars,
  now: number,
): Promise<void> {
  if (changed.length === 0) return;
  const rows = changed.flatMap((one) => (one.existing === undefined ? [] : [{ ...one, existing: one.existing }]));
  await skipOverdue(
    client,
    rows.map(({ existing }) => existing),
    now,
    { code: 'schedule-changed', message: 'the trigger was changed before this time fired' },
  );
  const places = rows.map((one) => placeOf(one, calendars, now));
  await client.query(
    `with moved as (
       update schedule s set trigger = u.trigger::jsonb, next_due = u.next_due, next_at = u.next_at, exhausted = u.exhausted, enabled = u.enabled,
              awaiting = case when u.awaits then s.awaiting end, last_error = null, started_at = to_timestamp($9::float8 / 1000)
         from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::boolean[], $6::boolean[], $7::boolean[], $8::text[])
              as u(id, trigger, next_due, next_at, exhausted, enabled, awaits, by) where s.id = u.id returning s.id, u.by
     ) insert into schedule_event (schedule_id, kind, by) select id, 'changed', by from moved`,
    [
      rows.map(({ existing }) => existing.id),
      rows.map(({ trigger }) => JSON.stringify(trigger)),
      places.map(({ taken }) => dateOrNull(taken?.dueMs)),
      places.map(({ taken }) => dateOrNull(taken?.atMs)),
      places.map(({ exhausted }) => exhausted),
      places.map(({ enabled }) => enabled),
      places.map(({ awaits }) => awaits),
      rows.map(({ version }) => version.draft.createdBy),
      now,
    ],
  );
}

/** The next fire takes the latest version, whatever has changed in it. */
async function moveVersion(client: pg.PoolClient, moved: readonly Wanted[]): Promise<void> {
  if (moved.length === 0) return;
  await client.query(
    `update schedule s set version_id = u.version_id from unnest($1::bigint[], $2::bigint[]) as u(id, version_id) where s.id = u.id`,
    [moved.map(({ existing }) => existing?.id), moved.map(({ version }) => version.versionId)],
  );
}
