import type pg from 'pg';
import type { Removed } from '../../retention.ts';
import { inSnapshot } from '../connection/transaction.ts';
import { areLogsDue, isDue } from './due.ts';
import { COUNT_FIRES, OLD_ROWS, UNUSED_BLOBS } from './others.ts';
import { NOTHING } from './policy.ts';

/** What a run would remove now. */
export function readDue(pool: pg.Pool): Promise<Removed> {
  return inSnapshot(pool, async (client) => {
    const count = async (text: string): Promise<number> =>
      (await client.query<{ count: number }>(text)).rows[0]?.count ?? 0;
    const { rows } = await client.query<{ blobs: number; bytes: number }>(
      `select count(*)::float8 as blobs, coalesce(sum(size), 0)::float8 as bytes from (${UNUSED_BLOBS}) u`,
    );
    const due: { -readonly [Key in keyof Removed]: Removed[Key] } = { ...NOTHING };
    due.instances = await count(`select count(*)::float8 as count from workflow_instance i where ${isDue('0')}`);
    due.logs = await count(
      `select count(*)::float8 as count from workflow_instance i join log_chunk c on c.instance_id = i.id
        where ${areLogsDue('0')} or ${isDue('0')}`,
    );
    for (const [subject, [table, condition]] of Object.entries(OLD_ROWS) as [keyof typeof OLD_ROWS, [string, string]][])
      due[subject] = await count(`select count(*)::float8 as count from ${table} where ${condition}`);
    due.fires = await count(COUNT_FIRES);
    due.blobs = rows[0]?.blobs ?? 0;
    due.blobBytes = rows[0]?.bytes ?? 0;
    return due;
  });
}
