import type pg from 'pg';
import type { VerifyOptions } from '../../verify.ts';
import { inSnapshot } from '../connection/transaction.ts';
import type {
  StoredActive,
  StoredBroadcast,
  StoredEnd,
  StoredGeneration,
  StoredInstance,
  StoredLive,
  StoredPlace,
  StoredSubtask,
} from './stored.ts';

/** Instances of one batch, and how many tasks they may have together: a batch is what memory holds. */
const MOST_INSTANCES = 500;
const MOST_TASKS = 20_000;

export interface StoredBatch {
  readonly instances: readonly StoredInstance[];
  /** The next batch begins after it. */
  readonly lastId: string;
  /** Rows whose instance is not there. */
  readonly strays: readonly { readonly instanceId: string; readonly place: string }[];
}

/** Up to the task budget, but at least one. The ids that the others are read by. */
const PICK = {
  name: 'verify-pick',
  text: `with page as (
           select i.id, i.version_id, v.task_count from workflow_instance i left join workflow_version v on v.id = i.version_id
            where i.id > $1 and i.id <= $2 and ($3::bigint is null or i.id = $3) and ($4::bigint is null or i.id >= $4) and ($5::timestamptz is null or i.created_at >= $5)
            order by i.id limit ${MOST_INSTANCES}
         )
         select id, version_id from (select *, sum(task_count) over (order by id) - task_count as before from page) p
          where before < ${MOST_TASKS} or before is null order by id`,
};

const strayOf = (table: string): string =>
  `select distinct t.instance_id as "instanceId", '${table}' as place from ${table} t
    where t.instance_id > $1 and t.instance_id <= $2 and not exists (select from workflow_instance i where i.id = t.instance_id)
      and not exists (select from removal r where t.instance_id between r.first_id and r.last_id)`;
const STRAYS = {
  name: 'verify-strays',
  text: ['history', 'finished_task', 'finished_subtask', 'earlier_attempt', 'instance_end', 'instance_generation']
    .map(strayOf)
    .join(' union all '),
};

const of = (name: string, columns: string, table: string, order = ''): { name: string; text: string } => ({
  name: `verify-${name}`,
  text: `select ${columns} from ${table} where ${table === 'live_instance' ? 'id' : 'instance_id'} = any($1::bigint[]) ${order}`,
});
const HISTORY = of('history', 'instance_id, id, events', 'history', 'order by instance_id, id');
const LIVE = of('live', 'id, version_id, generation, state, unfinished, failed, ending, failure', 'live_instance');
const GENERATIONS = of(
  'generations',
  'instance_id, generation, mode, task, version_id',
  'instance_generation',
  'order by instance_id, generation',
);
const ENDS = of('ends', 'instance_id, generation, state, reason', 'instance_end', 'order by generation');
const ENDED = 'instance_id, generation, task, state, attempt, attempt_id, incarnation_id, reason';
const FINISHED = of('finished', `${ENDED}, carried_from`, 'finished_task');
const EARLIER = of('earlier', `${ENDED}, subtask`, 'earlier_attempt');
const SUBTASKS = of('subtasks', `${ENDED}, worker`, 'finished_subtask');
const BROADCASTS = of(
  'broadcasts',
  'instance_id, task, generation, phase, total, waiting, running, succeeded, failed, lost, stopped, skipped',
  'broadcast',
);
const ACTIVE = of(
  'active',
  'instance_id, generation, task, attempt, id, incarnation_id, state, subtask_index',
  'active',
  'order by id',
);
const READY = of('ready', 'instance_id, generation, task, attempt', 'ready');
const DELAYED = of('delayed', 'instance_id, generation, task, attempt', 'delayed');
const HELD = of('held', 'instance_id, generation, task, attempt, cause', 'held');
const COUNTERS = of('counters', 'instance_id, task, met', 'need_counter');
const COMMANDS = of('commands', 'instance_id, kind, payload', 'command');

/** The newest instance at the moment. */
export async function lastIdOf(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ last: string }>('select coalesce(max(id), 0) as last from workflow_instance');
  return rows[0]?.last ?? '0';
}

/** What is stored of the next instances after `after`, up to `last`, in one snapshot; undefined when there are no more. */
export function readBatch(
  pool: pg.Pool,
  options: VerifyOptions,
  after: string,
  last: string,
): Promise<StoredBatch | undefined> {
  return inSnapshot(pool, async (client) => {
    const { instance = null, sinceId = null, sinceTime = null } = options;
    const picked = await client.query<{ id: string; version_id: string }>({
      ...PICK,
      values: [after, last, instance, sinceId, sinceTime],
    });
    const lastId = picked.rows.at(-1)?.id;
    if (lastId === undefined) return undefined;
    const instances = new Map(picked.rows.map(({ id, version_id }) => [id, emptyInstance(id, version_id)]));
    const whole = instance === null && sinceTime === null && (sinceId === null || BigInt(after) >= BigInt(sinceId));
    await fill(client, instances);
    const strays = whole ? (await client.query({ ...STRAYS, values: [after, lastId] })).rows : [];
    return { instances: [...instances.values()], lastId, strays };
  });
}

function emptyInstance(id: string, versionId: string): StoredInstance {
  return {
    id,
    versionId,
    history: [],
    ends: [],
    generations: [],
    finished: [],
    earlier: [],
    subtasks: [],
    broadcasts: [],
    active: [],
    ready: [],
    delayed: [],
    held: [],
    counters: [],
    withdrawn: new Set(),
  };
}

async function fill(client: pg.PoolClient, instances: ReadonlyMap<string, StoredInstance>): Promise<void> {
  const ids = [...instances.keys()];
  const each = async (statement: { name: string; text: string }, put: Put): Promise<void> => {
    const { rows } = await client.query({ ...statement, values: [ids] });
    for (const row of rows) {
      const instance = instances.get(row.instance_id ?? row.id);
      if (instance !== undefined) put(instance, row);
    }
  };
  await each(HISTORY, (instance, { id, events }) => instance.history.push({ id, events }));
  await each(LIVE, (instance, row) => (instance.live = row as StoredLive));
  await each(GENERATIONS, (instance, row) => instance.generations.push(row as StoredGeneration));
  await each(ENDS, (instance, row) => instance.ends.push(row as StoredInstance['ends'][number]));
  await each(FINISHED, (instance, row) => instance.finished.push(row as StoredEnd));
  await each(EARLIER, (instance, row) => instance.earlier.push(row as StoredEnd));
  await each(SUBTASKS, (instance, row) => instance.subtasks.push(row as StoredSubtask));
  await each(BROADCASTS, (instance, row) => instance.broadcasts.push(row as StoredBroadcast));
  await each(ACTIVE, (instance, row) => instance.active.push(row as StoredActive));
  await each(READY, (instance, row) => instance.ready.push(row as StoredPlace));
  await each(DELAYED, (instance, row) => instance.delayed.push(row as StoredPlace));
  await each(HELD, (instance, row) => instance.held.push(row as StoredInstance['held'][number]));
  await each(COUNTERS, (instance, { task, met }) => instance.counters.push({ task, met }));
  await each(COMMANDS, (instance, { kind, payload }) => {
    if (kind === 'withdrawn') for (const { task } of payload.tasks ?? []) instance.withdrawn.add(task);
    if (kind === 'fan-out') instance.withdrawn.add(payload.task);
  });
}

type Put = (instance: StoredInstance, row: pg.QueryResultRow) => unknown;
