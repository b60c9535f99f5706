import type { HistoryEvent, JsonObject, Reason, TaskState } from '@keelson/core';
import type pg from 'pg';
import type { WorkflowName } from '../../definitions.ts';
import type { TaskInstanceKey } from '../../ids.ts';
import type { CommandError, InstanceDetail, Instances, TaskInstance } from '../../instances.ts';
import { readAttempts } from './attempts.ts';
import { pageFrom, parseCursor } from '../connection/cursor.ts';
import { definitionCache } from '../definitions/definition-cache.ts';
import type { DefinitionReader } from '../definitions/definition-cache.ts';
import { readGenerations } from './instance-generations.ts';
import { listInstances } from './instance-list.ts';
import { INSTANCE_COLUMNS, INSTANCE_JOINS, summaryFrom } from './instance-rows.ts';
import type { InstanceRow } from './instance-rows.ts';
import { isId, iso, isoOrNull } from '../connection/rows.ts';
import type { Queryable } from '../connection/rows.ts';
import { readBroadcasts, readSubtasks } from './subtasks.ts';
import { readTaskRows, taskFrom } from './task-rows.ts';
import type { Rowless } from './task-rows.ts';

const ONE = `select ${INSTANCE_COLUMNS} from workflow_instance i ${INSTANCE_JOINS} where i.id = $1`;

const COUNTS = `
  select state, count(*)::int as count from (
    select state from finished_task where instance_id = $1 and generation = $2
    union all select state from active where instance_id = $1 and generation = $2 and subtask = 0
    union all select 'running' from broadcast where instance_id = $1 and generation = $2 and phase = 'fan'
    union all select 'ready' from ready where instance_id = $1 and generation = $2
    union all select 'delayed' from delayed where instance_id = $1 and generation = $2
    union all select case when cause is null then 'ready' else 'delayed' end from held where instance_id = $1 and generation = $2
  ) t group by state`;

export function createInstances(pool: pg.Pool, definitions: DefinitionReader = definitionCache()): Instances {
  return {
    list: (filter, page) => listInstances(pool, filter, page),
    get: async (id) => {
      const row = await readInstance(pool, id);
      return row && readDetail(pool, definitions, row);
    },
    tasks: async (id, { outputs = false, generation } = {}) => {
      const row = await readInstance(pool, id);
      if (row === undefined || (generation ?? 1) > row.generation) return [];
      return readTasks(pool, definitions, row, { outputs, ...(generation === undefined ? {} : { generation }) });
    },
    task: async ({ instanceId, generation, task }) => {
      const row = await readInstance(pool, instanceId);
      if (row === undefined || generation > row.generation) return undefined;
      const [found] = await readTasks(pool, definitions, row, { outputs: true, task, generation });
      return found;
    },
    attempts: async (key) => (isId(key.instanceId) ? readAttempts(pool, key) : []),
    subtasks: async (key) => (isId(key.instanceId) ? readSubtasks(pool, key) : []),
    subtaskAttempts: async (key, worker) => (isId(key.instanceId) ? readAttempts(pool, key, worker) : []),
    history: (id, page, { asked = false } = {}) => readHistory(pool, id, page, asked),
    commandErrors: async (id) => (isId(id) ? readCommandErrors(pool, id) : []),
    generations: (id) => readGenerations(pool, id),
    findTask: async (instanceId, task) => {
      const row = await readInstance(pool, instanceId);
      if (row === undefined) return undefined;
      const { tasks } = await definitions(pool, row.version_id);
      return Object.hasOwn(tasks, task)
        ? ({ instanceId, generation: row.generation, task } satisfies TaskInstanceKey)
        : undefined;
    },
    workflowOf: async (id) => {
      if (!isId(id)) return undefined;
      const { rows } = await pool.query<WorkflowName>(
        `select p.name as project, w.name from workflow_instance i join workflow w on w.id = i.workflow_id join project p on p.id = w.project_id
          where i.id = $1`,
        [id],
      );
      return rows[0];
    },
  };
}

export async function readInstance(client: Queryable, id: string): Promise<InstanceRow | undefined> {
  if (!isId(id)) return undefined;
  const { rows } = await client.query<InstanceRow>(ONE, [id]);
  return rows[0];
}

