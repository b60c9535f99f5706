/** Zones whose clocks change in many ways, and three whose clocks do not (any more). */
export const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'America/Sao_Paulo',
  'Australia/Lord_Howe',
  'Pacific/Chatham',
  'Antarctica/Troll',
  'Africa/Casablanca',
  'Africa/Cairo',
  'America/Havana',
  'America/Nuuk',
  'Asia/Gaza',
  'Asia/Shanghai',
  'Asia/Tehran',
  'Europe/Dublin',
  'UTC',
] as const;

const formats = new Map<string, Intl.DateTimeFormat>();

/** What the platform's own formatting shows in a zone, as wall milliseconds. Independent of the code under test, and slow. */
export function wallByIntl(zone: string, ms: number): number {
  let format = formats.get(zone);
  if (format === undefined)
    formats.set(
      zone,
      (format = new Intl.DateTimeFormat('en-US', {
        timeZone: zone,
        hourCycle: 'h23',
        year: 'numeric',
        month: 'numeric',
        day: 'numeric',
        hour: 'numeric',
        minute: 'numeric',
        second: 'numeric',
      })),
    );
  const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

export interface ClockChange {
  readonly zone: string;
  /** The first instant with the new offset. */
  readonly atMs: number;
  /** Positive when the clocks go forward. */
  readonly shiftMs: number;
}

/** Every change of a zone's clocks in whole years, found by halving the hours in which the offset differs. */
export function clockChanges(zone: string, firstYear: number, lastYear: number): ClockChange[] {
  const STEP = 6 * 3_600_000;
  const offset = (ms: number): number => wallByIntl(zone, ms) - ms;
  const changes: ClockChange[] = [];
  for (let from = Date.UTC(firstYear, 0); from < Date.UTC(lastYear + 1, 0); from += STEP) {
    const before = offset(from);
    const shiftMs = offset(from + STEP) - before;
    if (shiftMs === 0) continue;
    let [low, high] = [from, from + STEP];
    while (high - low > 60_000) {
      const middle = Math.floor((low + high) / 120_000) * 60_000;
      if (offset(middle) === before) low = middle;
      else high = middle;
    }
    changes.push({ zone, atMs: high, shiftMs });
  }
  return changes;
}
