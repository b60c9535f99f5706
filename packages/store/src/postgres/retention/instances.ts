import { objectName } from '../logs.ts';
import { inTransactionOf } from '../connection/transaction.ts';
import { isDue } from './due.ts';
import { remove } from './work.ts';
import type { Work } from './work.ts';

/** Tables with rows of an instance beside its own, its ends and its generations. */
const PARTS = ['finished_task', 'finished_subtask', 'earlier_attempt', 'history'] as const;
const ROWS_AT_ONCE = 2000;
/** Of 64 KiB each. */
const CHUNKS_AT_ONCE = 200;

/** Locks: the instance's own row, which a rerun locks FOR KEY SHARE: one that is being run again is left alone. */
const LOCK = 'select id from workflow_instance where id = any($1::bigint[]) order by id for update skip locked';

/** Looked at again under the lock. What else there is of them is removed by what `removal` says. */
const FORGET = `
  with due as (
    select i.id from workflow_instance i where i.id = any($1::bigint[]) and ${isDue('0')}
  ), noted as (
    insert into removal (first_id, last_id) select id, id from due
  ), marked as (
    update retention_state set removed_up_to = greatest(removed_up_to, (select max(id) from due)) where exists (select from due)
  ), ends as (
    delete from instance_end where instance_id in (select id from due)
  ), generations as (
    delete from instance_generation where instance_id in (select id from due)
  )
  delete from workflow_instance where id in (select id from due) returning id`;

/** Takes these instances out, as far as they are past their time still; what is left of them goes with `removeParts`. */
export async function forgetInstances(work: Work, ids: readonly string[]): Promise<void> {
  const began = performance.now();
  const gone = await inTransactionOf(work.client, async () => {
    const { rows } = await work.client.query<{ id: string }>(LOCK, [ids]);
    return (await work.client.query(FORGET, [rows.map(({ id }) => id)])).rowCount ?? 0;
  });
  work.removed.instances += gone;
  await work.pause(performance.now() - began);
}

/** Removes the rows of instances of this partition that were taken out, in pieces. False: stopped before the end. */
export async function removeParts(work: Work, index: bigint, first: bigint, last: bigint): Promise<boolean> {
  for (;;) {
    const { rows } = await work.client.query<{ id: string }>(
      'select first_id as id from removal where not whole_partition and first_id between $1 and $2 order by first_id limit 200',
      [first, last],
    );
    if (rows.length === 0) return true;
    const ids = rows.map(({ id }) => id);
    for (const table of PARTS) if (!(await removeRows(work, `${table}_${index}`, ids))) return false;
    if (!(await removeLogs(work, index, ids))) return false;
    await work.client.query('delete from removal where first_id = any($1::bigint[]) and not whole_partition', [ids]);
  }
}

async function removeRows(work: Work, partition: string, ids: readonly string[]): Promise<boolean> {
  const text = `delete from ${partition} where ctid = any(array(
                  select ctid from ${partition} where instance_id = any($1::bigint[]) limit ${ROWS_AT_ONCE}))`;
  for (let count = ROWS_AT_ONCE; count === ROWS_AT_ONCE;) {
    if (stopped(work)) return false;
    count = await remove(work, text, [ids]);
  }
  return true;
}

/** The bytes go before the row that knows of them. False: stopped before the end. */
export async function removeLogs(work: Work, index: bigint, ids: readonly string[]): Promise<boolean> {
  const partition = `log_chunk_${index}`;
  for (;;) {
    if (stopped(work)) return false;
    const { rows } = await work.client.query<ChunkRow & { place: string }>(
      `select ctid as place, attempt_id, start, data is null as apart from ${partition}
        where instance_id = any($1::bigint[]) limit ${CHUNKS_AT_ONCE}`,
      [ids],
    );
    if (rows.length === 0) return true;
    await removeObjects(work, rows);
    const places = rows.map(({ place }) => place);
    work.removed.logs += await remove(work, `delete from ${partition} where ctid = any($1::tid[])`, [places]);
  }
}

interface ChunkRow {
  readonly attempt_id: string;
  readonly start: string;
  readonly apart: boolean;
}

/** All bytes of a whole partition of logs that lie in the object store. False: stopped before the end. */
export async function removeLogObjects(work: Work, partition: string): Promise<boolean> {
  let after: readonly string[] = ['0', '0', '-1'];
  for (;;) {
    if (stopped(work)) return false;
    const { rows } = await work.client.query<ChunkRow & { instance_id: string }>(
      `select instance_id, attempt_id, start, true as apart from ${partition}
        where data is null and (instance_id, attempt_id, start) > ($1, $2, $3) order by instance_id, attempt_id, start limit ${CHUNKS_AT_ONCE}`,
      [...after],
    );
    const last = rows.at(-1);
    if (last === undefined) return true;
    await removeObjects(work, rows);
    after = [last.instance_id, last.attempt_id, last.start];
  }
}

async function removeObjects({ objects }: Work, rows: readonly ChunkRow[]): Promise<void> {
  if (objects === undefined) return;
  const apart = rows.filter((row) => row.apart);
  for (let at = 0; at < apart.length; at += 16)
    await Promise.all(
      apart
        .slice(at, at + 16)
        .map(({ attempt_id, start }) => objects.remove(objectName({ attemptId: attempt_id }, Number(start)))),
    );
}

function stopped(work: Work): boolean {
  if (!work.stopped()) return false;
  work.more = true;
  return true;
}
