import type { Reason } from '@keelson/core';
import type { TaskInstanceKey } from '../../ids.ts';
import type { TaskAttempt } from '../../instances.ts';
import { isoOrNull } from '../connection/rows.ts';
import type { Queryable } from '../connection/rows.ts';

interface AttemptRow {
  readonly attempt_id: string;
  readonly attempt: number;
  readonly state: TaskAttempt['state'];
  readonly worker: string | null;
  readonly ready_at: Date | null;
  readonly dispatched_at: Date | null;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
  readonly reason: Reason | null;
}

/** $4 null: the task's own; else those of the subtask of a worker of this name. */
const OF = `subtask = 0 and $4::text is null or subtask <> 0 and subtask in (select id from worker_incarnation where name = $4)`;

/** The generation in which the task ran: of a carried one, an earlier one. */
export const RAN_IN = `coalesce((select carried_from from finished_task where instance_id = $1 and generation = $2 and task = $3), $2)`;

const ATTEMPTS = `
  select t.*, w.name as worker from (
    select attempt_id, attempt, state, incarnation_id, ready_at, dispatched_at, started_at, ended_at, reason
      from earlier_attempt where instance_id = $1 and generation = ${RAN_IN} and task = $3 and (${OF})
    union all
    select id, attempt, state, incarnation_id, ready_at, dispatched_at, started_at, null, null
      from active where instance_id = $1 and generation = $2 and task = $3 and state <> 'bound' and (${OF})
    union all
    select attempt_id, attempt, state, incarnation_id, ready_at, dispatched_at, started_at, ended_at, reason
      from finished_task where instance_id = $1 and generation = $2 and task = $3 and attempt_id is not null and $4::text is null
    union all
    select attempt_id, attempt, state, incarnation_id, ready_at, dispatched_at, started_at, ended_at, reason
      from finished_subtask where instance_id = $1 and generation = ${RAN_IN} and task = $3 and worker = $4 and dispatched_at is not null
  ) t left join worker_incarnation w on w.id = t.incarnation_id order by t.attempt`;

export async function readAttempts(
  client: Queryable,
  { instanceId, generation, task }: TaskInstanceKey,
  worker: string | null = null,
): Promise<TaskAttempt[]> {
  const { rows } = await client.query<AttemptRow>(ATTEMPTS, [instanceId, generation, task, worker]);
  return rows.map((row) => ({
    attemptId: row.attempt_id,
    attempt: row.attempt,
    state: row.state,
    worker: row.worker,
    readyAt: isoOrNull(row.ready_at),
    dispatchedAt: isoOrNull(row.dispatched_at),
    startedAt: isoOrNull(row.started_at),
    endedAt: isoOrNull(row.ended_at),
    reason: row.reason,
  }));
}
