/**
 * The rows of the tables that masters live on, column by column as in the migrations. bigint is text, timestamptz milliseconds, jsonb the
 * parsed and frozen value.
 */
export interface InstanceRow {
  readonly id: string;
  readonly workflow_id: string;
  readonly version_id: string;
  readonly params: unknown;
  readonly run_time: number;
  readonly trigger: string;
  readonly priority: number;
  readonly created_by: string;
  readonly created_at: number;
  readonly schedule_id: string | null;
  readonly backfill_id: string | null;
}

export interface LiveRow {
  readonly id: string;
  readonly workflow_id: string;
  readonly version_id: string;
  readonly generation: number;
  readonly revision: number;
  readonly state: string;
  readonly unfinished: number;
  readonly failed: number;
  readonly ending: boolean;
  readonly has_artifacts: boolean;
  readonly failure: unknown;
  readonly priority: number;
  readonly begun: boolean;
  readonly ended_ahead: boolean;
  readonly limited: boolean;
  readonly place: string;
  readonly schedule_id: string | null;
  readonly backfill_id: string | null;
}

export interface EndRow {
  readonly instance_id: string;
  readonly generation: number;
  readonly state: string;
  readonly reason: unknown;
  readonly ended_at: number;
}

/** Why there is a generation after the first, and what differs in it. */
export interface GenerationRow {
  readonly instance_id: string;
  readonly generation: number;
  readonly mode: string;
  readonly task: string | null;
  readonly version_id: string;
  readonly params: unknown;
  readonly created_by: string;
  readonly created_at: number;
}

export interface StartKeyRow {
  readonly workflow_id: string;
  readonly key: string;
  readonly body_hash: string;
  readonly instance_id: string;
  readonly created_at: number;
}

export interface CommandRow {
  readonly id: string;
  readonly instance_id: string;
  readonly kind: string;
  readonly payload: unknown;
  readonly tries: number;
  readonly last_error: string | null;
  readonly not_before: number;
  readonly created_at: number;
}

export interface FollowupRow {
  readonly id: string;
  readonly kind: string;
  readonly subject_id: string;
  readonly instance_id: string;
  readonly created_at: number;
}

export interface ConcurrencyRow {
  readonly workflow_id: string;
  readonly policy: string;
  readonly slots: number | null;
  readonly settled: boolean;
  readonly changed_at: number;
}

export interface SlotRow {
  readonly workflow_id: string;
  readonly instance_id: string;
  readonly held_since: number;
}

export interface CommandErrorRow {
  readonly id: string;
  readonly command_id: string;
  readonly instance_id: string;
  readonly kind: string;
  readonly payload: unknown;
  readonly tries: number;
  readonly error: string;
  readonly parked_at: number;
}

export interface CounterRow {
  readonly instance_id: string;
  readonly task: string;
  readonly met: number;
}

/** What a task in line and a delayed one have in common. */
export interface LineRow {
  readonly instance_id: string;
  readonly task: string;
  readonly generation: number;
  readonly attempt: number;
  readonly losses: number;
  readonly worker_group: string;
  readonly capability: string;
  readonly priority: number;
}

export interface DelayedRow extends LineRow {
  readonly fan_out: boolean;
  readonly cause: string;
  readonly due_at: number;
}

/** A task that would be in line or delayed if its instance were not pausing or paused. */
export interface HeldRow extends LineRow {
  readonly cause: string | null;
  readonly delay_left_ms: number;
  readonly fan_out: boolean;
}

export interface ReadyRow extends LineRow {
  readonly seq: string;
  readonly ready_at: number;
}

export interface ActiveRow {
  readonly id: string;
  readonly instance_id: string;
  readonly task: string;
  readonly generation: number;
  readonly attempt: number;
  readonly losses: number;
  readonly incarnation_id: string;
  readonly nonce: string;
  readonly state: string;
  readonly ready_at: number;
  readonly dispatched_at: number;
  readonly started_at: number | null;
  readonly timeout_at: number | null;
  readonly timeout_action: string | null;
  readonly kill_reason: string | null;
  readonly progress: unknown;
  /** '0': the task itself; else the incarnation whose subtask it is. */
  readonly subtask: string;
  readonly subtask_index: number | null;
  readonly not_before: number | null;
}

