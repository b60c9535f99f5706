import type { DailyInterval } from '../definition/model.ts';
import { weekdayOf } from './calendar.ts';
import { clockMs } from './local-time.ts';
import type { OffsetSpan, ZoneClock } from './zone-clock.ts';
import { DAY_MS, firstInstant, startOfWallDay, wallAt } from './zone-clock.ts';

/** A series of instants, before calendars and bounds. */
export interface Recurrence {
  /** The first instant after `afterMs` (exclusive); undefined when there is none. */
  next(afterMs: number): number | undefined;
  /** What a person should know about one of the instants, when the clocks change at it. */
  note?(ms: number): string | undefined;
  /** The first wall time that the change of the clocks at the beginning of a stretch skips and that nothing makes up for. */
  skipped?(span: OffsetSpan): number | undefined;
}

/** Every `everyMs` of real time, before and after the anchor. */
export function fixedRate(everyMs: number, anchorMs: number): Recurrence {
  return { next: (afterMs) => anchorMs + (Math.floor((afterMs - anchorMs) / everyMs) + 1) * everyMs };
}

export function once(atMs: number): Recurrence {
  return { next: (afterMs) => (atMs > afterMs ? atMs : undefined) };
}

/** Within each day's stretch it counts real time, so that a change of the clocks moves what comes after it. */
export function dailyInterval({ from, to, everyMs, weekdays }: DailyInterval, clock: ZoneClock): Recurrence {
  const fromMs = clockMs(from);
  const toMs = clockMs(to) + (clockMs(to) <= fromMs ? DAY_MS : 0);
  const days = weekdays === undefined ? undefined : new Set(weekdays);
  return {
    next(afterMs) {
      // The stretch of the day before may go on over midnight. A week later at most there is another day.
      let day = startOfWallDay(wallAt(clock, afterMs)) - DAY_MS;
      for (let tried = 0; tried < 10; tried++, day += DAY_MS) {
        if (days !== undefined && !days.has(weekdayOf(day))) continue;
        const first = firstInstant(clock, day + fromMs);
        const last = firstInstant(clock, day + toMs);
        const due = afterMs < first ? first : fixedRate(everyMs, first).next(afterMs);
        if (due !== undefined && due <= last) return due;
      }
      return undefined;
    },
  };
}
