import type { JsonObject } from '@keelson/core';
import type pg from 'pg';
import type { DatasourceDraft, DatasourceInfo, Datasources } from '../../datasources.ts';
import { requireKey, seal, unseal } from '../../sealing.ts';
import type { SealOwner } from '../../sealing.ts';
import type { SecretKey } from '../../secret-key.ts';
import { StoreError } from '../../store-error.ts';
import { ensureProjects } from './projects.ts';
import { iso } from '../connection/rows.ts';
import { inTransaction } from '../connection/transaction.ts';

const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

const COLUMNS =
  'd.name, d.config, d.ciphertext, d.updated_by, d.updated_at from datasource d join project p on p.id = d.project_id';

const SET = `insert into datasource (project_id, name, config, ciphertext, updated_by)
  select id, $2, $3, $4, $5 from project where name = $1
  on conflict (project_id, name) do update
     set config = excluded.config, ciphertext = excluded.ciphertext, updated_by = excluded.updated_by, updated_at = now()`;

interface DatasourceRow {
  readonly name: string;
  readonly config: JsonObject;
  readonly ciphertext: Buffer | null;
  readonly updated_by: string;
  readonly updated_at: Date;
}

export function createDatasources(pool: pg.Pool, key: SecretKey | undefined): Datasources {
  const find = async (project: string, name: string): Promise<DatasourceRow | undefined> => {
    const { rows } = await pool.query<DatasourceRow>(`select ${COLUMNS} where p.name = $1 and d.name = $2`, [
      project,
      name,
    ]);
    return rows[0];
  };
  return {
    set: (project, name, draft, by) => set(pool, key, { kind: 'datasource', project, name }, draft, by),
    get: async (project, name) => {
      const row = await find(project, name);
      return row && infoFrom(row);
    },
    list: async (project) => {
      const { rows } = await pool.query<DatasourceRow>(
        `select ${COLUMNS} where p.name = $1 order by d.name collate "C"`,
        [project],
      );
      return rows.map(infoFrom);
    },
    delete: async (project, name) => {
      const { rowCount } = await pool.query(
        'delete from datasource d using project p where p.id = d.project_id and p.name = $1 and d.name = $2',
        [project, name],
      );
      return rowCount === 1;
    },
    reveal: async (project, name) => {
      const row = await find(project, name);
      if (row === undefined) return undefined;
      if (row.ciphertext === null) return { config: row.config };
      return {
        config: row.config,
        password: unseal(requireKey(key), { kind: 'datasource', project, name }, row.ciphertext),
      };
    },
  };
}

/** Locks: the datasource's row FOR NO KEY UPDATE, so that the password that stays is the one of the row that was looked at. */
async function set(
  pool: pg.Pool,
  key: SecretKey | undefined,
  owner: SealOwner,
  { config, password }: DatasourceDraft,
  by: string,
): Promise<void> {
  const { project, name } = owner;
  if (!NAME.test(name)) {
    throw new StoreError(
      'invalid',
      'invalid-name',
      `${JSON.stringify(name.slice(0, 80))} is no name for a datasource: use letters, digits, _ and -, at most 64, a letter or _ at first`,
    );
  }
  if ('password' in config)
    throw new StoreError(
      'invalid',
      'password-in-config',
      'a password is never part of the config: give it apart, it is stored encrypted',
    );
  const fresh = password === undefined ? undefined : seal(requireKey(key), owner, password);
  await inTransaction(pool, async (client) => {
    await ensureProjects(client, [project]);
    const { rows } = await client.query<DatasourceRow>(
      `select ${COLUMNS} where p.name = $1 and d.name = $2 for no key update of d`,
      [project, name],
    );
    const ciphertext = fresh ?? kept(owner, rows[0], config);
    await client.query(SET, [project, name, JSON.stringify(config), ciphertext, by]);
  });
}

/** A password stays with the server it was given for: else who may change the host could have it sent to a host of their own. */
function kept({ project, name }: SealOwner, stored: DatasourceRow | undefined, config: JsonObject): Buffer | null {
  if (stored === undefined || stored.ciphertext === null) return null;
  const moved = ['host', 'port'].find((field) => stored.config[field] !== config[field]);
  if (moved === undefined) return stored.ciphertext;
  throw new StoreError(
    'invalid',
    'password-required',
    `${project}/${name} has a password for another ${moved}: give the password again, also if it is the same`,
  );
}

function infoFrom({ name, config, ciphertext, updated_by, updated_at }: DatasourceRow): DatasourceInfo {
  return { name, config, hasPassword: ciphertext !== null, updatedBy: updated_by, updatedAt: iso(updated_at) };
}
