/**
 * CTEs that make instances from the rows of an earlier CTE, set-wise. An id that is there already makes nothing: the statement may be run again
 * under the same ids after an unknown outcome. Instances of a workflow with a limit begin `queued` and leave a follow-up for the admission
 * (postgres/admission.ts); the others are `running` with their `start` command.
 *
 * Adds the CTEs `made` (id) and `live` (id, workflow_id, limited): the instances that were made. What was made is found in the source by an
 * array: a join of two CTEs has no index, and each of its comparisons costs twenty times as much.
 *
 * @param source a CTE with the columns id, workflow_id, version_id, task_count, params (jsonb), run_time, priority, created_by, trigger,
 *   schedule_id, backfill_id
 * @param heardBy which schedule wants to hear of the end of `n`, a row of the source
 */
export function newInstances(source: string, heardBy = 'n.schedule_id'): string {
  return `made as (
    insert into workflow_instance (id, workflow_id, version_id, params, run_time, trigger, priority, created_by, schedule_id, backfill_id)
    select id, workflow_id, version_id, params, run_time, trigger, priority, created_by, schedule_id, backfill_id from ${source}
    on conflict (id) do nothing returning id
  ), placed as (
    select n.*, c.slots is not null as limited
      from ${source} n left join lateral (select slots from concurrency where workflow_id = n.workflow_id offset 0) c on true
     where n.id = any(array(select id from made))
  ), live as (
    insert into live_instance (id, workflow_id, version_id, generation, state, unfinished, priority, limited, schedule_id, backfill_id)
    select n.id, n.workflow_id, n.version_id, 1, case when n.limited then 'queued' else 'running' end, n.task_count, n.priority,
           n.limited, ${heardBy}, n.backfill_id
      from placed n order by n.id
    returning id, workflow_id, limited
  ), begun as (
    insert into command (instance_id, kind) select id, 'start' from live where not limited order by id
  ), held_back as (
    insert into followup (kind, subject_id, instance_id) select 'admission', workflow_id, id from live where limited order by id
  ), noted as (
    insert into history (instance_id, events)
    select n.id, jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('type', 'instance-created', 'by', n.created_by, 'version', n.version_id::text,
             'queued', case when n.limited then true end)))
      from placed n
  )`;
}
