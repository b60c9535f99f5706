import { CronPattern } from 'croner';

import { cronWords } from './cron-words.ts';

/**
 * A cron expression, read. The library reads numbers, names, lists, ranges and steps; what Quartz has beyond it (`L-3`, `LW`
 * in a list, `L` for Saturday, ranges that run over the end), and where Unix differs from it, is settled here.
 */
export interface CronFields {
  /** Ascending. */
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** Bit 1 is January. */
  readonly months: number;
  readonly days: DayRule;
  /** Of each weekday from Sunday on, which in the month: bit 0 is the first, bit 4 the fifth, bit 5 the last. */
  readonly weekdays: readonly number[];
  /** `either`: one of the two day fields is enough. `both`: each must fit (one that says nothing always does). */
  readonly combine: 'either' | 'both';
  /** Ascending; absent: every year. */
  readonly years?: readonly number[];
  /** It runs in every hour of the day. */
  readonly everyHour: boolean;
  /** One of its times of day is an interval (`*`, `0/5`, `0-23`): it runs by real time when the clocks change. */
  readonly interval: boolean;
}

export interface DayRule {
  /** Bit 1 is the first of the month. */
  readonly mask: number;
  /** `L` is 0, `L-3` is 3. */
  readonly beforeLast: readonly number[];
  /** `LW` is 0, `L-3W` is 3: the weekday (Monday to Friday) nearest to that day. */
  readonly nearestBeforeLast: readonly number[];
  /** `15W` is 15. */
  readonly nearest: readonly number[];
}

export const NICKNAMES = ['@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually'];

const ALL_WEEKS = 0b111111;
const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
const FIRST_YEAR = 1970;

/** Reads an expression; throws a RangeError with the reason for a bad one. */
export function readCron(expression: string): CronFields {
  const text = expression.trim();
  const fields = text.split(/\s+/);
  if (text.startsWith('@')) {
    if (!NICKNAMES.includes(text))
      throw new RangeError(`there is no ${JSON.stringify(text)}; there are ${NICKNAMES.join(', ')}`);
    return fieldsOf(new CronPattern(text), { days: '*', weekdays: '*', times: '' });
  }
  if (fields.length < 5 || fields.length > 7)
    throw new RangeError(
      `a cron expression has 5 fields (minute hour day month weekday) or 6 to 7 (second minute hour day month weekday [year]); this has ${text === '' ? 0 : fields.length}`,
    );
  return fields.length === 5 ? readUnix(fields) : readQuartz(fields);
}

function readUnix([minutes = '', hours = '', days = '', months = '', weekdays = '']: readonly string[]): CronFields {
  refuseStrayMarks([minutes, hours, days, months, weekdays], [2, 4]);
  const split = splitDays(days);
  const pattern = parse([minutes, hours, split.plain, months, weekdays.replace('?', '*')].join(' '), false);
  return fieldsOf(pattern, { days, weekdays, times: `${minutes} ${hours}`, split });
}

