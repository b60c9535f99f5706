import type { ConcurrencyPolicy, FailureStrategy, JsonObject, JsonValue, ParamType, TaskEndState } from '@keelson/core';

/**
 * Workflows in TypeScript. `workflow({ … })` checks as much as types can (`needs` may only name the workflow's own tasks) and
 * gives back exactly the object that a YAML or JSON definition would be; all other checks are those of `keelson lint`.
 *
 *   export default workflow({
 *     name: 'daily-sales',
 *     tasks: { extract: { run: './extract.sh' }, load: { needs: ['extract'], uses: 'sql', with: { … } } },
 *   });
 */
export function workflow<const Tasks extends { readonly [Id in keyof Tasks]: TaskSource<keyof Tasks & string> }>(
  definition: WorkflowSource<Tasks>,
): WorkflowSource<Tasks> {
  const plain: unknown = plainCopy(definition, 'workflow');
  return plain as WorkflowSource<Tasks>;
}

/** A duration such as `10s` or `1h30m`. */
export type Duration = string;

export type PlainText = string | number | boolean;

/** What stands anywhere sensible in a definition. */
export interface Documented {
  readonly title?: string;
  readonly description?: string;
  readonly owner?: string;
  readonly labels?: Readonly<Record<string, PlainText>>;
  readonly [extension: `x-${string}`]: unknown;
}

export interface WorkflowSource<Tasks> extends Documented {
  readonly $schema?: string;
  /** `[a-z0-9-]`, unique in its project. */
  readonly name: string;
  readonly project?: string;
  /** An IANA zone. */
  readonly timezone?: string;
  readonly params?: Readonly<Record<string, ParamSource>>;
  /** Globs relative to the file that is applied. */
  readonly files?: readonly string[];
  /** Workflows that this one follows in a backfill with its dependents: `name`, or `project/name`. */
  readonly dependsOn?: readonly string[];
  readonly triggers?: readonly TriggerSource[];
  readonly concurrency?: ConcurrencySource;
  readonly onFailure?: FailureStrategy;
  readonly defaults?: TaskDefaults;
  readonly tasks: Tasks;
}

/** How many instances may go at once, and what becomes of those over it: they wait, by their order or priority, or are discarded. */
export interface ConcurrencySource {
  readonly policy?: ConcurrencyPolicy;
  /** Default: 1 for a serial policy, none for `parallel`. */
  readonly limit?: number;
  readonly [extension: `x-${string}`]: unknown;
}

export interface ParamSource {
  readonly type: ParamType;
  /** Without one the parameter is required at start. */
  readonly default?: JsonValue;
  readonly enum?: readonly JsonValue[];
  readonly title?: string;
  readonly description?: string;
}

/** When a workflow starts by the clock: exactly one of the five kinds, and what bounds it. */
export type TriggerSource = TriggerCommon &
  (
    | OneKind<'cron', string>
    | OneKind<'fixedRate', Duration>
    | OneKind<'fixedDelay', Duration>
    | OneKind<'at', string>
    | OneKind<'dailyInterval', DailyIntervalSource>
  );

type TriggerKind = 'cron' | 'fixedRate' | 'fixedDelay' | 'at' | 'dailyInterval';

/**
 * `cron`: 5 fields (Unix rules) or 6 to 7 (Quartz rules). `fixedRate`: every so often, of real time. `fixedDelay`: so long
 * after the end of the last instance. `at`: once, `2026-12-01T08:00`.
 */
type OneKind<Kind extends TriggerKind, Value> = { readonly [K in Kind]: Value } & {
  readonly [Other in Exclude<TriggerKind, Kind>]?: never;
};

export interface TriggerCommon extends Documented {
  /** Keeps the schedule the same one when its content changes. */
  readonly id?: string;
  readonly timezone?: string;
  /** `2026-12-01`, or with a time; nothing is due before it. */
  readonly start?: string;
  /** Likewise; a date is inclusive. */
  readonly end?: string;
  readonly enabled?: boolean;
  /** What becomes of missed fires: one for the latest (default), all, or none. */
  readonly misfire?: 'fire-once' | 'fire-all' | 'skip';
  /** A fire later than this counts as missed; default: `1m`. */
  readonly misfireThreshold?: Duration;
  /** Calendars of the project; a day that one of them excludes has no fires. */
  readonly calendars?: readonly string[];
  /** Fires start up to this much later. */
  readonly jitter?: Duration;
  readonly params?: JsonObject;
}

