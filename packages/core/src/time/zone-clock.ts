import { Temporal } from 'temporal-polyfill';

/**
 * The offsets of one zone, as stretches of real time in which the clock shows real time plus a fixed offset. "Wall"
 * milliseconds are what such a clock shows, written as if it were UTC: they can be compared and divided into days.
 */
export interface ZoneClock {
  readonly zone: string;
  /** The stretch that holds an instant. */
  spanAt(ms: number): OffsetSpan;
}

export interface OffsetSpan {
  /** -Infinity before the first change of the zone. */
  readonly startMs: number;
  /** Exclusive; Infinity after the last one. */
  readonly endMs: number;
  readonly offsetMs: number;
}

export const DAY_MS = 86_400_000;

/** Zones there are some 600; spans of one zone that are in use are few. Both are bounded against strange callers. */
const MAX_CLOCKS = 1_000;
const MAX_SPANS = 2_000;
/** What Temporal and Date can both say. */
const MAX_MS = 8_000_000_000_000_000;

const clocks = new Map<string, ZoneClock>();

/** The clock of an IANA zone in its usual spelling; throws a RangeError for a zone that there is not. */
export function zoneClock(zone: string): ZoneClock {
  const known = clocks.get(zone);
  if (known !== undefined) return known;
  if (clocks.size >= MAX_CLOCKS) clocks.clear();
  const clock = createClock(zone);
  clocks.set(zone, clock);
  return clock;
}

function createClock(zone: string): ZoneClock {
  // Throws for a zone that there is not.
  let last = readSpan(zone, 0);
  const spans: OffsetSpan[] = [last];
  return {
    zone,
    spanAt(ms) {
      if (ms >= last.startMs && ms < last.endMs) return last;
      let low = 0;
      let high = spans.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        const span = spans[middle];
        if (span !== undefined && span.endMs <= ms) low = middle + 1;
        else high = middle;
      }
      const found = spans[low];
      if (found !== undefined && found.startMs <= ms) return (last = found);
      if (spans.length >= MAX_SPANS) {
        spans.length = 0;
        low = 0;
      }
      last = readSpan(zone, ms);
      spans.splice(low, 0, last);
      return last;
    },
  };
}

function readSpan(zone: string, ms: number): OffsetSpan {
  const inside = Math.min(Math.max(Math.floor(ms), -MAX_MS), MAX_MS);
  const at = Temporal.Instant.fromEpochMilliseconds(inside).toZonedDateTimeISO(zone);
  const next = at.getTimeZoneTransition('next');
  // A millisecond on, so that a change at this very instant is the one that is found.
  const previous = at.add({ milliseconds: 1 }).getTimeZoneTransition('previous');
  return {
    startMs: previous?.epochMilliseconds ?? -Infinity,
    endMs: next?.epochMilliseconds ?? Infinity,
    offsetMs: Math.round(at.offsetNanoseconds / 1e6),
  };
}

/** Where a wall time lies: `times` are the instants that show it, none in a gap, two when clocks go back. */
export interface WallPlace {
  readonly times: readonly number[];
  /** The first instant after the gap that swallows the wall time. */
  readonly gapEndMs?: number;
}

/** Finds the instants that a wall time stands for. */
export function placeWall(clock: ZoneClock, wallMs: number): WallPlace {
  const times: number[] = [];
  // No zone is further than a day from UTC, and none changes twice within the two days that this looks at but by decree.
  let span = clock.spanAt(wallMs - 2 * DAY_MS);
  for (;;) {
    const at = wallMs - span.offsetMs;
    if (at >= span.startMs && at < span.endMs) times.push(at);
    if (span.endMs > wallMs + 2 * DAY_MS) break;
    const next = clock.spanAt(span.endMs);
    if (wallMs >= span.endMs + span.offsetMs && wallMs < next.startMs + next.offsetMs)
      return { times, gapEndMs: next.startMs };
    span = next;
  }
  return { times };
}

/** The first instant that shows a wall time; in a gap, the first one after it. */
export function firstInstant(clock: ZoneClock, wallMs: number): number {
  const { times, gapEndMs } = placeWall(clock, wallMs);
  return times[0] ?? gapEndMs ?? wallMs;
}

/** What the zone's clock shows at an instant, in wall milliseconds. */
export function wallAt(clock: ZoneClock, ms: number): number {
  return ms + clock.spanAt(ms).offsetMs;
}

/** The first instant of the day after the one that an instant lies in. */
export function nextMidnight(clock: ZoneClock, ms: number): number {
  return Math.max(ms + 1, firstInstant(clock, startOfWallDay(wallAt(clock, ms)) + DAY_MS));
}

export function startOfWallDay(wallMs: number): number {
  return Math.floor(wallMs / DAY_MS) * DAY_MS;
}
