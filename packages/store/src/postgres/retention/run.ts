import type pg from 'pg';
import { areLogsDue, isDue, SHORTEST } from './due.ts';
import { forgetInstances, removeLogs, removeParts } from './instances.ts';
import { removeOthers } from './others.ts';
import { dropPartition, emptyLogs, firstOf, lastOf, removePartition } from './partitions.ts';
import type { Work } from './work.ts';

const PAGE = 500;
const BATCH = 100;
/** What goes with its whole partition so soon is not taken out row by row before. */
const PATIENCE_MS = 3 * 24 * 3_600_000;
/** Ids that a process took and has not used yet are thrown away after half of this. */
const IDS_SETTLED = "interval '1 hour'";

interface Shortest {
  readonly instances: number | null;
  readonly logs: number | null;
}

/** One walk over everything, oldest first. */
export async function removeAllDue(work: Work): Promise<void> {
  const { client } = work;
  await finishRemovals(work);
  const { rows } = await client.query<Shortest>(SHORTEST);
  const shortest = rows[0] ?? { instances: null, logs: null };
  for (const index of await partitionsOf(client)) {
    if (work.stopped()) return void (work.more = true);
    if (await isYoung(client, index, shortest)) break;
    await removeFrom(work, index, shortest);
  }
  await removeOthers(work);
}

async function removeFrom(work: Work, index: bigint, shortest: Shortest): Promise<void> {
  const { client } = work;
  const full = await isFull(client, index);
  const wholeDue = (condition: (ahead: string) => string, ahead: number) =>
    full && holdsForAll(client, index, condition, ahead);
  if (shortest.instances !== null && (await wholeDue(isDue, 0))) return void (await removePartition(work, index));
  const together = shortest.instances !== null && (await wholeDue(isDue, PATIENCE_MS));
  const hasLogs = shortest.logs !== null && (await holdsLogs(client, index));
  if (hasLogs && (await wholeDue(areLogsDue, 0))) await emptyLogs(work, index);
  else if (hasLogs) await walk(work, index, shortest.logs, areLogsDue, (ids) => removeLogs(work, index, ids));
  if (!together && shortest.instances !== null)
    await walk(work, index, shortest.instances, isDue, async (ids) => {
      await forgetInstances(work, ids);
      await removeParts(work, index, firstOf(index), lastOf(index));
    });
}

/** Hands over the ids of a partition for which the condition holds, until it comes to those that are too young for it. */
async function walk(
  work: Work,
  index: bigint,
  keepMs: number | null,
  condition: (ahead: string) => string,
  take: (ids: string[]) => Promise<unknown>,
): Promise<void> {
  let after = firstOf(index) - 1n;
  for (;;) {
    if (work.stopped()) return void (work.more = true);
    const { rows } = await work.client.query<{ id: string; due: boolean; young: boolean }>(
      `select i.id, ${condition('0')} as due, i.created_at > clock_timestamp() - $3::float8 * interval '1 millisecond' as young
         from (select * from workflow_instance where id > $1 and id <= $2 order by id limit ${PAGE}) i order by i.id`,
      [after, lastOf(index), keepMs],
    );
    const due = rows.filter((row) => row.due).map(({ id }) => id);
    for (let at = 0; at < due.length && !work.stopped(); at += BATCH) await take(due.slice(at, at + BATCH));
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE || rows.every(({ young }) => young)) return;
    after = BigInt(last.id);
  }
}

/** What an earlier run had begun. */
async function finishRemovals(work: Work): Promise<void> {
  const { rows } = await work.client.query<{ index: string; whole: boolean }>(
    'select distinct first_id / 1000000 as index, whole_partition as whole from removal order by whole_partition desc, 1',
  );
  const whole = new Set(rows.filter((row) => row.whole).map(({ index }) => index));
  for (const row of rows) {
    const index = BigInt(row.index);
    if (row.whole) await dropPartition(work, index);
    else if (!whole.has(row.index)) await removeParts(work, index, firstOf(index), lastOf(index));
  }
  const { rows: logless } = await work.client.query<{ index: string }>(MISSING_LOGS);
  for (const { index } of logless) await emptyLogsAgain(work, BigInt(index));
}

/** Partitions of instances whose partition of logs was being replaced when a run was cut off. */
const MISSING_LOGS = `
  select substring(c.relname from '[0-9]+$') as index from pg_inherits h join pg_class c on c.oid = h.inhrelid
   where h.inhparent = 'workflow_instance'::regclass and not h.inhdetachpending
     and not exists (select from pg_inherits l join pg_class n on n.oid = l.inhrelid
                      where l.inhparent = 'log_chunk'::regclass and not l.inhdetachpending
                        and n.relname = 'log_chunk_' || substring(c.relname from '[0-9]+$'))`;

async function emptyLogsAgain(work: Work, index: bigint): Promise<void> {
  await emptyLogs(work, index);
}

async function partitionsOf(client: pg.Client): Promise<bigint[]> {
  const { rows } = await client.query<{ index: string }>(
    `select substring(c.relname from '[0-9]+$') as index from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'workflow_instance'::regclass and not i.inhdetachpending`,
  );
  return rows.map(({ index }) => BigInt(index)).toSorted((one, other) => (one < other ? -1 : 1));
}

/** Its oldest instance is younger than anything is kept: so are all after it. */
async function isYoung(client: pg.Client, index: bigint, { instances, logs }: Shortest): Promise<boolean> {
  const shortest = Math.min(instances ?? Infinity, logs ?? Infinity);
  if (shortest === Infinity) return true;
  const { rows } = await client.query<{ young: boolean }>(
    `select created_at > clock_timestamp() - $3::float8 * interval '1 millisecond' as young
       from workflow_instance where id between $1 and $2 order by id limit 1`,
    [firstOf(index), lastOf(index), shortest],
  );
  return rows[0]?.young ?? false;
}

/** No more instances will be made in it: the ids of one after it are in use, and have been for long enough. */
async function isFull(client: pg.Client, index: bigint): Promise<boolean> {
  const { rows } = await client.query<{ settled: boolean }>(
    `select created_at < clock_timestamp() - ${IDS_SETTLED} as settled from workflow_instance where id > $1 order by id limit 1`,
    [lastOf(index)],
  );
  return rows[0]?.settled ?? false;
}

/** Stops at the first instance for which it does not hold. */
async function holdsForAll(
  client: pg.Client,
  index: bigint,
  condition: (ahead: string) => string,
  ahead: number,
): Promise<boolean> {
  const { rows } = await client.query(
    `select i.id from workflow_instance i where i.id between $1 and $2 and not ${condition('$3')} order by i.id limit 1`,
    [firstOf(index), lastOf(index), ahead],
  );
  return rows.length === 0;
}

async function holdsLogs(client: pg.Client, index: bigint): Promise<boolean> {
  const { rows } = await client.query('select 1 from log_chunk where instance_id between $1 and $2 limit 1', [
    firstOf(index),
    lastOf(index),
  ]);
  return rows.length > 0;
}
