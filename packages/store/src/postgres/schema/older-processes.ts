import type pg from 'pg';
import manifest from '../../../package.json' with { type: 'json' };
import type { Migration } from './migration-files.ts';
import { SchemaError } from './schema-check.ts';
import type { AppliedMigration } from './schema-check.ts';

/** Columns that the schema may not have yet are read by way of JSON. A server that did not say which schema it knows knew the first. */
const SERVERS = `
  select coalesce(url, host) as place, roles, host, pid, version, coalesce((to_jsonb(n) ->> 'schema_version')::int, 1) as schema
    from server_node n where seen_until > clock_timestamp() order by host, started_at`;
const WORKERS = `
  select name, host, pid, version from worker_incarnation where state <> 'dead' and lease_until > clock_timestamp() order by name`;

interface ServerRow {
  readonly place: string;
  readonly roles: readonly string[];
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly schema: number;
}

interface WorkerRow {
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
}

/**
 * Servers that would not survive a pending migration, and, where one breaks the release before, workers of an older release than this: they
 * must be gone first.
 *
 * @throws {SchemaError} `older-processes-running`, naming them
 */
export async function refuseWhileOlderRun(
  client: pg.Client,
  applied: readonly AppliedMigration[],
  pending: readonly Migration[],
): Promise<void> {
  const current = applied.at(-1)?.version ?? 0;
  if (current === 0) return;
  const breaking = pending.filter(({ compatibleFrom }) => compatibleFrom > 1);
  if (breaking.length === 0) return;
  const needed = Math.max(...breaking.map(({ compatibleFrom }) => compatibleFrom));
  const servers = (await client.query<ServerRow>(SERVERS)).rows.filter(({ schema }) => schema < needed);
  const workers = needed > current ? (await client.query<WorkerRow>(WORKERS)).rows.filter(isOlder) : [];
  const named = [
    ...servers.map(
      ({ place, roles, host, pid, version, schema }) =>
        `server ${place} (${roles.join(',')}; ${host}:${pid}, release ${version}, schema ${schema})`,
    ),
    ...workers.map(({ name, host, pid, version }) => `worker ${name} (${host}:${pid}, release ${version})`),
  ];
  if (named.length === 0) return;
  throw new SchemaError(
    'older-processes-running',
    `${breaking.map(({ name }) => name).join(', ')} would break processes that still run: ${named.join('; ')}. ` +
      'Stop them (SIGTERM drains them), then migrate again; what was killed counts until its registration or lease has run out',
  );
}

function isOlder({ version }: WorkerRow): boolean {
  return compareReleases(version, manifest.version) < 0;
}

/** By their numbers; what is no number counts as 0, so that an unknown release is an old one. */
export function compareReleases(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split(/[.+-]/).map((part) => Number(part) || 0));
  for (let index = 0; index < 3; index++) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
