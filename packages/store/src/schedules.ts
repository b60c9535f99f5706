import type { CalendarDefinition, JsonObject, Reason, TriggerDefinition } from '@keelson/core';
import type { WorkflowName } from './definitions.ts';
import type { FireOutcome } from './fires.ts';
import type { Page, PageRequest } from './page.ts';

/** Where a schedule is. `awaiting`: a fixed delay whose instance lives; `ended`: no time follows. */
export type ScheduleState = 'active' | 'awaiting' | 'paused' | 'disabled' | 'ended';

export interface ScheduleInfo {
  readonly id: string;
  readonly project: string;
  readonly workflow: string;
  readonly triggerId: string;
  readonly trigger: TriggerDefinition;
  readonly state: ScheduleState;
  /** The time of the next fire; null when there is none, or when that depends on the end of an instance. */
  readonly nextDue: string | null;
  /** When it starts: the same, and the jitter on top. */
  readonly nextAt: string | null;
  readonly awaiting: string | null;
  readonly pausedAt: string | null;
  readonly pausedBy: string | null;
  /** Why masters cannot go on with it at the moment. */
  readonly lastError: string | null;
  readonly createdAt: string;
  readonly lastFire: FireInfo | null;
}

export interface FireInfo {
  readonly dueAt: string;
  readonly outcome: FireOutcome;
  readonly reason: Reason | null;
  readonly instanceId: string | null;
  readonly decidedAt: string;
}

/** What people did with a schedule: why there are times without a fire. */
export interface ScheduleEvent {
  readonly at: string;
  readonly kind: 'created' | 'changed' | 'removed' | 'paused' | 'resumed' | 'calendar-changed' | 'failing';
  readonly by: string;
  readonly detail: JsonObject | null;
}

export interface ScheduleFilter {
  readonly project?: string | undefined;
  readonly workflow?: string | undefined;
  readonly trigger?: string | undefined;
  readonly state?: ScheduleState | undefined;
}

export interface FireFilter {
  readonly outcome?: FireOutcome | undefined;
  /** Due at this time or later, and before that one (RFC 3339). */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

export interface ScheduleChange {
  readonly id: string;
  readonly triggerId: string;
  /** False: it was so already. */
  readonly changed: boolean;
  readonly nextDue: string | null;
}

export interface Schedules {
  /** By project, workflow and trigger. Those of deleted workflows and of triggers that are gone are left out. */
  list(filter: ScheduleFilter, page: PageRequest): Promise<Page<ScheduleInfo>>;
  /** Also one that is gone. */
  get(id: string): Promise<ScheduleInfo | undefined>;
  /** Latest first. */
  fires(id: string, filter: FireFilter, page: PageRequest): Promise<Page<FireInfo>>;
  /** Latest first, of those that are still kept. */
  events(id: string, limit: number): Promise<ScheduleEvent[]>;
  /**
   * No fires until it is resumed, whatever is applied meanwhile. A time that was due and not fired yet is noted as skipped.
   *
   * @param triggerId one of the workflow's triggers; undefined: all of them
   * @throws {StoreError} `unknown-workflow`, `unknown-schedule`
   */
  pause(workflow: WorkflowName, triggerId: string | undefined, by: string): Promise<ScheduleChange[]>;
  /** Counts from now: what was due meanwhile is not made up for. Throws as `pause` does. */
  resume(workflow: WorkflowName, triggerId: string | undefined, by: string): Promise<ScheduleChange[]>;
}

export interface CalendarInfo {
  readonly project: string;
  readonly definition: CalendarDefinition;
  readonly updatedAt: string;
  readonly updatedBy: string;
  /** Schedules that name it. */
  readonly schedules: number;
}

export interface Calendars {
  list(project: string): Promise<CalendarInfo[]>;
  get(project: string, name: string): Promise<CalendarInfo | undefined>;
  /** Several of one project, for looking ahead; those that there are. */
  definitions(project: string, names: readonly string[]): Promise<CalendarDefinition[]>;
  /**
   * Makes or replaces it, and computes the next times of the schedules that name it anew. What is due already stays due. Answers how many
   * schedules have another next time now.
   */
  set(project: string, definition: CalendarDefinition, by: string): Promise<{ readonly moved: number }>;
  /**
   * Answers whether it was there.
   *
   * @throws {StoreError} `calendar-in-use` while a schedule names it
   */
  delete(project: string, name: string): Promise<boolean>;
}
