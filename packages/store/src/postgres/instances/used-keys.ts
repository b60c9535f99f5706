import type pg from 'pg';
import type { WorkflowName } from '../../definitions.ts';
import type { UsedKey, UsedKeys } from '../../used-keys.ts';

const OF_WORKFLOW = 'join workflow w on w.id = k.workflow_id join project p on p.id = w.project_id';

const START = `select k.instance_id as id, k.body_hash as hash from start_key k ${OF_WORKFLOW} where p.name = $1 and w.name = $2 and k.key = $3`;
const BACKFILL = `select k.id, k.body_hash as hash from backfill k ${OF_WORKFLOW} where p.name = $1 and w.name = $2 and k.key = $3`;

export function createUsedKeys(pool: pg.Pool): UsedKeys {
  const find = async (sql: string, { project, name }: WorkflowName, key: string): Promise<UsedKey | undefined> => {
    const { rows } = await pool.query<{ id: string; hash: string }>(sql, [project, name, key]);
    const [row] = rows;
    return row && { id: row.id, bodyHash: row.hash };
  };
  return {
    start: (workflow, key) => find(START, workflow, key),
    backfill: (workflow, key) => find(BACKFILL, workflow, key),
  };
}
