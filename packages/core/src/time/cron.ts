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
 * The instants of an expression in a zone. An expression of fixed times runs once for each of them on both days on which
 * the clocks change: what the clocks skip fires once, at the moment of the change, and what comes twice fires the first
 * time. An expression that names an interval (`*` or `/` among the times of day) runs by real time: it fires whenever the
 * clock shows what it names, so that nothing is made up for and both passes count. A day that a zone leaves out altogether
 * is never made up for.
 */
export function cronRecurrence(fields: CronFields, clock: ZoneClock): Recurrence {
  const once = !fields.interval;
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
        if (at.entering && once && skips(fields, span, shown)) return span.startMs;
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
      if (once && ms === span.startMs && skips(fields, span, shown))
        return `makes up for what lies between ${clockText(shown)} and ${clockText(wall)}: the clocks skip it`;
      const twice = placeWall(clock, wall).times.length > 1;
      return twice ? `${clockText(wall)} comes twice on this day${once ? ': the first one counts' : ''}` : undefined;
    },
    skipped(span) {
      const shown = shownBefore(span, clock);
      const start = span.startMs + span.offsetMs;
      if (start <= shown || fields.everyHour || (once && start - shown < DAY_MS)) return undefined;
      const wall = nextWall(fields, shown);
      return wall !== undefined && wall < start ? wall : undefined;
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
