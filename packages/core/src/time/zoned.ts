import { Temporal } from 'temporal-polyfill';

export type ZonedTime = Temporal.ZonedDateTime;
export type LocalDate = Temporal.PlainDate;

const knownZones = new Map<string, string | undefined>();
const MAX_KNOWN_ZONES = 2_000;

/** The zone's name in its usual spelling (`asia/shanghai` → `Asia/Shanghai`), or undefined when there is no such IANA zone. */
export function timeZoneName(zone: string): string | undefined {
  if (knownZones.has(zone)) return knownZones.get(zone);
  if (knownZones.size >= MAX_KNOWN_ZONES) knownZones.clear();
  const name = lookUpZone(zone);
  knownZones.set(zone, name);
  return name;
}

function lookUpZone(zone: string): string | undefined {
  if (!/^[A-Za-z][A-Za-z0-9_+\-/]{0,63}$/.test(zone)) return undefined;
  try {
    return new Temporal.ZonedDateTime(0n, zone).timeZoneId;
  } catch {
    return undefined;
  }
}

/** A time as its own zone shows it. `timeUtc` is RFC 3339; throws a RangeError when either argument is bad. */
export function zonedTime(timeUtc: string, zone: string): ZonedTime {
  return Temporal.Instant.from(timeUtc).toZonedDateTimeISO(zone);
}

/** RFC 3339 with the zone's offset at that time: `2026-01-31T02:30:00+08:00`; fractions of a second only when there are any. */
export function runTimeText(timeUtc: string, zone: string): string {
  return zonedTimeText(zonedTime(timeUtc, zone));
}

/** RFC 3339 with offset, without the bracketed zone name that only Temporal reads. UTC shows as `Z`. */
export function zonedTimeText(time: ZonedTime): string {
  return time.timeZoneId === 'UTC'
    ? time.toInstant().toString()
    : time.toString({ timeZoneName: 'never', calendarName: 'never' });
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/i;
const ISO_DATE = /^\d{4}-\d\d-\d\d$/;

/** Reads RFC 3339 text (an offset or `Z` is required) into the given zone; undefined when it is none. */
export function parseTime(text: string, zone: string): ZonedTime | undefined {
  if (!RFC_3339.test(text)) return undefined;
  try {
    return zonedTime(text.toUpperCase(), zone);
  } catch {
    return undefined;
  }
}

/** Reads `YYYY-MM-DD`; undefined when there is no such day. */
export function parseDate(text: string): LocalDate | undefined {
  if (!ISO_DATE.test(text)) return undefined;
  try {
    return Temporal.PlainDate.from(text, { overflow: 'reject' });
  } catch {
    return undefined;
  }
}
