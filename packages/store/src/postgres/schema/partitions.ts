import type pg from 'pg';
import { SCHEMA } from '../connection/connection.ts';
import { call } from '../connection/session.ts';
import type { Runner } from '../connection/session.ts';

/** Instance ids per partition. */
export const PARTITION_SPAN = 1_000_000n;

const PARTITIONED = [
  ['workflow_instance', 'fillfactor = 100'],
  ['instance_end', 'fillfactor = 100'],
  ['instance_generation', 'fillfactor = 100'],
  ['finished_task', 'fillfactor = 100'],
  ['earlier_attempt', 'fillfactor = 100'],
  ['finished_subtask', 'fillfactor = 100'],
  ['history', 'fillfactor = 100'],
  ['log_chunk', 'fillfactor = 100'],
] as const;
/** The instances' own table first: what else is theirs goes after it. */
export const PARTITIONED_TABLES = PARTITIONED.map(([table]) => table);
const PARTITION_LOCK = 7_305_114_211;

/** Retention holds a partition to be full only an hour after the first id beyond it was in use. */
const IDS_GOOD_MS = 1_800_000;

const TAKE_IDS = {
  name: 'instance-ids',
  text: "select nextval('instance_id') as id from generate_series(1, $1)",
};

/** Hands out ids of instances, each once. Who is about to take more of them says how many, so that they are fetched at once. */
export type NextId = (more?: number) => Promise<string>;

/**
 * Instance ids, taken in blocks. An id is only handed out once the partitions for it and for the block after it exist, so no
 * insert ever meets a missing partition. Ids that were not used soon are dropped: retention might have removed their partition meanwhile.
 *
 * @param ensurePartition makes the partition for ids from `index`·span on, unless it is there
 */
export function instanceIds(
  runner: Runner,
  ensurePartition: (index: bigint) => Promise<void>,
  blockSize = 100,
): NextId {
  let block: string[] = [];
  let takenAt = 0;
  let refill: Promise<void> | undefined;
  let ensured = -1n;
  const fill = async (more: number): Promise<void> => {
    takenAt = performance.now();
    const [rows = []] = await runner.run([call(TAKE_IDS, Math.max(blockSize, more))]);
    const fresh = rows.map((row): string => row.id);
    const last = BigInt(fresh.at(-1) ?? '0') / PARTITION_SPAN;
    if (last > ensured) {
      await ensurePartition(last);
      await ensurePartition(last + 1n);
      ensured = last;
    }
    block = fresh.toReversed();
  };
  return async (more = 1) => {
    for (;;) {
      if (performance.now() - takenAt > IDS_GOOD_MS) block = [];
      const id = block.pop();
      if (id !== undefined) return id;
      refill ??= fill(more).finally(() => (refill = undefined));
      await refill;
    }
  };
}

/**
 * Creates the partitions for ids from `index`·span on. Made apart and then attached, which does not lock out readers and writers of
 * the other partitions.
 */
export async function ensurePartition(pool: pg.Pool, index: bigint): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock($1)', [PARTITION_LOCK]);
    for (const table of PARTITIONED_TABLES) await attachPartition(client, table, index);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/** Makes one partition, unless it is there. */
export async function attachPartition(client: pg.ClientBase, table: string, index: bigint): Promise<void> {
  const name = `${table}_${index}`;
  const { rows } = await client.query('select to_regclass($1) is not null as exists', [`${SCHEMA}.${name}`]);
  if (rows[0]?.exists === true) return;
  const storage = PARTITIONED.find(([known]) => known === table)?.[1] ?? 'fillfactor = 100';
  await client.query(
    `create table ${name} (like ${table} including defaults including constraints including storage including generated) with (${storage})`,
  );
  await client.query(
    `alter table ${table} attach partition ${name} for values from (${index * PARTITION_SPAN}) to (${(index + 1n) * PARTITION_SPAN})`,
  );
}
