import { Temporal } from 'temporal-polyfill';

import type { LocalDate, ZonedTime } from './zoned.ts';

const AMOUNT =
  /^([+-]?)(?:(\d{1,6})y)?(?:(\d{1,6})M)?(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?$/;
const FIELDS = ['years', 'months', 'weeks', 'days', 'hours', 'minutes', 'seconds'] as const;

/**
 * Moves a time or a date: `-1d`, `+2w`, `1M`, `-1y6M`, `1d12h`; one sign for all of it.
 * y, M, w and d are calendar arithmetic in the time's own zone (the wall clock stays, whatever the clocks did between);
 * h, m and s are exact. A day that a month lacks becomes its last day. Throws a RangeError with a readable message.
 */
export function shiftTime<T extends ZonedTime | LocalDate>(time: T, amount: string): T {
  const duration = parseAmount(amount);
  if (time instanceof Temporal.ZonedDateTime) return time.add(duration) as T;
  if (duration.hours !== 0 || duration.minutes !== 0 || duration.seconds !== 0) {
    throw new RangeError(`a date has no hours: ${JSON.stringify(amount)} can only use y, M, w and d here`);
  }
  return time.add(duration) as T;
}

/** Throws the RangeError that `shiftTime` would throw for an amount that cannot be read. */
export function parseAmount(amount: string): Temporal.Duration {
  const match = AMOUNT.exec(amount);
  if (!match || !/\d/.test(amount)) {
    throw new RangeError(
      `cannot shift by ${JSON.stringify(amount)}: write an amount such as "-1d", "+2w", "1M", "-1y" or "90m"`,
    );
  }
  const sign = match[1] === '-' ? -1 : 1;
  // `|| 0` turns -0 into 0, which Temporal.Duration would keep.
  const fields = FIELDS.map((field, index) => [field, sign * Number(match[index + 2] ?? 0) || 0] as const);
  return Temporal.Duration.from(Object.fromEntries(fields));
}
