import fc from 'fast-check';

/** Expressions as data, with a matcher that only knows what the words mean: slow and plain, to test the fast one by. */

export interface CronModel {
  readonly text: string;
  readonly quartz: boolean;
  /** The fields for second, minute and hour hold a `*` or a `/`, or every value. */
  readonly interval: boolean;
  fitsDay(wall: WallTime): boolean;
  fitsTime(wall: WallTime): boolean;
}

/** What a clock and a calendar on the wall show. */
export interface WallTime {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

interface Item {
  readonly text: string;
  readonly holds: (wall: WallTime, value: number) => boolean;
}

interface Field {
  readonly text: string;
  readonly holds: (wall: WallTime, value: number) => boolean;
}

const daysIn = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate();
/** 0 is Sunday. */
const weekday = (year: number, month: number, day: number): number =>
  new Date(Date.UTC(year, month - 1, day)).getUTCDay();

const star: Field = { text: '*', holds: () => true };

const exactly = (own: number): Item => ({ text: String(own), holds: (_wall, other) => other === own });

function numbers(first: number, last: number, wraps: boolean): fc.Arbitrary<Item> {
  const value = fc.integer({ min: first, max: last });
  const step = fc.integer({ min: 1, max: Math.max(1, Math.floor((last - first) / 2)) });
  const plain = value.map(exactly);
  const range = fc.tuple(value, value, fc.option(step)).map(([a, b, every]): Item => {
    const [from, to] = wraps || a <= b ? [a, b] : [b, a];
    const size = last - first + 1;
    const length = (to - from + size) % size;
    return {
      text: `${from}-${to}${every === null ? '' : `/${every}`}`,
      holds: (_wall, other) => {
        if (other < first || other > last) return false;
        const distance = (other - from + size) % size;
        return distance <= length && distance % (every ?? 1) === 0;
      },
    };
  });
  const open = fc.tuple(value, step).map(([from, every]): Item => ({
    text: `${from}/${every}`,
    holds: (_wall, other) => other >= from && (other - from) % every === 0,
  }));
  const every = step.map((own): Item => ({ text: `*/${own}`, holds: (_wall, other) => (other - first) % own === 0 }));
  return wraps ? fc.oneof(plain, range, open, every) : fc.oneof(plain, range, every);
}

function list(item: fc.Arbitrary<Item>): fc.Arbitrary<Field> {
  return fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => ({
    text: items.map(({ text }) => text).join(','),
    holds: (wall, value) => items.some(({ holds }) => holds(wall, value)),
  }));
}

const field = (first: number, last: number, wraps: boolean): fc.Arbitrary<Field> =>
  fc.oneof(fc.constant(star), list(numbers(first, last, wraps)));

/** The day nearest to the given one that is no Saturday or Sunday, in the same month: tried outwards, back first. */
function nearestWorkday(year: number, month: number, day: number): number {
  for (const offset of [0, -1, 1, -2, 2]) {
    const near = day + offset;
    if (near < 1 || near > daysIn(year, month)) continue;
    if (![0, 6].includes(weekday(year, month, near))) return near;
  }
  throw new Error('no week has five days off');
}

const daySigns: fc.Arbitrary<Item> = fc.oneof(
  fc.constant<Item>({ text: 'L', holds: (w, day) => day === daysIn(w.year, w.month) }),
  fc
    .integer({ min: 1, max: 30 })
    .map((before): Item => ({ text: `L-${before}`, holds: (w, day) => day === daysIn(w.year, w.month) - before })),
  fc.integer({ min: 0, max: 27 }).map((before): Item => ({
    text: before === 0 ? 'LW' : `L-${before}W`,
    holds: (w, day) => day === nearestWorkday(w.year, w.month, daysIn(w.year, w.month) - before),
  })),
  fc.integer({ min: 1, max: 31 }).map((target): Item => ({
    text: `${target}W`,
    holds: (w, day) => target <= daysIn(w.year, w.month) && day === nearestWorkday(w.year, w.month, target),
  })),
);

const NAMES = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

