import { dateText, localInstant, wallDay } from '../time/local-time.ts';
import { datesOf, exclusionText, startOfDate } from '../time/occurrences.ts';
import type { CompiledTrigger, FireContext } from '../time/trigger.ts';
import type { ZoneClock } from '../time/zone-clock.ts';
import { DAY_MS, firstInstant, startOfWallDay, wallAt, zoneClock } from '../time/zone-clock.ts';

/** Runs of one backfill. */
export const MAX_BACKFILL_RUNS = 100_000;

export interface TimesRequest {
  /** Local dates, both included; or single dates and times. */
  readonly dates: { readonly from: string; readonly to: string } | readonly string[];
  /** Each counts in its own zone. None: the first instant of each date in `zone`. */
  readonly triggers: readonly CompiledTrigger[];
  /** Of dates without a trigger, and of times. */
  readonly zone: string;
  readonly context: FireContext;
  readonly nowMs: number;
  /** Times, at the most. */
  readonly most: number;
}

export type BackfillTimes =
  | {
      readonly ok: true;
      /** Ascending, each once; milliseconds since 1970. */
      readonly times: readonly number[];
      /** Dates without times, and why: the first hundred of them. */
      readonly leftOut: readonly LeftOutDate[];
      /** Dates that were left out, all of them. */
      readonly leftOutDates: number;
      /** Times of today that are still to come. */
      readonly notYetDue: number;
    }
  | {
      readonly ok: false;
      readonly code:
        | 'backfill-bad-date'
        | 'backfill-bad-range'
        | 'backfill-in-future'
        | 'backfill-too-large'
        | 'backfill-empty';
      readonly message: string;
    };

export interface LeftOutDate {
  readonly date: string;
  /** `calendar`, `no-such-day`, `no-times`. */
  readonly code: string;
  readonly message: string;
}

const MAX_LEFT_OUT = 100;

type Refused = Extract<BackfillTimes, { readonly ok: false }>;
const refused = (code: Refused['code'], message: string): Refused => ({ ok: false, code, message });

/**
 * The times of a backfill. A local date is the whole of that date in the trigger's own zone: nothing of the day before, nothing of the day
 * after, however its clocks are changed. Yields now and then, so that a long search need not keep others waiting. Never throws for bad dates.
 */
export function* backfillTimes(request: TimesRequest): Generator<void, BackfillTimes, void> {
  const clock = zoneClock(request.zone);
  const days = 'from' in request.dates ? rangeDays(request.dates) : listDays(request.dates, clock);
  if ('ok' in days) return days;
  const clocks = request.triggers.length === 0 ? [clock] : request.triggers.map((trigger) => trigger.clock);
  const future = inFuture(days, clocks, request.nowMs);
  if (future !== undefined) return future;
  if (request.triggers.length === 0 && days.count > request.most)
    return refused('backfill-too-large', `${number(days.count)} times`);
  if (days.count > MAX_BACKFILL_RUNS)
    return refused('backfill-too-large', `${number(days.count)} days, each with the times of its triggers`);
  return yield* collect(request, clock, days);
}

interface Days {
  /** Wall milliseconds of each date's midnight. */
  readonly first: number;
  readonly last: number;
  readonly count: number;
  /** Of a list: the dates in their order; a range has all between the first and the last. */
  readonly listed?: readonly number[];
  /** Single times. */
  readonly times: readonly { readonly text: string; readonly ms: number }[];
}

function rangeDays({ from, to }: { readonly from: string; readonly to: string }): Days | Refused {
  const first = wallDay(from);
  const last = wallDay(to);
  for (const [text, day] of [[from, first] as const, [to, last] as const])
    if (day === undefined) return noDate(text, 'a local date such as 2026-01-31');
  if (first === undefined || last === undefined) return noDate(from, 'a date');
  if (last < first) return refused('backfill-bad-range', `the range ends on ${to}, before it begins on ${from}`);
  return { first, last, count: (last - first) / DAY_MS + 1, times: [] };
}

function listDays(texts: readonly string[], clock: ZoneClock): Days | Refused {
  const dates = new Set<number>();
  const times: { text: string; ms: number }[] = [];
  for (const text of texts) {
    const day = wallDay(text);
    const ms = day === undefined ? localInstant(text, clock) : undefined;
    if (day !== undefined) dates.add(day);
    else if (ms === undefined) return noDate(text, 'a date such as 2026-01-31, or a time such as 2026-01-31T06:00');
    else times.push({ text, ms });
  }
  const listed = [...dates].toSorted((a, b) => a - b);
  return { first: listed[0] ?? 0, last: listed.at(-1) ?? 0, count: listed.length, listed, times };
}

