/** A second walk through the calendar, which knows nothing of the one under test: minute by minute, by what the platform says a wall clock shows. */

export interface WallMinute {
  readonly ms: number;
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  /** 1 is Monday. */
  readonly weekday: number;
  /** The clocks were set back, and showed this minute before. */
  readonly again: boolean;
}

const MINUTE_MS = 60_000;
/** As far as clocks are ever set back. */
const BEFORE_MS = 3 * 60 * MINUTE_MS;

const walks = new Map<string, readonly WallMinute[]>();

/** Every minute of [fromMs, toMs] as clocks of the zone show it. */
export function minutesOf(zone: string, fromMs: number, toMs: number): readonly WallMinute[] {
  const key = `${zone} ${fromMs} ${toMs}`;
  const known = walks.get(key);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    weekday: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  const seen = new Set<string>();
  const minutes: WallMinute[] = [];
  for (let ms = fromMs - BEFORE_MS; ms <= toMs; ms += MINUTE_MS) {
    const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    const number = (part: string): number => Number(parts[part]);
    const shown = ['year', 'month', 'day', 'hour', 'minute'].map(number).join(' ');
    const wall: WallMinute = {
      ms,
      year: number('year'),
      month: number('month'),
      day: number('day'),
      hour: number('hour'),
      minute: number('minute'),
      weekday: ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(parts['weekday'] ?? '') + 1,
      again: seen.has(shown),
    };
    seen.add(shown);
    if (ms >= fromMs) minutes.push(wall);
  }
  walks.set(key, minutes);
  return minutes;
}
