import type { CalendarDefinition, JsonObject, JsonValue, ParamDefinition, Reason } from '@keelson/core';

/** What makes instances by the clock: the part of the store that a master's fires loop lives on. */
export interface Fires {
  /**
   * One transaction over schedules that are due and fixed delays whose instance has ended: lock, read, decide, write. What another
   * transaction holds is skipped. Safe to run again after an unknown outcome: a schedule's row holds its lock until the old transaction
   * is over, and its time cannot fire twice. A schedule that the database refuses is put off with the reason, and takes no other with it.
   *
   * @param asOfMs no time after this one is due, whatever the database's clock says; Infinity trusts it
   */
  round(limit: number, asOfMs: number, mind: FireMind): Promise<FireRound>;
  /** What will be due at the latest then, unlocked: to think about it beforehand. It may be another one when its time has come. */
  ahead(untilMs: number, limit: number): Promise<DueSchedule[]>;
  /** When to look again. Costs one look into an index, however many schedules there are. */
  nextLook(): Promise<NextLook>;
}

export interface NextLook {
  /** The database's clock. */
  readonly nowMs: number;
  /** When the next schedule is due, by that clock; absent when none is. */
  readonly dueMs?: number;
  /** An instance that a fixed delay waits for has ended. */
  readonly ended: boolean;
}

/** The pure part of a fire. */
export interface FireMind {
  /** Names of the calendars that it has to know to decide. */
  calendarsOf(schedule: DueSchedule): readonly string[];
  /** May throw: then the schedule is put off, with what was thrown. */
  decide(schedule: DueSchedule, calendars: CalendarSource, nowMs: number, most: number): FireDecision;
}

/** The calendars of a project, by name. Undefined: there is none of that name. */
export type CalendarSource = (name: string) => CalendarContent | undefined;

export interface CalendarContent {
  /** Another one with each change. */
  readonly revision: string;
  readonly definition: CalendarDefinition;
}

/** A schedule under lock, with what its workflow's latest version and its project say. */
export interface DueSchedule {
  readonly id: string;
  readonly workflowId: string;
  readonly versionId: string;
  readonly taskCount: number;
  readonly project: string;
  readonly workflow: string;
  readonly declaredParams: Readonly<Record<string, ParamDefinition>>;
  readonly projectParams: Readonly<Record<string, JsonValue>>;
  readonly triggerId: string;
  /** The trigger as JSON text: what is made of it can be kept under this key. */
  readonly trigger: string;
  /** The time that is due; absent: see `endedAtMs`. */
  readonly dueMs?: number;
  /** When the instance ended that its fixed delay waited for. */
  readonly endedAtMs?: number;
}

export interface FireDecision {
  /** In the order of their times. */
  readonly fires: readonly PlannedFire[];
  /** What follows; absent: nothing ever does. */
  readonly next?: { readonly dueMs: number; readonly atMs: number };
  /** The next time counts from the end of the last instance that is made here; `next` is for when that is gone already. */
  readonly awaits: boolean;
}

export type PlannedFire =
  | { readonly dueMs: number; readonly outcome: 'fired'; readonly params: JsonObject; readonly reason?: Reason }
  | { readonly dueMs: number; readonly outcome: 'misfired' | 'skipped' | 'failed'; readonly reason: Reason };

export type FireOutcome = PlannedFire['outcome'];

export interface FireRound {
  /** Schedules and ended instances that were dealt with. */
  readonly taken: number;
  /** More may be due. */
  readonly more: boolean;
  readonly fires: Readonly<Record<FireOutcome, number>>;
  /** How late each instance was committed, counted from its time and jitter (milliseconds). Without those that misfire rules made up for. */
  readonly lagsMs: readonly number[];
  /** Some instance can start: it has a command. */
  readonly commands: boolean;
  /** Some instance waits for a slot of its workflow's limit. */
  readonly queued: boolean;
  readonly alerts: boolean;
  /** Schedules that were put off, and why. */
  readonly failing: readonly { readonly scheduleId: string; readonly error: string }[];
}
