import type pg from 'pg';
import { requireKey, seal, unseal } from '../../sealing.ts';
import type { SecretKey } from '../../secret-key.ts';
import type { Secrets } from '../../secrets.ts';
import { StoreError } from '../../store-error.ts';
import { ensureProjects } from './projects.ts';
import { iso } from '../connection/rows.ts';

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

const SET = `insert into secret (project_id, name, ciphertext, updated_by)
  select id, $2, $3, $4 from project where name = $1
  on conflict (project_id, name) do update set ciphertext = excluded.ciphertext, updated_by = excluded.updated_by, updated_at = now()`;

const REVEAL = {
  name: 'secret-reveal',
  text: 'select s.name, s.ciphertext from secret s join project p on p.id = s.project_id where p.name = $1 and s.name = any($2::text[])',
};

export function createSecrets(pool: pg.Pool, key: SecretKey | undefined): Secrets {
  return {
    set: async (project, name, value, by) => {
      if (!NAME.test(name)) {
        throw new StoreError(
          'invalid',
          'invalid-name',
          `${JSON.stringify(name.slice(0, 80))} is no name for a secret: use letters, digits and _, at most 64, no digit at first`,
        );
      }
      const sealed = seal(requireKey(key), { kind: 'secret', project, name }, value);
      await ensureProjects(pool, [project]);
      await pool.query(SET, [project, name, sealed, by]);
    },
    list: async (project) => {
      const { rows } = await pool.query<{ name: string; updated_by: string; updated_at: Date }>(
        `select s.name, s.updated_by, s.updated_at from secret s join project p on p.id = s.project_id
          where p.name = $1 order by s.name collate "C"`,
        [project],
      );
      return rows.map((row) => ({ name: row.name, updatedBy: row.updated_by, updatedAt: iso(row.updated_at) }));
    },
    delete: async (project, name) => {
      const { rowCount } = await pool.query(
        'delete from secret s using project p where p.id = s.project_id and p.name = $1 and s.name = $2',
        [project, name],
      );
      return rowCount === 1;
    },
    reveal: async (project, names) => {
      if (names.length === 0) return { values: {}, missing: [] };
      const { rows } = await pool.query<{ name: string; ciphertext: Buffer }>({ ...REVEAL, values: [project, names] });
      const values = Object.fromEntries(
        rows.map(({ name, ciphertext }) => [
          name,
          unseal(requireKey(key), { kind: 'secret', project, name }, ciphertext),
        ]),
      );
      return { values, missing: [...new Set(names)].filter((name) => !Object.hasOwn(values, name)) };
    },
  };
}
