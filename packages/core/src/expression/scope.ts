import { Temporal } from 'temporal-polyfill';

import type { TaskState } from '../engine/states.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import type { ZonedTime } from '../time/zoned.ts';
import { timeZoneName, zonedTime, zonedTimeText } from '../time/zoned.ts';

/** What `run.*` shows. `time` is when the instance was due, in the trigger's or the workflow's zone. */
export interface RunContext {
  readonly id: string;
  readonly workflow: string;
  readonly project: string;
  readonly time: ZonedTime;
}

/** What an expression may see. `tasks` holds the upstream tasks only; `secrets` is there only where secrets are allowed. */
export interface Scope {
  readonly params: JsonObject;
  readonly run: RunContext;
  readonly tasks: Readonly<
    Record<string, { readonly state: TaskState; readonly outputs: Readonly<Record<string, JsonValue>> }>
  >;
  readonly secrets?: Readonly<Record<string, string>>;
}

export const RUN_FIELDS = ['id', 'workflow', 'project', 'time'] as const;

/** Builds `run` from stored values; `timeUtc` is RFC 3339. Throws a RangeError for a bad time or zone. */
export function runContext(run: {
  id: string;
  workflow: string;
  project: string;
  timeUtc: string;
  zone: string;
}): RunContext {
  const zone = timeZoneName(run.zone);
  if (zone === undefined) throw new RangeError(`there is no time zone ${JSON.stringify(run.zone)}`);
  return { id: run.id, workflow: run.workflow, project: run.project, time: zonedTime(run.timeUtc, zone) };
}

/** A value inside the expression language: whole numbers are bigints, objects are Maps (which have no prototype to reach). */
export type CelValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Temporal.ZonedDateTime
  | Temporal.PlainDate
  | CelValue[]
  | Map<string, CelValue>;

export function toCel(value: JsonValue): CelValue {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(toCel);
  return new Map(Object.entries(value).map(([key, inner]) => [key, toCel(inner)]));
}

/** A value that JSON cannot carry came out of an expression. */
export class NotJson extends Error {}

/** Back to JSON: bigints become numbers, times and dates their ISO form. Throws NotJson with a readable message. */
export function fromCel(value: unknown): JsonValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return safeNumber(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new NotJson(`the result is ${value}, which JSON cannot hold`);
    return value;
  }
  if (Array.isArray(value)) return value.map(fromCel);
  if (value instanceof Temporal.ZonedDateTime) return zonedTimeText(value);
  if (value instanceof Temporal.PlainDate) return value.toString();
  if (value instanceof Map) return objectFrom([...value.entries()]);
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype)
    return objectFrom(Object.entries(value));
  throw new NotJson('the result is neither a JSON value nor a time');
}

/** `Object.fromEntries` defines own properties, so that a key `__proto__` stays a plain key. */
function objectFrom(entries: readonly (readonly [unknown, unknown])[]): JsonObject {
  return Object.fromEntries(entries.map(([key, inner]) => [String(key), fromCel(inner)]));
}

function safeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new NotJson(`${value} is too large for a JSON number: use string(…)`);
  return number;
}
