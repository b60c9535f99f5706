import type { Reason, JsonObject } from '@keelson/core';
import type { TaskInstanceKey } from '../../ids.ts';
import type { BroadcastSummary, SubtaskView } from '../../instances.ts';
import { RAN_IN } from './attempts.ts';
import { isoOrNull } from '../connection/rows.ts';
import type { Queryable } from '../connection/rows.ts';

const SUBTASKS = `
  select f.worker, f.incarnation_id, f.state, f.attempt, f.attempt_id, f.dispatched_at, f.started_at, f.ended_at, f.reason, f.outputs
    from finished_subtask f where f.instance_id = $1 and f.generation = ${RAN_IN} and f.task = $3
  union all
  select w.name, a.incarnation_id, a.state, a.attempt, a.id, case when a.state <> 'bound' then a.dispatched_at end, a.started_at, null, null, null
    from active a join worker_incarnation w on w.id = a.incarnation_id
   where a.instance_id = $1 and a.generation = $2 and a.task = $3 and a.subtask <> 0
  order by 2`;

interface SubtaskRow {
  readonly worker: string;
  readonly incarnation_id: string;
  readonly state: SubtaskView['state'];
  readonly attempt: number;
  readonly attempt_id: string;
  readonly dispatched_at: Date | null;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
  readonly reason: Reason | null;
  readonly outputs: JsonObject | null;
}

export async function readSubtasks(
  client: Queryable,
  { instanceId, generation, task }: TaskInstanceKey,
): Promise<SubtaskView[]> {
  const { rows } = await client.query<SubtaskRow>(SUBTASKS, [instanceId, generation, task]);
  return rows.map((row) => ({
    worker: row.worker,
    incarnation: row.incarnation_id,
    state: row.state,
    attempt: row.attempt,
    attemptId: row.attempt_id,
    dispatchedAt: isoOrNull(row.dispatched_at),
    startedAt: isoOrNull(row.started_at),
    endedAt: isoOrNull(row.ended_at),
    reason: row.reason,
    outputs: row.outputs ?? {},
  }));
}

/** A broadcast that is under way has a row that says it; of one that has ended its subtasks are counted. */
const SUMMARIES = `
  select task, phase, total, waiting, running, succeeded, failed, lost, stopped, skipped
    from broadcast where instance_id = $1 and generation = $2
  union all
  select f.task, 'ended', count(*)::int, 0, 0, count(*) filter (where state = 'succeeded')::int, count(*) filter (where state = 'failed')::int,
         count(*) filter (where state = 'lost')::int, count(*) filter (where state = 'stopped')::int, count(*) filter (where state = 'skipped')::int
    from finished_subtask f
   where f.instance_id = $1
     and (f.generation = $2
          or exists (select from finished_task c where c.instance_id = $1 and c.task = f.task and c.generation = $2 and c.carried_from = f.generation))
     and not exists (select from broadcast b where b.instance_id = f.instance_id and b.task = f.task and b.generation = $2)
   group by f.task`;

/** By task; a broadcast that has not begun is not among them. */
export async function readBroadcasts(
  client: Queryable,
  instanceId: string,
  generation: number,
): Promise<Map<string, BroadcastSummary>> {
  const { rows } = await client.query<BroadcastSummary & { readonly task: string }>(SUMMARIES, [
    instanceId,
    generation,
  ]);
  return new Map(rows.map(({ task, ...summary }) => [task, summary]));
}
