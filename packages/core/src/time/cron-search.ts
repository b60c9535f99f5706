import type { CronFields } from './cron-fields.ts';
import { DAY_MS } from './zone-clock.ts';

/** Leap years and weekdays come together again after 40 years at most (1 January 2100 lies in between); a date that needs longer never comes. */
const MAX_YEARS = 100;

/** The first wall time at or after `fromMs` that an expression names; undefined when none comes within a hundred years. */
export function nextWall(fields: CronFields, fromMs: number): number | undefined {
  const from = new Date(Math.ceil(fromMs / 1000) * 1000);
  const lastYear = Math.max(from.getUTCFullYear(), fields.years?.[0] ?? 0) + MAX_YEARS;
  let day = from.getUTCDate();
  let month = from.getUTCMonth() + 1;
  let year = from.getUTCFullYear();
  let time: number | undefined = Math.floor((from.getTime() % DAY_MS) / 1000);
  if (time < 0) time += DAY_MS / 1000;
  for (;;) {
    if (fields.years !== undefined && !fields.years.includes(year)) {
      const next = fields.years.find((candidate) => candidate > year);
      if (next === undefined) return undefined;
      [year, month, day, time] = [next, 1, 1, 0];
    }
    if (year > lastYear) return undefined;
    const days = (fields.months >>> month) & 1 ? matchingDays(fields, year, month) : 0;
    for (; day <= 31; day++, time = 0) {
      if (((days >>> day) & 1) === 0) continue;
      const second = nextTimeOfDay(fields, time);
      if (second !== undefined) return Date.UTC(year, month - 1, day) + second * 1000;
    }
    [day, time] = [1, 0];
    if (++month > 12) [year, month] = [year + 1, 1];
  }
}

/** The first second of the day from `from` on that fits; undefined when there is none left. */
function nextTimeOfDay({ hours, minutes, seconds }: CronFields, from: number): number | undefined {
  const [hour, minute, second] = [Math.floor(from / 3600), Math.floor(from / 60) % 60, from % 60];
  const first = (minutes[0] ?? 0) * 60 + (seconds[0] ?? 0);
  const hourNow = atLeast(hours, hour);
  if (hourNow === undefined) return undefined;
  if (hourNow > hour) return hourNow * 3600 + first;
  const minuteNow = atLeast(minutes, minute);
  if (minuteNow !== undefined) {
    if (minuteNow > minute) return hour * 3600 + minuteNow * 60 + (seconds[0] ?? 0);
    const secondNow = atLeast(seconds, second);
    if (secondNow !== undefined) return hour * 3600 + minute * 60 + secondNow;
    const minuteNext = atLeast(minutes, minute + 1);
    if (minuteNext !== undefined) return hour * 3600 + minuteNext * 60 + (seconds[0] ?? 0);
  }
  const hourNext = atLeast(hours, hour + 1);
  return hourNext === undefined ? undefined : hourNext * 3600 + first;
}

function atLeast(ascending: readonly number[], value: number): number | undefined {
  for (const candidate of ascending) if (candidate >= value) return candidate;
  return undefined;
}

/** The days of one month that fit, bit 1 for the first. */
function matchingDays({ days, weekdays, combine }: CronFields, year: number, month: number): number {
  const last = new Date(Date.UTC(year, month, 0)).getUTCDate();
  const firstWeekday = new Date(Date.UTC(year, month - 1, 1)).getUTCDay();
  const weekday = (day: number): number => (firstWeekday + day - 1) % 7;
  let byDay = days.mask;
  for (const before of days.beforeLast) byDay |= bit(last - before);
  for (const before of days.nearestBeforeLast) byDay |= bit(nearestWorkday(last - before, last, weekday));
  for (const day of days.nearest) if (day <= last) byDay |= bit(nearestWorkday(day, last, weekday));
  let byWeekday = 0;
  for (let day = 1; day <= last; day++) {
    const weeks = weekdays[weekday(day)] ?? 0;
    const fits = (weeks >>> Math.floor((day - 1) / 7)) & 1 || (day + 7 > last && (weeks >>> 5) & 1);
    if (fits) byWeekday |= 1 << day;
  }
  const all = last === 31 ? -2 : (1 << (last + 1)) - 2;
  return (combine === 'either' ? byDay | byWeekday : byDay & byWeekday) & all;
}

function bit(day: number): number {
  return day < 1 ? 0 : 1 << day;
}

/** Saturday goes to Friday and Sunday to Monday, but never out of the month. */
function nearestWorkday(day: number, last: number, weekday: (day: number) => number): number {
  if (day < 1) return 0;
  if (weekday(day) === 6) return day === 1 ? 3 : day - 1;
  if (weekday(day) === 0) return day === last ? day - 2 : day + 1;
  return day;
}