function readQuartz(given: readonly string[]): CronFields {
  const [seconds = '', minutes = '', hours = '', days = '', months = '', weekdays = '', years = '*'] = given;
  refuseStrayMarks(given, [3, 5]);
  if (!isFree(days) && !isFree(weekdays))
    throw new RangeError('with 6 or 7 fields, either the day of the month or the weekday must be "?"');
  const numbers = weekdays.replace(/[#/]\d+/g, '').match(/\d+/g) ?? [];
  if (numbers.some((number) => Number(number) < 1 || Number(number) > 7))
    throw new RangeError('with 6 or 7 fields, weekdays count from 1 (Sunday) to 7 (Saturday)');
  const split = splitDays(overTheEnd(days, 1, 31));
  const pattern = parse(
    [
      overTheEnd(seconds, 0, 59),
      overTheEnd(minutes, 0, 59),
      overTheEnd(hours, 0, 23),
      split.plain,
      overTheEnd(months, 1, 12, MONTHS),
      overTheEnd(weekdays.replace('?', '*').replace(/^L$/i, 'SAT'), 1, 7, WEEKDAYS),
      years.replace(/^\*?\//, `${FIRST_YEAR}/`),
    ].join(' '),
    true,
  );
  return fieldsOf(pattern, { days, weekdays, times: `${seconds} ${minutes} ${hours}`, split });
}

function parse(pattern: string, quartz: boolean): CronPattern {
  try {
    return new CronPattern(pattern, undefined, {
      mode: quartz ? '7-part' : '5-part',
      alternativeWeekdays: quartz,
      sloppyRanges: quartz,
    });
  } catch (error) {
    throw new RangeError(cronWords(error instanceof Error ? error.message : String(error), quartz));
  }
}

function isFree(field: string): boolean {
  return field === '?' || field === '*';
}

function refuseStrayMarks(fields: readonly string[], dayFields: readonly number[]): void {
  if (fields.some((field, index) => field.includes('?') && (field !== '?' || !dayFields.includes(index))))
    throw new RangeError('"?" stands alone, and only for the day of the month or the weekday');
  if (fields.some((field) => field.includes('+'))) throw new RangeError('"+" is no sign of a cron expression');
}

interface SplitDays extends Omit<DayRule, 'mask'> {
  /** What is left for the library; `*` when it is nothing. */
  readonly plain: string;
  readonly onlySigns: boolean;
}

/** Takes `L`, `L-3`, `LW`, `L-3W` and `15W` out of the days of the month. */
function splitDays(field: string): SplitDays {
  const rule = { beforeLast: [] as number[], nearestBeforeLast: [] as number[], nearest: [] as number[] };
  const plain: string[] = [];
  for (const item of field.split(',')) {
    const last = /^L(?:-(\d+))?(W)?$/i.exec(item);
    const nearest = /^(\d+)W$/i.exec(item);
    if (last !== null) {
      const before = Number(last[1] ?? 0);
      if (last[1] !== undefined && (before < 1 || before > 30))
        throw new RangeError(`${item}: the days before the last count from 1 to 30`);
      (last[2] === undefined ? rule.beforeLast : rule.nearestBeforeLast).push(before);
    } else if (nearest !== null) {
      const day = Number(nearest[1]);
      if (day < 1 || day > 31) throw new RangeError(`${item}: days of the month count from 1 to 31`);
      rule.nearest.push(day);
    } else if (/[LW]/i.test(item))
      throw new RangeError(`${JSON.stringify(item)} for the day of the month: the signs are L, L-3, LW, L-3W and 15W`);
    else plain.push(item.replace('?', '*'));
  }
  return { ...rule, plain: plain.length === 0 ? '*' : plain.join(','), onlySigns: plain.length === 0 };
}

/** `22-2` for hours becomes `22,23,0,1,2`, with steps where there are some; other items stay as they are. */
function overTheEnd(field: string, first: number, last: number, names: readonly string[] = []): string {
  const value = (word: string): number => {
    const index = names.indexOf(word.toUpperCase());
    return index === -1 ? (/^\d+$/.test(word) ? Number(word) : Number.NaN) : index + first;
  };
  return field
    .split(',')
    .map((item) => {
      const range = /^([A-Z\d]+)-([A-Z\d]+)(?:\/(\d+))?$/i.exec(item);
      if (range === null) return item;
      const [from, to, step] = [value(range[1] ?? ''), value(range[2] ?? ''), Number(range[3] ?? 1)];
      const size = last - first + 1;
      if (!(from > to) || step < 1 || from > last || to < first) return item;
      const count = Math.floor((to + size - from) / step) + 1;
      return Array.from({ length: count }, (_, index) => ((from - first + index * step) % size) + first).join(',');
    })
    .join(',');
}

interface WrittenFields {
  readonly days: string;
  readonly weekdays: string;
  /** The fields for second, minute and hour. */
  readonly times: string;
  readonly split?: SplitDays;
}

function fieldsOf(pattern: CronPattern, { days, weekdays, times, split }: WrittenFields): CronFields {
  const [hours, minutes] = [positions(pattern.hour, 0), positions(pattern.minute, 0)];
  // As crontab(5) has it, a field that starts with "*" restricts nothing by itself: with "*/2" both fields must fit.
  const restricted = (field: string): boolean => !field.startsWith('*') && field !== '?';
  const years = pattern.starYear ? undefined : positions(pattern.year, 0);
  return {
    seconds: positions(pattern.second, 0),
    minutes,
    hours,
    months: mask(positions(pattern.month, 1)),
    days: {
      mask: split?.onlySigns === true ? 0 : mask(positions(pattern.day, 1)),
      beforeLast: split?.beforeLast ?? [],
      nearestBeforeLast: split?.nearestBeforeLast ?? [],
      nearest: split?.nearest ?? [],
    },
    // The library marks a weekday that is in every week with 63, one of the month's weeks with its bit.
    weekdays: pattern.dayOfWeek.slice(0, 7).map((weeks) => weeks & ALL_WEEKS),
    combine: restricted(days) && restricted(weekdays) ? 'either' : 'both',
    ...(years !== undefined && { years: years.filter((year) => year >= FIRST_YEAR) }),
    everyHour: hours.length === 24,
    interval: /[*/]/.test(times) || hours.length === 24 || minutes.length === 60,
  };
}

function positions(flags: readonly number[], first: number): number[] {
  return flags.flatMap((flag, index) => (flag ? [index + first] : []));
}

function mask(values: readonly number[]): number {
  return values.reduce((bits, value) => bits | (1 << value), 0);
}
