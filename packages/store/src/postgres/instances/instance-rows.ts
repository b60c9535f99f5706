import type { InstanceState, JsonObject, Reason } from '@keelson/core';
import type { InstanceSummary, InstanceTrigger } from '../../instances.ts';
import { iso, isoOrNull } from '../connection/rows.ts';

export interface InstanceRow {
  readonly id: string;
  readonly project: string;
  readonly workflow: string;
  readonly version: number;
  readonly version_id: string;
  readonly live: boolean;
  readonly state: InstanceState | null;
  readonly generation: number;
  readonly trigger: InstanceTrigger;
  readonly priority: number;
  readonly run_time: Date;
  readonly created_by: string;
  readonly created_at: Date;
  readonly begun_at: Date;
  readonly ended_at: Date | null;
  readonly reason: Reason | null;
  readonly failure: { readonly task: string; readonly reason: Reason } | null;
  readonly task_count: number;
  readonly unfinished: number;
  readonly params: JsonObject;
}

/**
 * Instances `i` as they are: the live row while there is one, else the end of the highest generation. Wants `i` to be made of
 * few rows: each costs some look-ups by key.
 */
export const INSTANCE_COLUMNS = `
  i.id, p.name as project, w.name as workflow, v.version, v.id as version_id, l.id is not null as live,
  coalesce(l.state, e.state) as state, coalesce(l.generation, e.generation, 1) as generation, i.trigger, coalesce(l.priority, i.priority) as priority,
  i.run_time, i.created_by, i.created_at, coalesce(g.created_at, i.created_at) as begun_at, e.ended_at, e.reason, l.failure, v.task_count, coalesce(l.unfinished, 0) as unfinished,
  coalesce(g.params, i.params) as params`;

export const INSTANCE_JOINS = `
  left join live_instance l on l.id = i.id
  left join lateral (
    select state, generation, reason, ended_at from instance_end e
     where e.instance_id = i.id and l.id is null order by e.generation desc limit 1) e on true
  left join lateral (
    select version_id, params, created_at from instance_generation g
     where coalesce(l.generation, e.generation) > 1 and g.instance_id = i.id and g.generation = coalesce(l.generation, e.generation)) g on true
  join workflow_version v on v.id = coalesce(l.version_id, g.version_id, i.version_id)
  join workflow w on w.id = i.workflow_id join project p on p.id = w.project_id`;

export function summaryFrom(row: InstanceRow): InstanceSummary {
  return {
    id: row.id,
    project: row.project,
    workflow: row.workflow,
    version: row.version,
    state: row.state ?? 'failed',
    generation: row.generation,
    trigger: row.trigger,
    priority: row.priority,
    runTime: iso(row.run_time),
    createdBy: row.created_by,
    createdAt: iso(row.created_at),
    begunAt: iso(row.begun_at),
    endedAt: isoOrNull(row.ended_at),
    reason: reasonOf(row),
    taskCount: row.task_count,
    unfinished: row.unfinished,
  };
}

function reasonOf({ state, reason, failure }: InstanceRow): Reason | null {
  if (state === null)
    return { code: 'instance-lost', message: 'the instance is neither alive nor ended: keelson doctor says more' };
  if (reason !== null || failure === null) return reason;
  return { code: 'task-failed', message: `${failure.task}: ${failure.reason.message}` };
}
