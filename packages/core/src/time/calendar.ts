import type { CalendarDefinition, CalendarEntry } from '../definition/model-calendar.ts';
import { wallDay } from './local-time.ts';
import { DAY_MS } from './zone-clock.ts';

/** A calendar that can be asked quickly. Days are given as the wall milliseconds of their midnight. */
export interface Calendar {
  readonly name: string;
  /** Why a day is excluded, and the first day that this reason does not cover; undefined for a day with fires. */
  excludes(dayMs: number): Exclusion | undefined;
}

export interface Exclusion {
  readonly calendar: string;
  /** The name of the day. */
  readonly day: string;
  readonly untilDayMs: number;
}

const WEEKDAY_NAMES = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

/** A calendar that excludes every weekday leaves nothing to look for day by day. */
const FAR_AWAY_MS = Date.UTC(9999, 11, 31);

interface Span {
  readonly from: number;
  readonly to: number;
  readonly name: string;
}

/** Prepares a calendar for many questions. Takes what `parseCalendar` has checked. */
export function compileCalendar(definition: CalendarDefinition): Calendar {
  const included = new Set(definition.include.map(({ date }) => wallDay(date)));
  const spans: Span[] = [];
  const single = new Map<number, string>();
  const yearly = new Map<string, string>();
  const weekdays = new Map<number, string>();
  for (const entry of definition.exclude) {
    if (entry.yearly !== undefined) yearly.set(entry.yearly, entry.name ?? entry.yearly);
    else if (entry.weekdays !== undefined)
      for (const day of entry.weekdays) weekdays.set(day, entry.name ?? WEEKDAY_NAMES[day - 1] ?? '');
    else if (entry.date !== undefined) single.set(wallDay(entry.date) ?? 0, entry.name ?? entry.date);
    else spans.push(spanOf(entry));
  }
  spans.sort((a, b) => a.from - b.from);
  const { name } = definition;
  return {
    name,
    excludes(dayMs) {
      if (included.has(dayMs)) return undefined;
      const span = spans.find(({ from, to }) => from <= dayMs && dayMs <= to);
      if (span !== undefined)
        return { calendar: name, day: span.name, untilDayMs: firstIncluded(included, dayMs, span.to + DAY_MS) };
      const day = single.get(dayMs) ?? yearly.get(yearlyKey(dayMs)) ?? weekdays.get(weekdayOf(dayMs));
      if (day === undefined) return undefined;
      const untilDayMs = weekdays.size === 7 ? firstIncluded(included, dayMs, FAR_AWAY_MS) : dayMs + DAY_MS;
      return { calendar: name, day, untilDayMs };
    },
  };
}

function spanOf(entry: Extract<CalendarEntry, { readonly from: string }>): Span {
  const name = entry.name ?? `${entry.from} to ${entry.to}`;
  return { from: wallDay(entry.from) ?? 0, to: wallDay(entry.to) ?? 0, name };
}

function firstIncluded(included: ReadonlySet<number | undefined>, afterMs: number, untilMs: number): number {
  let first = untilMs;
  for (const day of included) if (day !== undefined && day > afterMs && day < first) first = day;
  return first;
}

function yearlyKey(dayMs: number): string {
  return new Date(dayMs).toISOString().slice(5, 10);
}

/** 1 is Monday, 7 is Sunday. */
export function weekdayOf(dayMs: number): number {
  return new Date(dayMs).getUTCDay() || 7;
}