/** `value` is a weekday from 0 for Sunday; the text counts from 1 in Quartz. */
function weekdaySigns(quartz: boolean): fc.Arbitrary<Item> {
  const shown = fc
    .tuple(fc.integer({ min: 0, max: 6 }), fc.boolean())
    .map(([day, named]) => ({ day, text: named ? (NAMES[day] ?? '') : String(day + (quartz ? 1 : 0)) }));
  return fc.oneof(
    shown.map(({ day, text }): Item => ({ text, holds: (_wall, value) => value === day })),
    fc.tuple(shown, fc.integer({ min: 1, max: 5 })).map(([{ day, text }, week]): Item => ({
      text: `${text}#${week}`,
      holds: (wall, value) => value === day && Math.ceil(wall.day / 7) === week,
    })),
    shown.map(({ day, text }): Item => ({
      text: `${text}L`,
      holds: (wall, value) => value === day && wall.day + 7 > daysIn(wall.year, wall.month),
    })),
  );
}

function weekdays(quartz: boolean): fc.Arbitrary<Field> {
  const shift = quartz ? 1 : 0;
  const plain = numbers(shift, 6 + shift, quartz).map(({ text, holds }): Item => ({
    text,
    holds: (wall, value) => holds(wall, value + shift),
  }));
  return list(fc.oneof(plain, weekdaySigns(quartz)));
}

const days = (wraps: boolean): fc.Arbitrary<Field> =>
  list(fc.oneof({ weight: 2, arbitrary: numbers(1, 31, wraps) }, { weight: 1, arbitrary: daySigns }));

const weekdayOf = ({ year, month, day }: WallTime): number => weekday(year, month, day);

function model(parts: readonly Field[], quartz: boolean): CronModel {
  const [second, minute, hour, day, month, dayOfWeek] = parts as [Field, Field, Field, Field, Field, Field];
  const times = (quartz ? [second, minute, hour] : [minute, hour]).map(({ text }) => text).join(' ');
  const free = ({ text }: Field): boolean => text.startsWith('*') || text === '?';
  const wall = { year: 2026, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
  const all = (own: Field, count: number): boolean =>
    Array.from({ length: count }, (_, value) => value).every((value) => own.holds(wall, value));
  return {
    text: (quartz ? parts : parts.slice(1)).map(({ text }) => text).join(' '),
    quartz,
    interval: /[*/]/.test(times) || all(minute, 60) || all(hour, 24),
    fitsTime: (at) => second.holds(at, at.second) && minute.holds(at, at.minute) && hour.holds(at, at.hour),
    fitsDay: (at) => {
      const byDay = day.holds(at, at.day);
      const byWeekday = dayOfWeek.holds(at, weekdayOf(at));
      return month.holds(at, at.month) && (free(day) || free(dayOfWeek) ? byDay && byWeekday : byDay || byWeekday);
    },
  };
}

const zero: Field = { text: '0', holds: (_wall, value) => value === 0 };
const none: Field = { text: '?', holds: () => true };

export const unixModel: fc.Arbitrary<CronModel> = fc
  .tuple(
    field(0, 59, false),
    field(0, 23, false),
    fc.oneof(fc.constant(star), days(false)),
    field(1, 12, false),
    fc.oneof(fc.constant(star), weekdays(false)),
  )
  .map((fields) => model([zero, ...fields], false));

export const quartzModel: fc.Arbitrary<CronModel> = fc
  .tuple(
    fc.oneof(fc.constant(zero), field(0, 59, true)),
    field(0, 59, true),
    field(0, 23, true),
    fc.oneof(
      days(true).map((day) => [day, none] as const),
      weekdays(true).map((dayOfWeek) => [none, dayOfWeek] as const),
      fc.constant([star, none] as const),
    ),
    field(1, 12, true),
  )
  .map(([second, minute, hour, [day, dayOfWeek], month]) => model([second, minute, hour, day, month, dayOfWeek], true));

/** Times of day around those at which clocks change, every day: minutes in steps that odd zones see, hours of the night. */
export const nightModel: fc.Arbitrary<CronModel> = fc
  .tuple(
    fc.oneof(fc.constant(star), fc.constant(zero), list(numbers(0, 59, false))),
    fc.oneof(fc.constant(star), list(numbers(0, 4, false)), list(fc.integer({ min: 20, max: 23 }).map(exactly))),
  )
  .map(([minute, hour]) => model([zero, minute, hour, star, star, star], false));