/** How many subtasks of a broadcast are where. */
export interface BroadcastCounts {
  readonly total: number;
  readonly waiting: number;
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly lost: number;
  readonly stopped: number;
  readonly skipped: number;
}

export interface BroadcastRow extends BroadcastCounts {
  readonly instance_id: string;
  readonly task: string;
  readonly generation: number;
  readonly phase: string;
  readonly prior_attempts: number;
  readonly outputs: unknown;
  readonly since: number;
}

export interface FinishedSubtaskRow {
  readonly instance_id: string;
  readonly generation: number;
  readonly task: string;
  readonly incarnation_id: string;
  readonly worker: string;
  readonly state: string;
  readonly attempt: number;
  readonly attempt_id: string;
  readonly ready_at: number;
  readonly dispatched_at: number | null;
  readonly started_at: number | null;
  readonly ended_at: number;
  readonly reason: unknown;
  readonly outputs: unknown;
}

export interface FinishedRow {
  readonly instance_id: string;
  readonly generation: number;
  readonly task: string;
  readonly state: string;
  readonly attempt: number;
  readonly attempt_id: string | null;
  readonly incarnation_id: string | null;
  readonly ready_at: number | null;
  readonly dispatched_at: number | null;
  readonly started_at: number | null;
  readonly ended_at: number;
  readonly reason: unknown;
  readonly outputs: unknown;
  readonly artifacts: unknown;
  /** The generation in which it ended, when it was carried into this one. */
  readonly carried_from: number | null;
}

export interface EarlierRow {
  readonly instance_id: string;
  readonly generation: number;
  readonly task: string;
  readonly attempt: number;
  readonly attempt_id: string;
  readonly incarnation_id: string;
  readonly state: string;
  readonly ready_at: number;
  readonly dispatched_at: number;
  readonly started_at: number | null;
  readonly ended_at: number;
  readonly reason: unknown;
  readonly subtask: string;
}

export interface HistoryRow {
  readonly id: string;
  readonly instance_id: string;
  readonly at: number;
  readonly events: readonly unknown[];
}

export interface AlertRow {
  readonly id: string;
  readonly kind: string;
  readonly instance_id: string | null;
  readonly payload: unknown;
  readonly created_at: number;
}

export interface GroupRow {
  readonly name: string;
  readonly lease_ms: number;
}

export interface IncarnationRow {
  readonly id: string;
  readonly name: string;
  readonly worker_group: string;
  readonly slots: number;
  readonly capabilities: readonly string[];
  readonly credential_hash: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly protocol: number;
  readonly token_id: string | null;
  readonly revoked_at: number | null;
  readonly state: string;
  readonly lease_ms: number;
  readonly lease_until: number;
  readonly registered_at: number;
  readonly ended_at: number | null;
  readonly end_reason: string | null;
}

export interface ScheduleRow {
  readonly id: string;
  readonly workflow_id: string;
  readonly version_id: string;
  readonly trigger_id: string;
  readonly trigger: unknown;
  readonly next_due: number | null;
  readonly next_at: number | null;
  readonly awaiting: string | null;
  readonly exhausted: boolean;
  readonly enabled: boolean;
  readonly paused_at: number | null;
  readonly paused_by: string | null;
  readonly last_error: string | null;
  readonly created_at: number;
  readonly started_at: number;
  readonly deleted_at: number | null;
}

export interface FireRow {
  readonly schedule_id: string;
  readonly due_at: number;
  readonly outcome: string;
  readonly reason: unknown;
  readonly instance_id: string | null;
  readonly decided_at: number;
}

export interface ScheduleEventRow {
  readonly id: string;
  readonly schedule_id: string;
  readonly at: number;
  readonly kind: string;
  readonly by: string;
  readonly detail: unknown;
}

export interface CalendarRow {
  readonly project_id: string;
  readonly name: string;
  readonly definition: unknown;
  readonly revision: string;
}
