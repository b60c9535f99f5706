import { formatDuration } from './duration.ts';
import { dateText, wallDay } from './local-time.ts';
import type { Exclusion } from './calendar.ts';
import type { CompiledTrigger, FireContext } from './trigger.ts';
import { exclusionAt, HORIZON_MS, nextFire } from './trigger.ts';
import { DAY_MS, firstInstant } from './zone-clock.ts';

/** One line of a preview. */
export type Occurrence =
  | {
      readonly kind: 'fire';
      readonly dueMs: number;
      /** About a change of the clocks, or about what nobody can know yet. */
      readonly note?: string;
    }
  | {
      readonly kind: 'left-out';
      readonly code: LeftOutCode;
      /** The first time that is left out. */
      readonly dueMs: number;
      readonly message: string;
    };

/** `calendar`: a day that a calendar excludes. `clock-change`: the clocks skip the time. */
export type LeftOutCode = 'calendar' | 'before-start' | 'after-end' | 'clock-change';

/** Rows of a preview that only say what is left out. */
const MAX_LEFT_OUT = 1_000;

/**
 * The next `count` fires after a moment, and between them what is left out and why, in the order of time. The list ends
 * early when the trigger does; the last row then says so, where its `end` is the reason.
 */
export function occurrences(
  trigger: CompiledTrigger,
  afterMs: number,
  count: number,
  context: FireContext,
): Occurrence[] {
  const { recurrence } = trigger;
  if (recurrence === undefined) return delayed(trigger, afterMs, context);
  const rows: Occurrence[] = [];
  const early = recurrence.next(afterMs);
  if (early !== undefined && early < trigger.startMs)
    rows.push(leftOut('before-start', early, `the trigger starts ${trigger.definition.start ?? ''}`));
  const giveUpMs = Math.max(afterMs, trigger.startMs) + HORIZON_MS;
  let fires = 0;
  let left = 0;
  let lastMs = Math.max(afterMs, trigger.startMs - 1);
  let dueMs = recurrence.next(lastMs);
  while (dueMs !== undefined && fires < count && left < MAX_LEFT_OUT && dueMs <= giveUpMs) {
    const missing = skippedTimes(trigger, lastMs, dueMs);
    rows.push(...missing);
    left += missing.length;
    if (dueMs > trigger.endMs) {
      rows.push(leftOut('after-end', dueMs, `the trigger ends ${trigger.definition.end ?? ''}`));
      break;
    }
    lastMs = dueMs;
    const excluded = exclusionAt(trigger, dueMs, context);
    if (excluded === undefined) {
      fires++;
      const note = recurrence.note?.(dueMs);
      rows.push({ kind: 'fire', dueMs, ...(note !== undefined && { note }) });
    } else {
      left++;
      rows.push(leftOut('calendar', dueMs, exclusionText(excluded)));
      lastMs = Math.max(dueMs, firstInstant(trigger.clock, excluded.untilDayMs) - 1);
    }
    dueMs = recurrence.next(lastMs);
  }
  return rows;
}

function leftOut(code: LeftOutCode, dueMs: number, message: string): Occurrence {
  return { kind: 'left-out', code, dueMs, message };
}

/** `Christmas Day (calendar germany)`, and until when it goes on. */
export function exclusionText({ calendar, day, untilDayMs }: Exclusion): string {
  return `${day} (calendar ${calendar}), until ${dateText(untilDayMs - DAY_MS)}`;
}

function delayed(trigger: CompiledTrigger, afterMs: number, context: FireContext): Occurrence[] {
  const first = nextFire(trigger, afterMs, context);
  const delay = formatDuration(trigger.definition.fixedDelayMs ?? 0);
  return first === undefined
    ? []
    : [{ kind: 'fire', dueMs: first.dueMs, note: `then ${delay} after the end of each instance` }];
}

/** What changes of the clocks skip: times of an interval, or whole days, as Samoa had none on 30 December 2011. */
function skippedTimes({ clock, recurrence }: CompiledTrigger, fromMs: number, untilMs: number): Occurrence[] {
  const rows: Occurrence[] = [];
  for (let span = clock.spanAt(fromMs); span.endMs <= untilMs;) {
    const next = clock.spanAt(span.endMs);
    const wall = recurrence?.skipped?.(next);
    if (wall !== undefined) {
      const [from, to] = [wallText(span.endMs + span.offsetMs), wallText(next.startMs + next.offsetMs)];
      rows.push(
        leftOut('clock-change', span.endMs, `${wallText(wall)} does not exist: the clocks go from ${from} to ${to}`),
      );
    }
    span = next;
  }
  return rows;
}

function wallText(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 16).replace('T', ' ');
}

/** The times of one local date. */
export interface DateTimes {
  /** Ascending, in milliseconds since 1970. */
  readonly times: readonly number[];
  /** There were more than `most`. */
  readonly more: boolean;
  /** Why the date has none, when a calendar is the reason. */
  readonly excluded?: Exclusion;
}

/**
 * Every time of a trigger on a local date of its zone, whatever its start, end and `enabled` say; for a `fixedDelay` the
 * beginning of the day. Undefined when there is no such date (`YYYY-MM-DD`).
 */
export function datesOf(
  trigger: CompiledTrigger,
  date: string,
  context: FireContext,
  most = 100_000,
): DateTimes | undefined {
  const day = wallDay(date);
  if (day === undefined) return undefined;
  const { clock, recurrence } = trigger;
  const [fromMs, untilMs] = [firstInstant(clock, day), firstInstant(clock, day + DAY_MS)];
  if (fromMs >= untilMs) return { times: [], more: false };
  const excluded = exclusionAt(trigger, fromMs, context);
  if (excluded !== undefined) return { times: [], more: false, excluded };
  if (recurrence === undefined) return { times: [fromMs], more: false };
  const times: number[] = [];
  let due = recurrence.next(fromMs - 1);
  for (; due !== undefined && due < untilMs && times.length < most; due = recurrence.next(due)) times.push(due);
  return { times, more: due !== undefined && due < untilMs };
}

/** The first instant of a local date of a zone: the time of a backfill without a cron trigger. Undefined when there is no such date, or when the zone leaves it out. */
export function startOfDate(trigger: Pick<CompiledTrigger, 'clock'>, date: string): number | undefined {
  const day = wallDay(date);
  if (day === undefined) return undefined;
  const fromMs = firstInstant(trigger.clock, day);
  return fromMs < firstInstant(trigger.clock, day + DAY_MS) ? fromMs : undefined;
}