function noDate(text: string, wanted: string): Refused {
  return refused('backfill-bad-date', `${JSON.stringify(text)} is no date that there is: give ${wanted}`);
}

/** A date that has not begun yet in any of the zones, or a time to come. */
function inFuture({ last, count, times }: Days, clocks: readonly ZoneClock[], nowMs: number): Refused | undefined {
  const late = times.find(({ ms }) => ms > nowMs);
  if (late !== undefined) return refused('backfill-in-future', `${late.text} is still to come`);
  const [clock] = clocks;
  if (count === 0 || clock === undefined || clocks.some((one) => firstInstant(one, last) <= nowMs)) return undefined;
  const today = dateText(wallAt(clock, nowMs));
  return refused('backfill-in-future', `${dateText(last)} is still to come: it is ${today} in ${clock.zone}`);
}

function* collect(request: TimesRequest, clock: ZoneClock, days: Days): Generator<void, BackfillTimes, void> {
  const { nowMs, most, triggers } = request;
  const times = new Set(days.times.map(({ ms }) => ms));
  const leftOut: LeftOutDate[] = [];
  let leftOutDates = 0;
  let notYetDue = 0;
  let seen = 0;
  for (const day of daysOf(days, triggers)) {
    const found = timesOf(request, clock, dateText(day), most + 1);
    if ('code' in found) {
      leftOutDates++;
      if (leftOut.length < MAX_LEFT_OUT) leftOut.push(found);
    } else
      for (const ms of found)
        if (ms > nowMs) notYetDue++;
        else times.add(ms);
    seen = days.listed === undefined ? (day - days.first) / DAY_MS + 1 : seen + 1;
    if (times.size > most) return tooLarge(times.size, seen, days.count);
    yield;
  }
  if (times.size === 0) return refused('backfill-empty', emptyMessage(leftOut, leftOutDates, notYetDue));
  return { ok: true, times: [...times].toSorted((a, b) => a - b), leftOut, leftOutDates, notYetDue };
}

/** Days without any time of the triggers are stepped over in one go. */
function* daysOf({ first, last, listed }: Days, triggers: readonly CompiledTrigger[]): Generator<number, void, void> {
  if (listed !== undefined) return yield* listed;
  for (let day = first; day <= last;) {
    yield day;
    day += DAY_MS;
    if (triggers.length === 0) continue;
    const next = triggers.map(({ clock, recurrence }) => {
      const due = recurrence?.next(firstInstant(clock, day) - 1);
      return due === undefined ? Infinity : startOfWallDay(wallAt(clock, due));
    });
    day = Math.max(day, Math.min(...next));
  }
}

function timesOf(request: TimesRequest, clock: ZoneClock, date: string, most: number): number[] | LeftOutDate {
  const { triggers, context, zone } = request;
  if (triggers.length === 0) {
    const start = startOfDate({ clock }, date);
    return start === undefined ? { date, code: 'no-such-day', message: `${zone} has no ${date}` } : [start];
  }
  const answers = triggers.map((trigger) => datesOf(trigger, date, context, most));
  const times = answers.flatMap((found) => found?.times ?? []);
  if (times.length > 0) return times;
  const excluded = answers.map((found) => found?.excluded).find((found) => found !== undefined);
  if (excluded !== undefined) return { date, code: 'calendar', message: exclusionText(excluded) };
  return { date, code: 'no-times', message: 'the trigger has no time on it' };
}

/** How many there are is only counted as far as it takes to know that they are too many. */
function tooLarge(found: number, days: number, allDays: number): Refused {
  if (days === allDays) return refused('backfill-too-large', `at least ${number(found)} times`);
  const about = Math.round((found / days) * allDays);
  return refused('backfill-too-large', `about ${number(about)} times on ${number(allDays)} days`);
}

function emptyMessage([first]: readonly LeftOutDate[], dates: number, notYetDue: number): string {
  if (notYetDue > 0) return `nothing on these dates is due yet; times still to come: ${number(notYetDue)}`;
  if (first === undefined) return 'no dates were given';
  const more = dates > 1 ? `, and likewise on ${number(dates - 1)} more dates` : '';
  return `there is nothing on ${first.date}: ${first.message}${more}`;
}

function number(value: number): string {
  return value.toLocaleString('en-GB');
}
