import type { JsonObject, JsonValue } from '../json.ts';
import type { TaskEndState } from '../engine/states.ts';

/**
 * A workflow definition as the engine sees it: every short form expanded, every default folded into its task, every
 * duration in milliseconds. It is what a version stores and what its content hash covers.
 */
export interface WorkflowDefinition {
  readonly name: string;
  readonly project: string;
  readonly title?: string;
  readonly description?: string;
  readonly owner?: string;
  readonly labels: Readonly<Record<string, string>>;
  /** IANA zone; the only trigger's when the file names none, else UTC. */
  readonly timezone: string;
  readonly params: Readonly<Record<string, ParamDefinition>>;
  /** Globs relative to the definition file, as written. */
  readonly files: readonly string[];
  /** `project/name` of the workflows that this one follows in a backfill; absent: none. They hold back no other run. */
  readonly dependsOn?: readonly string[];
  readonly triggers: readonly TriggerDefinition[];
  readonly concurrency: ConcurrencyRule;
  readonly onFailure: FailureStrategy;
  /** In the order of the file. */
  readonly tasks: Readonly<Record<string, TaskDefinition>>;
}

export type ParamType = 'string' | 'integer' | 'number' | 'boolean' | 'date' | 'datetime' | 'json';

export interface ParamDefinition {
  readonly type: ParamType;
  /** A literal, or a string with `${{ }}` that sees `run` only. Absent: the parameter is required at start. */
  readonly default?: JsonValue;
  readonly enum?: readonly JsonValue[];
  readonly title?: string;
  readonly description?: string;
}

/**
 * What starts instances by the clock. Exactly one of `cron`, `fixedRateMs`, `fixedDelayMs`, `at` and `dailyInterval` is
 * there and tells the kinds apart. What says no more than the default is left out, so that a hash does not depend on it.
 */
export type TriggerDefinition = CronTrigger | FixedRateTrigger | FixedDelayTrigger | AtTrigger | DailyIntervalTrigger;

export type MisfireRule = 'fire-once' | 'fire-all' | 'skip';

interface TriggerCommon {
  /** Given in the file, else a hash of the trigger's content. */
  readonly id: string;
  readonly timezone: string;
  readonly misfire: MisfireRule;
  readonly params: JsonObject;
  /** `YYYY-MM-DD`, or a time as in `at`; nothing is due before it. */
  readonly start?: string;
  /** Likewise; nothing is due after it, or after that day. */
  readonly end?: string;
  /** Absent: true. */
  readonly enabled?: false;
  /** A fire that is later than this counts as missed. Absent: `DEFAULT_MISFIRE_THRESHOLD_MS`. */
  readonly misfireThresholdMs?: number;
  /** Names of the project's calendars; a day that any of them excludes has no fires. */
  readonly calendars?: readonly string[];
  /** Fires start up to this much later, by a hash of the schedule and the time. */
  readonly jitterMs?: number;
}

interface NoKind {
  readonly cron?: undefined;
  readonly fixedRateMs?: undefined;
  readonly fixedDelayMs?: undefined;
  readonly at?: undefined;
  readonly dailyInterval?: undefined;
}

export interface CronTrigger extends TriggerCommon, Omit<NoKind, 'cron'> {
  /** 5 fields: Unix rules; 6 or 7: Quartz rules; or a nickname such as `@daily`. */
  readonly cron: string;
}

/** Due every so many milliseconds of real time, counted from `start`, else from 1970-01-01T00:00Z. */
export interface FixedRateTrigger extends TriggerCommon, Omit<NoKind, 'fixedRateMs'> {
  readonly fixedRateMs: number;
}

/** Due so many milliseconds after the end of the last instance. */
export interface FixedDelayTrigger extends TriggerCommon, Omit<NoKind, 'fixedDelayMs'> {
  readonly fixedDelayMs: number;
}

/** Due once. */
export interface AtTrigger extends TriggerCommon, Omit<NoKind, 'at'> {
  /** `YYYY-MM-DDTHH:mm[:ss]` in the trigger's zone, or the same with `Z` or an offset. */
  readonly at: string;
}

export interface DailyIntervalTrigger extends TriggerCommon, Omit<NoKind, 'dailyInterval'> {
  readonly dailyInterval: DailyInterval;
}

/** From `from` on, every so often, up to and including `to`, on some days of the week. */
export interface DailyInterval {
  /** `HH:mm` or `HH:mm:ss`. */
  readonly from: string;
  /** Likewise; earlier than `from`: on the next day. */
  readonly to: string;
  readonly everyMs: number;
  /** 1 is Monday, 7 is Sunday, ascending; absent: every day. A stretch over midnight belongs to the day on which it begins. */
  readonly weekdays?: readonly number[];
}

/** How many instances of the workflow may go at once, and what becomes of those over it. */
export interface ConcurrencyRule {
  readonly policy: ConcurrencyPolicy;
  /** Absent: 1 for a serial policy, as many as come for `parallel`. */
  readonly limit?: number;
}

export type ConcurrencyPolicy = 'parallel' | 'serial-wait' | 'serial-discard' | 'serial-priority';
export type FailureStrategy = 'continue' | 'end';

export interface TaskDefinition {
  readonly id: string;
  readonly title?: string;
  readonly description?: string;
  readonly owner?: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The task type: shell, python, node, http, sql, processor. */
  readonly uses: string;
  /** Input of the task type, expressions not yet evaluated. */
  readonly with: JsonObject;
  /** Upstream task id → the end states of it that this task accepts. */
  readonly needs: Readonly<Record<string, readonly TaskEndState[]>>;
  /** A bare expression, evaluated once the needs are met; false skips the task. */
  readonly if?: string;
  readonly env: Readonly<Record<string, string>>;
  readonly retry: RetryPolicy;
  /** Per attempt. */
  readonly timeout?: { readonly afterMs: number; readonly action: 'fail' | 'warn' };
  /** Wait between the moment the needs are met and the first attempt. */
  readonly delayMs: number;
  /** Higher starts first among ready tasks of a worker group; -100 to 100. */
  readonly priority: number;
  readonly workerGroup: string;
  readonly allowFailure: boolean;
  /** Losses with a worker after which the task gets another attempt; absent: `DEFAULT_LOSSES`. */
  readonly onLost?: { readonly retries: number };
  /** Present: the task runs on every worker of its group, one subtask each. */
  readonly broadcast?: BroadcastDefinition;
}

export interface BroadcastDefinition {
  /** Runs once, on one worker, before the workers are looked at. */
  readonly before?: BroadcastStep;
  /** Runs once, on one worker, when every subtask has ended; it sees their results. */
  readonly after?: BroadcastStep;
  /** Subtasks under way at once; absent: all of them. */
  readonly parallel?: number;
  /** Subtasks that may end failed or lost without the task failing. */
  readonly maxFailed: number;
}

/** What a step does. Retry, timeout and worker group are the task's. */
export interface BroadcastStep {
  readonly uses: string;
  readonly with: JsonObject;
  /** The task's, and on top of it the step's own. */
  readonly env: Readonly<Record<string, string>>;
}

export interface RetryPolicy {
  /** Retries after the first attempt. */
  readonly max: number;
  readonly delayMs: number;
  readonly backoff: 'fixed' | 'exponential';
  /** Upper bound of an exponential delay. */
  readonly maxDelayMs: number;
}
