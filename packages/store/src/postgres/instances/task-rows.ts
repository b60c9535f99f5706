import type { Artifact, JsonObject, Reason, TaskDefinition, TaskState } from '@keelson/core';
import { taskInstanceId } from '../../ids.ts';
import type { BroadcastSummary, TaskInstance } from '../../instances.ts';
import { isoOrNull } from '../connection/rows.ts';
import type { Queryable } from '../connection/rows.ts';

export interface TaskRow {
  readonly task: string;
  readonly state: TaskState;
  readonly attempt: number;
  readonly attempt_id: string | null;
  readonly incarnation_id: string | null;
  readonly worker: string | null;
  readonly cause: 'delay' | 'retry' | null;
  readonly due_at: Date | null;
  readonly ready_at: Date | null;
  readonly dispatched_at: Date | null;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
  readonly kill_reason: 'stop' | 'timeout' | null;
  readonly progress: JsonObject | null;
  readonly reason: Reason | null;
  readonly outputs: JsonObject | null;
  readonly artifacts: Artifact[] | null;
  readonly held: boolean | null;
  readonly carried_from: number | null;
}

const BEFORE = (alias: string): string => `case when ${alias}.attempt > 1 then (
    select e.reason from earlier_attempt e
     where e.instance_id = $1 and e.task = ${alias}.task and e.generation = $2 and e.subtask = 0 and e.attempt = ${alias}.attempt - 1) end`;

/** Whose log is the task's own while its subtasks run. */
const LAST_OF_BEFORE = `(
    select e.attempt_id from earlier_attempt e
     where e.instance_id = $1 and e.task = b.task and e.generation = $2 and e.subtask = 0 and e.attempt = b.prior_attempts)`;

/**
 * $1 instance, $2 generation, $3 one task or null, $4 with outputs. One statement, so one moment: a task is in one of the six
 * tables, or in none while it waits.
 */
const TASK_ROWS = `
  select t.*, w.name as worker from (
    select f.task, f.state, f.attempt, f.attempt_id, f.incarnation_id, null as cause, null::timestamptz as due_at, f.ready_at, f.dispatched_at,
           f.started_at, f.ended_at, null as kill_reason, null::jsonb as progress, f.reason, case when $4 then f.outputs end as outputs, f.artifacts,
           null::boolean as held, f.carried_from
      from finished_task f where f.instance_id = $1 and f.generation = $2 and ($3::text is null or f.task = $3)
    union all
    select a.task, a.state, a.attempt, a.id, a.incarnation_id, null, null, a.ready_at, a.dispatched_at,
           a.started_at, null, a.kill_reason, a.progress, null, null, null, null, null
      from active a where a.instance_id = $1 and a.generation = $2 and a.subtask = 0 and ($3::text is null or a.task = $3)
    union all
    select b.task, 'running', b.prior_attempts, ${LAST_OF_BEFORE}, null, null, null, null, null, b.since, null, null, null, null, null, null, null, null
      from broadcast b where b.instance_id = $1 and b.generation = $2 and b.phase = 'fan' and ($3::text is null or b.task = $3)
    union all
    select r.task, 'ready', r.attempt - 1, null, null, null, null, r.ready_at, null, null, null, null, null, ${BEFORE('r')}, null, null, null, null
      from ready r where r.instance_id = $1 and r.generation = $2 and ($3::text is null or r.task = $3)
    union all
    select d.task, 'delayed', d.attempt - 1, null, null, d.cause, d.due_at, null, null, null, null, null, null, ${BEFORE('d')}, null, null, null, null
      from delayed d where d.instance_id = $1 and d.generation = $2 and ($3::text is null or d.task = $3)
    union all
    select h.task, case when h.cause is null then 'ready' else 'delayed' end, h.attempt - 1, null, null, h.cause, null, null, null, null, null, null, null,
           ${BEFORE('h')}, null, null, true, null
      from held h where h.instance_id = $1 and h.generation = $2 and ($3::text is null or h.task = $3)
  ) t left join worker_incarnation w on w.id = t.incarnation_id`;

export interface TaskRowsRequest {
  readonly instanceId: string;
  readonly generation: number;
  readonly task?: string;
  readonly outputs: boolean;
}

/** Rows by task id; a task without one waits. Attempts are those that there were, the one to come not counted. */
export async function readTaskRows(
  client: Queryable,
  { instanceId, generation, task, outputs }: TaskRowsRequest,
): Promise<Map<string, TaskRow>> {
  const { rows } = await client.query<TaskRow>(TASK_ROWS, [instanceId, generation, task ?? null, outputs]);
  return new Map(rows.map((row) => [row.task, row]));
}

/** What a task without a row is: it waits, or its instance ended before its turn came. */
export interface Rowless {
  readonly state: 'waiting' | 'stopped';
  readonly reason: Reason | null;
  readonly endedAt: string | null;
}

export interface TaskOwner {
  readonly instanceId: string;
  readonly generation: number;
  readonly rowless: Rowless;
  readonly outputs: boolean;
}

export function taskFrom(
  { instanceId, generation, rowless, outputs }: TaskOwner,
  definition: TaskDefinition,
  row: TaskRow | undefined,
  broadcast?: BroadcastSummary,
): TaskInstance {
  const task = definition.id;
  return {
    id: taskInstanceId({ instanceId, generation, task }),
    instanceId,
    generation,
    task,
    uses: definition.uses,
    needs: Object.keys(definition.needs),
    state: row?.state ?? rowless.state,
    attempt: row?.attempt ?? 0,
    maxAttempts: definition.retry.max + 1,
    attemptId: row?.attempt_id ?? null,
    worker: row?.worker ?? null,
    workerGroup: definition.workerGroup,
    dueAt: isoOrNull(row?.due_at ?? null),
    readyAt: isoOrNull(row?.ready_at ?? null),
    dispatchedAt: isoOrNull(row?.dispatched_at ?? null),
    startedAt: isoOrNull(row?.started_at ?? null),
    endedAt: row === undefined ? rowless.endedAt : isoOrNull(row.ended_at),
    killReason: row?.kill_reason ?? null,
    progress: row?.progress ?? null,
    reason: row === undefined ? rowless.reason : row.reason,
    artifacts: row?.artifacts ?? [],
    ...(row?.held === true ? { held: true } : {}),
    ...(typeof row?.carried_from === 'number' ? { carriedFrom: row.carried_from } : {}),
    ...(broadcast === undefined ? {} : { broadcast }),
    ...(outputs ? { outputs: row?.outputs ?? {} } : {}),
  };
}
