import type { JsonObject } from '@keelson/core';
import type pg from 'pg';
import type { Project, Projects } from '../../projects.ts';
import { StoreError } from '../../store-error.ts';
import { pageFrom, parseCursor } from '../connection/cursor.ts';
import { iso } from '../connection/rows.ts';
import type { Queryable } from '../connection/rows.ts';

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

interface ProjectRow {
  readonly name: string;
  readonly created_at: Date;
  readonly workflows: number;
}

const COLUMNS = `p.name, p.created_at,
  (select count(*)::int from workflow w where w.project_id = p.id and w.deleted_at is null) as workflows`;

export function createProjects(pool: pg.Pool): Projects {
  return {
    get: async (name) => {
      const { rows } = await pool.query<ProjectRow>(`select ${COLUMNS} from project p where p.name = $1`, [name]);
      return rows[0] && projectFrom(rows[0]);
    },
    list: async (page) => {
      const [after = ''] = parseCursor(page.cursor, 1) ?? [];
      const { rows } = await pool.query<ProjectRow>(
        `select ${COLUMNS} from project p where p.name collate "C" > $1 order by p.name collate "C" limit $2`,
        [after, page.limit + 1],
      );
      return pageFrom(rows, page, projectFrom, ({ name }) => [name]);
    },
    params: async (name) => {
      const { rows } = await pool.query<{ params: JsonObject }>('select params from project where name = $1', [name]);
      return rows[0]?.params ?? {};
    },
    setParams: async (name, params) => {
      checkName('project', name);
      await pool.query(
        'insert into project (name, params) values ($1, $2) on conflict (name) do update set params = excluded.params',
        [name, JSON.stringify(params)],
      );
    },
  };
}

/** Makes the projects that do not exist yet. Locks: new rows, in the order of their names. */
export async function ensureProjects(client: Queryable, names: readonly string[]): Promise<void> {
  for (const name of names) checkName('project', name);
  await client.query(
    'insert into project (name) select distinct name from unnest($1::text[]) as name order by name on conflict (name) do nothing',
    [names],
  );
}

/** @throws {StoreError} `invalid-name` */
export function checkName(what: 'project' | 'workflow', name: string): void {
  if (NAME.test(name)) return;
  const shown = JSON.stringify(name.slice(0, 80));
  throw new StoreError(
    'invalid',
    'invalid-name',
    `${shown} is no name for a ${what}: use a-z, 0-9 and -, at most 63 characters, not - at first`,
  );
}

function projectFrom({ name, workflows, created_at }: ProjectRow): Project {
  return { name, workflows, createdAt: iso(created_at) };
}
