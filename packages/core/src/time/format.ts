import { Temporal } from 'temporal-polyfill';

import type { LocalDate, ZonedTime } from './zoned.ts';

type Moment = ZonedTime | LocalDate;
type Field = (time: Moment, count: number) => string;

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

/** A run of one letter, quoted text (`''` is a quote), or anything else as it stands. */
const TOKENS = /([A-Za-z])\1*|'((?:[^']|'')*)'|[^A-Za-z']+|'/g;

/**
 * Formats with a Unicode (LDML) pattern, English names, ISO weeks (Monday first): `yyyyMMdd`, `yyyy-MM-dd'T'HH:mm:ssXXX`,
 * `YYYY-'W'ww`. A letter that has no meaning here, or a clock field for a bare date, throws a RangeError that says so.
 */
export function formatTime(time: Moment, pattern: string): string {
  return pattern.replace(TOKENS, (token: string, letter: string | undefined, quoted: string | undefined) => {
    if (letter !== undefined) return formatField(time, letter, token.length, pattern);
    if (token === "'") throw new RangeError(`the quote in the pattern ${JSON.stringify(pattern)} is not closed`);
    if (quoted === undefined) return token;
    return quoted === '' ? "'" : quoted.replaceAll("''", "'");
  });
}

function formatField(time: Moment, letter: string, count: number, pattern: string): string {
  const known = FIELDS[letter];
  if (known === undefined || count > known.longest) {
    const hint = HINTS[letter] ?? 'put text in single quotes';
    throw new RangeError(
      `${JSON.stringify(letter.repeat(count))} in the pattern ${JSON.stringify(pattern)} has no meaning: ${hint}`,
    );
  }
  if (known.clock && !(time instanceof Temporal.ZonedDateTime)) {
    throw new RangeError(
      `${JSON.stringify(letter)} in the pattern ${JSON.stringify(pattern)} needs a time of day, and this is a date`,
    );
  }
  return known.format(time, count);
}

const HINTS: Readonly<Record<string, string>> = {
  A: 'use "HHmmssSSS"',
  c: 'use "e"',
  f: 'use "S" for fractions',
  F: 'use "dd"',
  j: 'use "HH"',
  n: 'use "SSS"',
  T: "a literal T is written 'T'",
  u: 'use "yyyy"',
};

function digits(value: number, count: number): string {
  return value < 0 ? `-${String(-value).padStart(count, '0')}` : String(value).padStart(count, '0');
}

function year(value: number, count: number): string {
  return count === 2 ? digits(((value % 100) + 100) % 100, 2) : digits(value, count);
}

function name(names: readonly string[], index: number, count: number): string {
  const full = names[index - 1] ?? '';
  return count === 4 ? full : count === 5 ? full.slice(0, 1) : full.slice(0, 3);
}

/** The clock fields are asked for only after the check that the value has a clock. */
function clock(format: (time: ZonedTime, count: number) => string): Field {
  return (time, count) => format(time as ZonedTime, count);
}

/** `X` shows UTC as Z, `x` never does; 1: +08 or +0530, 2: +0800, 3: +08:00. */
function offset(time: ZonedTime, count: number, zulu: boolean): string {
  if (zulu && time.offsetNanoseconds === 0) return 'Z';
  const minutes = Math.round(time.offsetNanoseconds / 60e9);
  const sign = minutes < 0 ? '-' : '+';
  const hh = digits(Math.floor(Math.abs(minutes) / 60), 2);
  const mm = digits(Math.abs(minutes) % 60, 2);
  if (count === 1) return `${sign}${hh}${mm === '00' ? '' : mm}`;
  return count === 2 ? `${sign}${hh}${mm}` : `${sign}${hh}:${mm}`;
}

function zoneName(time: ZonedTime, count: number): string {
  const style = count === 4 ? 'long' : 'short';
  const parts = new Intl.DateTimeFormat('en-US', { timeZone: time.timeZoneId, timeZoneName: style }).formatToParts(
    time.epochMilliseconds,
  );
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? time.offset;
}

function quarter(time: Moment): number {
  return Math.ceil(time.month / 3);
}

const hour12 = (time: ZonedTime): number => time.hour % 12 || 12;

interface KnownField {
  readonly longest: number;
  readonly clock: boolean;
  readonly format: Field;
}
const date = (longest: number, format: Field): KnownField => ({ longest, clock: false, format });
const ofClock = (longest: number, format: (time: ZonedTime, count: number) => string): KnownField => ({
  longest,
  clock: true,
  format: clock(format),
});

const FIELDS: Readonly<Record<string, KnownField>> = Object.assign(Object.create(null) as Record<string, KnownField>, {
  y: date(9, (time, count) => year(time.year, count)),
  Y: date(9, (time, count) => year(time.yearOfWeek ?? time.year, count)),
  Q: date(2, (time, count) => digits(quarter(time), count)),
  q: date(2, (time, count) => digits(quarter(time), count)),
  M: date(5, (time, count) => (count > 2 ? name(MONTHS, time.month, count) : digits(time.month, count))),
  L: date(5, (time, count) => (count > 2 ? name(MONTHS, time.month, count) : digits(time.month, count))),
  w: date(2, (time, count) => digits(time.weekOfYear ?? 0, count)),
  d: date(2, (time, count) => digits(time.day, count)),
  D: date(3, (time, count) => digits(time.dayOfYear, count)),
  E: date(5, (time, count) => name(DAYS, time.dayOfWeek, count)),
  e: date(5, (time, count) => (count > 2 ? name(DAYS, time.dayOfWeek, count) : digits(time.dayOfWeek, count))),
  a: ofClock(3, (time) => (time.hour < 12 ? 'AM' : 'PM')),
  H: ofClock(2, (time, count) => digits(time.hour, count)),
  h: ofClock(2, (time, count) => digits(hour12(time), count)),
  k: ofClock(2, (time, count) => digits(time.hour || 24, count)),
  K: ofClock(2, (time, count) => digits(time.hour % 12, count)),
  m: ofClock(2, (time, count) => digits(time.minute, count)),
  s: ofClock(2, (time, count) => digits(time.second, count)),
  S: ofClock(9, (time, count) =>
    digits(time.millisecond * 1e6 + time.microsecond * 1e3 + time.nanosecond, 9).slice(0, count),
  ),
  X: ofClock(3, (time, count) => offset(time, count, true)),
  x: ofClock(3, (time, count) => offset(time, count, false)),
  Z: ofClock(3, (time) => offset(time, 2, false)),
  V: ofClock(2, (time) => time.timeZoneId),
  z: ofClock(4, zoneName),
});