export interface DailyIntervalSource {
  /** `09:00` or `09:00:30`. */
  readonly from: string;
  /** Likewise; earlier than `from`: on the next day. */
  readonly to: string;
  readonly every: Duration;
  /** `MON` … `SUN`, or ranges such as `MON-FRI`; default: every day. */
  readonly weekdays?: readonly string[];
}

/** What `defaults` may say for all tasks, and each task for itself. */
export interface TaskDefaults {
  /** A number of retries after the first attempt, or all about them. */
  readonly retry?: number | RetrySource;
  /** Per attempt. */
  readonly timeout?: Duration;
  readonly onTimeout?: 'fail' | 'warn';
  readonly workerGroup?: string;
  /** From -100 to 100; higher starts first. */
  readonly priority?: number;
  readonly env?: Readonly<Record<string, PlainText>>;
  /** What follows when an attempt is lost with its worker: another (`retry`: three times), or the task's failure. */
  readonly onLost?: 'retry' | 'fail' | { readonly retry: number };
}

export interface RetrySource {
  /** Retries after the first attempt. */
  readonly max?: number;
  readonly delay?: Duration;
  readonly backoff?: 'fixed' | 'exponential';
  readonly maxDelay?: Duration;
}

export type TaskSource<Ids extends string = string> = TaskCommon<Ids> &
  (ActionSource<TaskTypeName> | (ActionSource<BroadcastTypeName> & BroadcastMode));

type TaskTypeName = 'shell' | 'python' | 'node' | 'http' | 'sql' | 'processor';
type BroadcastTypeName = Exclude<TaskTypeName, 'http' | 'sql'>;

type ActionSource<Uses extends TaskTypeName> =
  | { readonly run: string; readonly uses?: 'shell'; readonly with?: JsonObject }
  | { readonly uses: Uses; readonly with: JsonObject; readonly run?: never };

/** The task runs on every worker of its group, one subtask each. */
export interface BroadcastMode {
  readonly mode: 'broadcast';
  readonly broadcast?: BroadcastSource;
}

export interface BroadcastSource {
  /** Runs once, on one worker, before the subtasks. */
  readonly before?: BroadcastStepSource;
  /** Runs once, on one worker, when every subtask has ended; it sees their results. */
  readonly after?: BroadcastStepSource;
  /** Subtasks under way at once; default: all. */
  readonly parallel?: number;
  /** Subtasks that may end failed or lost without the task failing; default: 0. */
  readonly maxFailed?: number;
}

/** `with` alone is the input of the task's own type. */
export type BroadcastStepSource = { readonly env?: Readonly<Record<string, PlainText>> } & (
  | ActionSource<TaskTypeName>
  | { readonly with: JsonObject; readonly uses?: never; readonly run?: never }
);

export interface TaskCommon<Ids extends string> extends TaskDefaults, Documented {
  /** A list accepts only `succeeded`; a map says which ends of each task are accepted. */
  readonly needs?: readonly Ids[] | { readonly [Id in Ids]?: TaskEndState | readonly TaskEndState[] };
  /** A bare expression; false skips the task. */
  readonly if?: string | boolean;
  /** Between the moment the needs are met and the first attempt. */
  readonly delay?: Duration;
  readonly allowFailure?: boolean;
}

/** Keys that are undefined vanish, as in JSON; anything that JSON has no form for is refused with its place. */
function plainCopy(value: unknown, path: string, inside: readonly object[] = []): JsonValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value !== 'object') throw new TypeError(`${path} is ${describe(value)}, which a definition cannot hold`);
  if (inside.includes(value)) throw new TypeError(`${path} contains itself, which a definition cannot`);
  const around = [...inside, value];
  if (Array.isArray(value)) return value.map((item: unknown, index) => plainCopy(item, `${path}[${index}]`, around));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && !isPlainPrototype(prototype))
    throw new TypeError(`${path} is ${describe(value)}, which a definition cannot hold`);
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries.map(([key, item]) => [key, plainCopy(item, `${path}.${key}`, around)]));
}

/** An object from another realm (a vm, a worker) is plain, too. */
function isPlainPrototype(prototype: unknown): boolean {
  return typeof prototype === 'object' && prototype !== null && Object.getPrototypeOf(prototype) === null;
}

function describe(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'object' && value !== null) return `a ${value.constructor.name}`;
  return value === undefined ? 'undefined' : `a ${typeof value}`;
}
