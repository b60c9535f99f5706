import type { TriggerDefinition } from '../definition/model.ts';
import type { Calendar } from './calendar.ts';
import type { LeftOutCode } from './occurrences.ts';
import { occurrences } from './occurrences.ts';
import { compileTrigger } from './trigger.ts';
import { runTimeText } from './zoned.ts';

/** What a trigger will do, for a person to read. */
export interface TriggerPreview {
  /** Its id. */
  readonly trigger: string;
  readonly timezone: string;
  readonly enabled: boolean;
  /** Fires start up to this much later than the times below. */
  readonly jitterMs: number;
  /** Calendars that it names and that were not given: their days are not left out below. */
  readonly unknownCalendars: readonly string[];
  readonly rows: readonly PreviewRow[];
}

export interface PreviewRow {
  /** RFC 3339 in UTC. */
  readonly dueAt: string;
  /** RFC 3339 as the trigger's zone shows it. */
  readonly local: string;
  /** Why the time is left out; absent: it fires. */
  readonly leftOut?: LeftOutCode;
  /** What is left out, or what a change of the clocks does to a time that fires. */
  readonly message?: string;
}

/** The next `count` fires at or after a moment, and between them what is left out and why. */
export function previewTrigger(
  definition: TriggerDefinition,
  fromMs: number,
  count: number,
  calendars: ReadonlyMap<string, Calendar>,
): TriggerPreview {
  const { id: trigger, timezone } = definition;
  const compiled = compileTrigger(definition);
  // A delay counts from the moment itself.
  const afterMs = definition.fixedDelayMs === undefined ? fromMs - 1 : fromMs;
  const rows = occurrences(compiled, afterMs, count, { calendars }).map((row): PreviewRow => {
    const dueAt = new Date(row.dueMs).toISOString();
    const times = { dueAt, local: runTimeText(dueAt, timezone) };
    if (row.kind === 'left-out') return { ...times, leftOut: row.code, message: row.message };
    return { ...times, ...(row.note !== undefined && { message: row.note }) };
  });
  return {
    trigger,
    timezone,
    enabled: definition.enabled !== false,
    jitterMs: compiled.jitterMs,
    unknownCalendars: (definition.calendars ?? []).filter((name) => !calendars.has(name)),
    rows,
  };
}
