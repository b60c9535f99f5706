import type { CronFields } from './cron-fields.ts';
import { readCron } from './cron-fields.ts';
import { nextWall } from './cron-search.ts';
import type { Recurrence } from './recurrence.ts';
import type { OffsetSpan, ZoneClock } from './zone-clock.ts';
import { DAY_MS, placeWall, zoneClock } from './zone-clock.ts';
import { timeZoneName } from './zoned.ts';

/**
 * Why a cron expression is refused, in words; undefined for a good one. 5 fields follow Unix (0 or 7 is Sunday), 6 or 7
 * follow Quartz (1 is Sunday, seconds first, an optional year last).
 */
export function cronProblem(expression: string): string | undefined {
  try {
    return nextWall(readCron(expression), 0) === undefined ? 'no such day ever comes' : undefined;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return error.message;
  }
}

/** The first fire after `after` (RFC 3339, exclusive) as RFC 3339 in UTC; undefined when there is none. Throws a RangeError for a bad expression or zone. */
export function nextCronTime(expression: string, zone: string, after: string): string | undefined {
  const name = timeZoneName(zone);
  if (name === undefined) throw new RangeError(`there is no time zone ${JSON.stringify(zone)}`);
  const next = cronRecurrence(readCron(expression), zoneClock(name)).next(Date.parse(after));
  return next === undefined ? undefined : new Date(next).toISOString();
}

/** Where a search goes on: a stretch of the zone, and the wall time in it from which fires count. */
interface Position {
  readonly span: OffsetSpan;
  readonly wall: number;
  /** The search comes in with the change of the clocks that begins the stretch. */
  readonly entering: boolean;
}

/**
 * The instants of an expression in a zone. When the clocks go forward, what they skip is made up for by one fire at the
 * moment of the change, unless the expression runs in every hour: then nothing was missed. When they go back, a wall time
 * that comes twice counts the first time only, unless the expression runs in every hour or every few minutes: then it goes
 * on by real time. A day that a zone leaves out altogether is not made up for.
 */
export function cronRecurrence(fields: CronFields, clock: ZoneClock): Recurrence {
  const once = !fields.everyHour && !fields.everyFewMinutes;
  const enter = (span: OffsetSpan, ms: number): Position => ({
    span,
    wall: ms + span.offsetMs,
    entering: ms === span.startMs,
  });
  return {
    next(afterMs) {
      const from = Math.floor(afterMs / 1000) * 1000 + 1000;
      let at = enter(clock.spanAt(from), from);
      let wall: number | undefined;
      let searchedFrom = Infinity;
      for (;;) {
        const { span } = at;
        const shown = shownBefore(span, clock);
        if (at.entering && !fields.everyHour && skips(fields, span, shown)) return span.startMs;
        const low = once ? Math.max(at.wall, shown) : at.wall;
        if (wall === undefined || low < searchedFrom || low > wall) {
          wall = nextWall(fields, low);
          searchedFrom = low;
        }
        if (wall === undefined) return undefined;
        if (wall < span.endMs + span.offsetMs) return wall - span.offsetMs;
        // Nothing happens before the wall time that was found, but close to it the clocks may change.
        const ahead = Math.max(span.endMs, wall - span.offsetMs - 2 * DAY_MS);
        at = enter(clock.spanAt(ahead), ahead);
      }
    },
    note(ms) {
      const span = clock.spanAt(ms);
      const shown = shownBefore(span, clock);
      const wall = ms + span.offsetMs;
      if (ms === span.startMs && !fields.everyHour && skips(fields, span, shown))
        return `the clocks go from ${clockText(shown)} to ${clockText(wall)}: for what lies between`;
      const twice = placeWall(clock, wall).times;
      if (once && twice.length > 1) return `${clockText(wall)} comes twice on this day: the first one counts`;
      return undefined;
    },
  };
}

/** The wall time at which the stretch before ended: whatever is earlier was shown, or skipped, already. */
function shownBefore(span: OffsetSpan, clock: ZoneClock): number {
  return span.startMs === -Infinity ? -Infinity : span.startMs + clock.spanAt(span.startMs - 1).offsetMs;
}

/** Whether the change of the clocks that begins a stretch skips a wall time of the expression. */
function skips(fields: CronFields, span: OffsetSpan, shown: number): boolean {
  const start = span.startMs + span.offsetMs;
  if (start <= shown || start - shown >= DAY_MS) return false;
  const wall = nextWall(fields, shown);
  return wall !== undefined && wall < start;
}

function clockText(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(11, 16);
}
