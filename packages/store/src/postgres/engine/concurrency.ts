import type { ConcurrencyPolicy } from '@keelson/core';
import { call } from '../connection/session.ts';
import type { Call } from '../connection/session.ts';

/** How many instances of a workflow may go at once. */
export interface WorkflowLimit {
  readonly workflowId: string;
  readonly policy: ConcurrencyPolicy;
  /** Null: as many as come. */
  readonly slots: number | null;
}

/**
 * Locks: the limits, in the order of their workflows; an admission that is under way is waited for. A workflow that never had a limit and has none
 * gets no row. Where something changed, a follow-up has those that wait looked at again. An instance of 0: nobody's end.
 */
const SET_LIMITS = {
  name: 'set-limits',
  text: `
  with asked as (
    select * from unnest($1::bigint[], $2::text[], $3::int[]) as u(workflow_id, policy, slots)
  ), changed as (
    insert into concurrency as c (workflow_id, policy, slots)
    select a.workflow_id, a.policy, a.slots from asked a
     where a.slots is not null or exists (select from concurrency k where k.workflow_id = a.workflow_id) order by a.workflow_id
    on conflict (workflow_id) do update
       set policy = excluded.policy, slots = excluded.slots, changed_at = clock_timestamp(),
           settled = c.settled and c.slots is not null and excluded.slots is not null
     where (c.policy, c.slots) is distinct from (excluded.policy, excluded.slots)
    returning workflow_id
  ), told as (
    insert into followup (kind, subject_id, instance_id) select 'admission', workflow_id, 0 from changed order by workflow_id
  )
  select workflow_id from changed order by workflow_id`,
};

/** Writes the limits of workflows as their latest versions have them. Answers those that changed. */
export function setLimits(limits: readonly WorkflowLimit[]): Call {
  return call(
    SET_LIMITS,
    limits.map(({ workflowId }) => workflowId),
    limits.map(({ policy }) => policy),
    limits.map(({ slots }) => slots),
  );
}
