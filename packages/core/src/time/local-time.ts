import { parseDate } from './zoned.ts';
import type { ZoneClock } from './zone-clock.ts';
import { DAY_MS, firstInstant } from './zone-clock.ts';

const TIME = /^(\d{4}-\d\d-\d\d)T(\d\d):(\d\d)(?::(\d\d))?(Z|[+-]\d\d:\d\d)?$/;
const CLOCK = /^(\d\d):(\d\d)(?::(\d\d))?$/;

/** The instant that a text such as `2026-12-01T08:00` means in a zone, or with its own offset; undefined when it is none. In a gap: its end; of two: the first. */
export function localInstant(text: string, clock: ZoneClock): number | undefined {
  const match = TIME.exec(text);
  const day = wallDay(match?.[1] ?? '');
  if (match === null || day === undefined) return undefined;
  const [hour, minute, second] = [Number(match[2]), Number(match[3]), Number(match[4] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const wall = day + ((hour * 60 + minute) * 60 + second) * 1000;
  const offset = match[5];
  if (offset === undefined) return firstInstant(clock, wall);
  const instant = Date.parse(`${match[1]}T${match[2]}:${match[3]}:${match[4] ?? '00'}${offset}`);
  return Number.isNaN(instant) ? undefined : instant;
}

/** Wall milliseconds of the midnight of `YYYY-MM-DD`; undefined when there is no such day. */
export function wallDay(text: string): number | undefined {
  const date = parseDate(text);
  return date === undefined || date.year < 1000 ? undefined : Date.UTC(date.year, date.month - 1, date.day);
}

/** `YYYY-MM-DD` of wall milliseconds. */
export function dateText(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 10);
}

/** The first instant of `start` and the last of `end`: a date means the whole day. Undefined when it is neither date nor time. */
export function boundInstant(text: string, clock: ZoneClock, side: 'start' | 'end'): number | undefined {
  const day = wallDay(text);
  if (day === undefined) return localInstant(text, clock);
  return side === 'start' ? firstInstant(clock, day) : firstInstant(clock, day + DAY_MS) - 1;
}

/** Milliseconds from midnight of `09:00` or `09:00:30`. */
export function clockMs(text: string): number {
  const match = CLOCK.exec(text);
  return ((Number(match?.[1] ?? 0) * 60 + Number(match?.[2] ?? 0)) * 60 + Number(match?.[3] ?? 0)) * 1000;
}
