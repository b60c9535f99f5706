import type pg from 'pg';
import { PROJECT_SUBJECTS, SHORTEST_KEEP_MS } from '../../retention.ts';
import type { Keep, Removed, RetentionChanges, RetentionPolicy, RetentionSubject } from '../../retention.ts';
import { StoreError } from '../../store-error.ts';
import { iso, isoOrNull } from '../connection/rows.ts';
import { inTransaction } from '../connection/transaction.ts';

export const NOTHING: Removed = {
  instances: 0,
  partitions: 0,
  logs: 0,
  fires: 0,
  alerts: 0,
  commandErrors: 0,
  workers: 0,
  blobs: 0,
  blobBytes: 0,
};

const RULES = `select p.name as project, r.subject, r.keep_ms::float8 as keep from retention_rule r left join project p on p.id = r.scope
                where r.scope = 0 or p.id is not null order by p.name nulls first, r.subject`;

const SET = `insert into retention_rule (scope, subject, keep_ms, updated_by) values ($1, $2, $3, $4)
             on conflict (scope, subject) do update set keep_ms = excluded.keep_ms, updated_by = excluded.updated_by, updated_at = now()`;

export async function readPolicy(pool: pg.Pool): Promise<RetentionPolicy> {
  const { rows } = await pool.query<{ project: string | null; subject: RetentionSubject; keep: Keep }>(RULES);
  const { rows: states } = await pool.query<{
    began_at: Date | null;
    ended_at: Date | null;
    removed: Partial<Removed>;
  }>('select began_at, ended_at, removed from retention_state');
  const installation: Partial<Record<RetentionSubject, Keep>> = {};
  const projects: Record<string, Partial<Record<RetentionSubject, Keep>>> = {};
  for (const { project, subject, keep } of rows)
    (project === null ? installation : (projects[project] ??= {}))[subject] = keep;
  const [state] = states;
  return {
    installation: installation as RetentionPolicy['installation'],
    projects,
    lastRun:
      state === undefined || state.began_at === null
        ? null
        : {
            beganAt: iso(state.began_at),
            endedAt: isoOrNull(state.ended_at),
            removed: { ...NOTHING, ...state.removed },
          },
  };
}

export async function setPolicy(
  pool: pg.Pool,
  project: string | undefined,
  changes: RetentionChanges,
  by: string,
): Promise<void> {
  for (const [subject, keep] of Object.entries(changes)) check(project, subject as RetentionSubject, keep);
  return inTransaction(pool, async (client) => {
    const scope = project === undefined ? '0' : await scopeOf(client, project);
    for (const [subject, keep] of Object.entries(changes))
      if (keep === 'inherit')
        await client.query('delete from retention_rule where scope = $1 and subject = $2', [scope, subject]);
      else await client.query(SET, [scope, subject, keep, by]);
  });
}

function check(project: string | undefined, subject: RetentionSubject, keep: Keep | 'inherit'): void {
  const wrong = (message: string) => new StoreError('invalid', 'invalid-retention', `${subject}: ${message}`);
  if (project === undefined && keep === 'inherit')
    throw wrong('the installation inherits from nobody; give a duration or forever');
  if (project !== undefined && !PROJECT_SUBJECTS.includes(subject))
    throw wrong(`it is set for the installation; a project may have its own ${PROJECT_SUBJECTS.join(', ')}`);
  if (typeof keep === 'number' && !(Number.isInteger(keep) && keep >= SHORTEST_KEEP_MS))
    throw wrong('the shortest time is 1h');
}

async function scopeOf(client: pg.PoolClient, project: string): Promise<string> {
  const { rows } = await client.query<{ id: string }>('select id from project where name = $1', [project]);
  const [row] = rows;
  if (row === undefined) throw new StoreError('not-found', 'unknown-project', `there is no project ${project}`);
  return row.id;
}
