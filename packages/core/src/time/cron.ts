import { Cron } from 'croner';

import { timeZoneName } from './zoned.ts';

const NICKNAMES = ['@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually'];
/** Patterns repeat at the latest after a cycle of leap years and weekdays; the search for a first fire starts at a fixed time. */
const ANY_TIME = new Date('1999-12-31T00:00:00Z');

/**
 * Why a cron expression is refused, in words; undefined for a good one. 5 fields follow Unix (0 or 7 is Sunday), 6 or 7
 * follow Quartz (1 is Sunday, seconds first, an optional year last).
 */
export function cronProblem(expression: string): string | undefined {
  const fields = expression.trim().split(/\s+/);
  if (expression.startsWith('@'))
    return NICKNAMES.includes(expression)
      ? undefined
      : `there is no ${JSON.stringify(expression)}; there are ${NICKNAMES.join(', ')}`;
  if (fields.length < 5 || fields.length > 7) {
    return `a cron expression has 5 fields (minute hour day month weekday) or 6 to 7 (second minute hour day month weekday [year]); this has ${expression.trim() === '' ? 0 : fields.length}`;
  }
  const quartz = fields.length > 5 ? quartzProblem(fields) : undefined;
  if (quartz !== undefined) return quartz;
  try {
    return cron(expression, 'UTC').nextRun(ANY_TIME) === null ? 'no such day ever comes' : undefined;
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).replace(/^CronPattern: /, '');
  }
}

function quartzProblem(fields: readonly string[]): string | undefined {
  const [day, weekday] = [fields[3] ?? '', fields[5] ?? ''];
  const free = (field: string): boolean => field === '?' || field === '*';
  if (!free(day) && !free(weekday)) return 'with 6 or 7 fields, either the day of the month or the weekday must be "?"';
  if (fields.some((field, index) => field.includes('?') && (field !== '?' || (index !== 3 && index !== 5))))
    return '"?" stands alone, and only for the day of the month or the weekday';
  const numbers = weekday.replace(/[#/]\d+/g, '').match(/\d+/g) ?? [];
  return numbers.some((number) => Number(number) < 1 || Number(number) > 7)
    ? 'with 6 or 7 fields, weekdays count from 1 (Sunday) to 7 (Saturday)'
    : undefined;
}

function cron(expression: string, zone: string): Cron {
  const quartz = !expression.startsWith('@') && expression.trim().split(/\s+/).length > 5;
  const mode = quartz ? '6-or-7-parts' : expression.startsWith('@') ? 'auto' : '5-part';
  return new Cron(expression, {
    paused: true,
    timezone: zone,
    mode,
    alternativeWeekdays: quartz,
    sloppyRanges: quartz,
  });
}

/** The first fire after `after` (RFC 3339, exclusive) as RFC 3339 in UTC; undefined when there is none. Throws for a bad expression or zone. */
export function nextCronTime(expression: string, zone: string, after: string): string | undefined {
  const name = timeZoneName(zone);
  if (name === undefined) throw new RangeError(`there is no time zone ${JSON.stringify(zone)}`);
  return cron(expression, name).nextRun(new Date(after))?.toISOString();
}
