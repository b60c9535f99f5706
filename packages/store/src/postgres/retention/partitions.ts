import { SCHEMA } from '../connection/connection.ts';
import { sqlState } from '../connection/errors.ts';
import { attachPartition, PARTITION_SPAN, PARTITIONED_TABLES } from '../schema/partitions.ts';
import { inTransactionOf } from '../connection/transaction.ts';
import { removeLogObjects } from './instances.ts';
import type { Work } from './work.ts';

export const firstOf = (index: bigint): bigint => index * PARTITION_SPAN;
export const lastOf = (index: bigint): bigint => (index + 1n) * PARTITION_SPAN - 1n;

const LIVE = 'select 1 from live_instance where id between $1 and $2 limit 1';

/**
 * Removes all instances of a partition whose instances are all past their time. From the commit of the first transaction on none of them can
 * be run again; then the tables go, the instances' own first, so that nothing is ever found half there. A crash leaves its row in `removal`,
 * by which the next run goes on.
 *
 * Locks: for the moment of one insert the partition EXCLUSIVE, which holds up nobody but a rerun. Then DETACH CONCURRENTLY: SHARE UPDATE
 * EXCLUSIVE on the parent, which readers and writers do not notice; an ordinary DETACH would make all of them queue behind it.
 */
export async function removePartition(work: Work, index: bigint): Promise<boolean> {
  const { client } = work;
  const range = [firstOf(index), lastOf(index)];
  const { rows: unfinished } = await client.query('select 1 from removal where whole_partition limit 1');
  if (unfinished.length > 0) {
    // One after the other: PostgreSQL has at most one partition of a table in between.
    work.more = true;
    return false;
  }
  const decided = await orInUse(work, () =>
    inTransactionOf(client, async () => {
      await client.query(`lock table only workflow_instance_${index} in exclusive mode`);
      const { rows } = await client.query(LIVE, range);
      if (rows.length > 0) return false;
      await client.query(
        'insert into removal (first_id, last_id, whole_partition) values ($1, $2, true) on conflict (first_id) do update set last_id = $2, whole_partition = true',
        range,
      );
      await client.query('update retention_state set removed_up_to = greatest(removed_up_to, $1)', [lastOf(index)]);
      const counted = await client.query<{ count: number }>(
        `select greatest(0, reltuples)::int as count from pg_class where oid = 'workflow_instance_${index}'::regclass`,
      );
      work.removed.instances += counted.rows[0]?.count ?? 0;
      return true;
    }),
  );
  return decided === true && (await dropPartition(work, index));
}

/** Goes on with a removal that was decided. */
export async function dropPartition(work: Work, index: bigint): Promise<boolean> {
  for (const table of PARTITIONED_TABLES)
    if ((await orInUse(work, () => dropTable(work, table, index))) !== true) return false;
  await work.client.query('delete from removal where first_id between $1 and $2', [firstOf(index), lastOf(index)]);
  work.removed.partitions++;
  return true;
}

/** Puts an empty partition in the place of one whose logs are all past their time. Its instances stay, and may write logs again. */
export async function emptyLogs(work: Work, index: bigint): Promise<boolean> {
  const { rows } = await work.client.query<{ count: number }>(
    `select greatest(0, reltuples)::int as count from pg_class where oid = 'log_chunk_${index}'::regclass`,
  );
  if ((await orInUse(work, () => dropTable(work, 'log_chunk', index))) !== true) return false;
  await attachPartition(work.client, 'log_chunk', index);
  work.removed.logs += rows[0]?.count ?? 0;
  return true;
}

/** Answers whether the table is gone. Each step leaves a state that the next run recognises. */
async function dropTable(work: Work, table: string, index: bigint): Promise<boolean> {
  const { client } = work;
  const partition = `${table}_${index}`;
  const { rows } = await client.query<{ attached: boolean; pending: boolean }>(
    `select i.inhrelid is not null as attached, coalesce(i.inhdetachpending, false) as pending
       from pg_class c left join pg_inherits i on i.inhrelid = c.oid where c.oid = to_regclass($1)`,
    [`${SCHEMA}.${partition}`],
  );
  const [state] = rows;
  if (state === undefined) return true;
  if (state.pending) await client.query(`alter table ${table} detach partition ${partition} finalize`);
  else if (state.attached) await client.query(`alter table ${table} detach partition ${partition} concurrently`);
  if (table === 'log_chunk' && work.objects !== undefined && !(await removeLogObjects(work, partition))) return false;
  await client.query(`drop table ${partition}`);
  await work.pause(0);
  return true;
}

/** Somebody reads there for longer than we wait: undefined, and the next run tries again. */
async function orInUse<Result>(work: Work, action: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await action();
  } catch (error) {
    if (!['55P03', '57014', '40P01'].includes(sqlState(error) ?? '')) throw error;
    work.more = true;
    return undefined;
  }
}
