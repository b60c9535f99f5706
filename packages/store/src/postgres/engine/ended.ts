/**
 * CTEs for a statement that ends instances: what has to follow elsewhere, written in the statement that deletes the live rows, so that it costs
 * no other one. Of most instances nobody wants to hear: that is found out first, and costs 0.6 µs each.
 *
 * `freed` gives back the slots of the limited ones; `told` (kind) leaves the follow-ups. No slot can come meanwhile: who gives one locks the live
 * row as a step does.
 *
 * @param gone a CTE of deleted rows of live_instance: id, workflow_id, limited, schedule_id, backfill_id
 */
export function endedFollowups(gone: string): string {
  return `heard as materialized (
    select id, workflow_id, limited, schedule_id, backfill_id from ${gone} where limited or schedule_id is not null or backfill_id is not null
  ), freed as (
    delete from slot s using heard g where g.limited and s.workflow_id = g.workflow_id and s.instance_id = g.id
  ), told as (
    insert into followup (kind, subject_id, instance_id)
    select w.kind, w.subject_id, g.id from heard g
     cross join lateral (values ('admission', case when g.limited then g.workflow_id end), ('schedule', g.schedule_id), ('backfill', g.backfill_id))
                          as w(kind, subject_id)
     where w.subject_id is not null
    returning kind
  )`;
}