async function readDetail(pool: pg.Pool, definitions: DefinitionReader, row: InstanceRow): Promise<InstanceDetail> {
  const definition = await definitions(pool, row.version_id);
  const { rows } = await pool.query<{ state: TaskState; count: number }>(COUNTS, [row.id, row.generation]);
  const counts: Partial<Record<TaskState, number>> = Object.fromEntries(rows.map(({ state, count }) => [state, count]));
  const rowless = row.task_count - rows.reduce((sum, { count }) => sum + count, 0);
  if (rowless > 0) {
    const { state } = rowlessOf(row);
    counts[state] = (counts[state] ?? 0) + rowless;
  }
  return { ...summaryFrom(row), versionId: row.version_id, timezone: definition.timezone, params: row.params, counts };
}

interface TaskChoice {
  readonly outputs: boolean;
  readonly task?: string;
  readonly generation?: number;
}

async function readTasks(
  pool: pg.Pool,
  definitions: DefinitionReader,
  row: InstanceRow,
  choice: TaskChoice,
): Promise<TaskInstance[]> {
  const { outputs, task, generation = row.generation } = choice;
  const { versionId, rowless } =
    generation === row.generation ? currentOf(row) : await earlierOf(pool, row, generation);
  const definition = await definitions(pool, versionId);
  const found = await readTaskRows(pool, {
    instanceId: row.id,
    generation,
    outputs,
    ...(task === undefined ? {} : { task }),
  });
  const broadcasts = Object.values(definition.tasks).some(({ broadcast }) => broadcast !== undefined)
    ? await readBroadcasts(pool, row.id, generation)
    : undefined;
  const owner = { instanceId: row.id, generation, outputs, rowless };
  const asked = Object.values(definition.tasks).filter(({ id }) => task === undefined || id === task);
  return asked.map((planned) => taskFrom(owner, planned, found.get(planned.id), broadcasts?.get(planned.id)));
}

/** What a generation's tasks are made of. */
interface Basis {
  readonly versionId: string;
  readonly rowless: Rowless;
}

const currentOf = (row: InstanceRow): Basis => ({ versionId: row.version_id, rowless: rowlessOf(row) });

/** Of a generation that another one has followed: it has ended. */
async function earlierOf(pool: pg.Pool, row: InstanceRow, generation: number): Promise<Basis> {
  const { rows } = await pool.query<{ version_id: string; reason: Reason | null; ended_at: Date | null }>(
    `select coalesce(g.version_id, i.version_id) as version_id, e.reason, e.ended_at from workflow_instance i
       left join instance_generation g on g.instance_id = i.id and g.generation = $2
       left join instance_end e on e.instance_id = i.id and e.generation = $2
      where i.id = $1`,
    [row.id, generation],
  );
  const [{ version_id, reason, ended_at } = { version_id: row.version_id, reason: null, ended_at: null }] = rows;
  return { versionId: version_id, rowless: { state: 'stopped', reason, endedAt: isoOrNull(ended_at) } };
}

export function rowlessOf(row: InstanceRow): Rowless {
  if (row.live) return { state: 'waiting', reason: null, endedAt: null };
  const { reason, endedAt } = summaryFrom(row);
  return { state: 'stopped', reason, endedAt };
}

async function readHistory(
  pool: pg.Pool,
  id: string,
  page: Parameters<Instances['history']>[1],
  asked: boolean,
): ReturnType<Instances['history']> {
  const [above = '0'] = parseCursor(page.cursor, 1, isId) ?? [];
  if (!isId(id)) return { items: [], next: null };
  const { rows } = await pool.query<{ id: string; at: Date; events: HistoryEvent[] }>(
    `select id, at, events from history where instance_id = $1 and id > $2 ${asked ? `and events @? '$[*].by'` : ''} order by id limit $3`,
    [id, above, page.limit + 1],
  );
  return pageFrom(
    rows,
    page,
    (row) => ({ id: row.id, at: iso(row.at), events: row.events }),
    (row) => [row.id],
  );
}

interface CommandErrorRow {
  readonly command_id: string;
  readonly kind: string;
  readonly payload: JsonObject;
  readonly tries: number;
  readonly error: string;
  readonly parked_at: Date;
}

async function readCommandErrors(pool: pg.Pool, id: string): Promise<CommandError[]> {
  const { rows } = await pool.query<CommandErrorRow>(
    'select command_id, kind, payload, tries, error, parked_at from command_error where instance_id = $1 order by id',
    [id],
  );
  return rows.map(({ command_id, parked_at, ...rest }) => ({
    ...rest,
    commandId: command_id,
    parkedAt: iso(parked_at),
  }));
}
