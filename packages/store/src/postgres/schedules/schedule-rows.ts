import type { Reason, TriggerDefinition } from '@keelson/core';
import type { FireOutcome } from '../../fires.ts';
import type { FireInfo, ScheduleInfo, ScheduleState } from '../../schedules.ts';
import { iso, isoOrNull } from '../connection/rows.ts';

export interface ScheduleRow {
  readonly id: string;
  readonly project: string;
  readonly workflow: string;
  readonly trigger_id: string;
  readonly trigger: TriggerDefinition;
  readonly state: ScheduleState;
  readonly next_due: Date | null;
  readonly next_at: Date | null;
  readonly awaiting: string | null;
  readonly paused_at: Date | null;
  readonly paused_by: string | null;
  readonly last_error: string | null;
  readonly created_at: Date;
  readonly due_at: Date | null;
  readonly outcome: FireOutcome | null;
  readonly reason: Reason | null;
  readonly instance_id: string | null;
  readonly decided_at: Date | null;
}

export interface FireRow {
  readonly due_at: Date;
  readonly outcome: FireOutcome;
  readonly reason: Reason | null;
  readonly instance_id: string | null;
  readonly decided_at: Date;
}

/** Where a schedule `s` is, in one word. */
export const STATE = `case when s.paused_at is not null then 'paused' when not s.enabled then 'disabled' when s.awaiting is not null then 'awaiting'
         when s.exhausted or s.deleted_at is not null then 'ended' else 'active' end`;

export function scheduleFrom(row: ScheduleRow): ScheduleInfo {
  const { due_at, outcome, decided_at } = row;
  return {
    id: row.id,
    project: row.project,
    workflow: row.workflow,
    triggerId: row.trigger_id,
    trigger: row.trigger,
    state: row.state,
    nextDue: isoOrNull(row.next_due),
    nextAt: isoOrNull(row.next_at),
    awaiting: row.awaiting,
    pausedAt: isoOrNull(row.paused_at),
    pausedBy: row.paused_by,
    lastError: row.last_error,
    createdAt: iso(row.created_at),
    lastFire:
      due_at === null || outcome === null || decided_at === null
        ? null
        : fireFrom({ due_at, outcome, decided_at, reason: row.reason, instance_id: row.instance_id }),
  };
}

export function fireFrom({ due_at, outcome, reason, instance_id, decided_at }: FireRow): FireInfo {
  return { dueAt: iso(due_at), outcome, reason, instanceId: instance_id, decidedAt: iso(decided_at) };
}
