import { minutesOf } from './calendar.ts';
import type { WallMinute } from './calendar.ts';

/** A Friday in most of the world. In Cairo the clocks are set back at 24:00 of the Thursday: 23:00 to 23:59 come twice. */
export const DAY = { fromMs: Date.parse('2027-10-28T19:00:00Z'), toMs: Date.parse('2027-10-29T05:00:00Z') } as const;
export const THRESHOLD_MS = 45 * 60_000;

export type Misfire = 'fire-once' | 'fire-all' | 'skip';

export interface DayWorkflow {
  readonly name: string;
  readonly definition: object;
  readonly misfire: Misfire;
  /** When it is to fire, by the walk through the calendar; absent: so long after each end. */
  readonly due?: readonly number[];
  readonly fixedDelayMs?: number;
  readonly policy: 'parallel' | 'serial-wait' | 'serial-discard' | 'serial-priority';
  /** Infinity: none. */
  readonly limit: number;
}

const ZONES = [
  'Africa/Cairo',
  'Asia/Shanghai',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Tokyo',
  'Europe/Berlin',
  'Europe/London',
  'America/New_York',
  'America/St_Johns',
  'Australia/Lord_Howe',
  'Pacific/Auckland',
  'America/Sao_Paulo',
] as const;
/** Their clocks do not change on this day. */
const STEADY = ZONES.slice(1);
const RULES: readonly Misfire[] = ['fire-once', 'fire-all', 'skip'];

type Rule = (wall: WallMinute) => boolean;
const workday = ({ weekday }: WallMinute): boolean => weekday <= 5;

/** An expression, and what it means in words of the walk. `fixed`: it names times, and one that comes twice counts once. */
const CRONS: readonly (readonly [cron: string, rule: Rule, more?: { fixed?: true; seconds?: readonly number[] }])[] = [
  ['*/30 * * * *', ({ minute }) => minute % 30 === 0],
  ['5 * * * *', ({ minute }) => minute === 5],
  ['30 23 * * *', ({ hour, minute }) => hour === 23 && minute === 30, { fixed: true }],
  ['0 0-9 * * MON-FRI', (wall) => wall.minute === 0 && wall.hour <= 9 && workday(wall), { fixed: true }],
  ['0 0/25 22-23 * * ?', ({ hour, minute }) => hour >= 22 && minute % 25 === 0],
  ['15,45 30 8 * * ?', ({ hour, minute }) => hour === 8 && minute === 30, { fixed: true, seconds: [15, 45] }],
  [
    '0 15 4 ? * 6#5',
    ({ hour, minute, weekday, day }) => hour === 4 && minute === 15 && weekday === 5 && day > 28,
    { fixed: true },
  ],
  ['0 0 5 L-2 * ?', ({ hour, minute, day }) => hour === 5 && minute === 0 && day === 29, { fixed: true }],
  ['0 30 6 LW * ?', ({ hour, minute, day }) => hour === 6 && minute === 30 && day === 29, { fixed: true }],
  [
    '10 5 29 * 0',
    ({ hour, minute, day, weekday }) => hour === 5 && minute === 10 && (day === 29 || weekday === 7),
    { fixed: true },
  ],
  [
    '0 45 3 ? * 6L',
    ({ hour, minute, day, weekday }) => hour === 3 && minute === 45 && weekday === 5 && day > 24,
    { fixed: true },
  ],
  ['0 20 23 15W * ?', () => false, { fixed: true }],
  ['7 2-23/3 * * *', ({ hour, minute }) => minute === 7 && hour >= 2 && (hour - 2) % 3 === 0],
];

const text = (ms: number): string => new Date(ms).toISOString().slice(0, 19).concat('Z');
const BOUNDS = { start: text(DAY.fromMs), end: text(DAY.toMs), misfireThreshold: '45m' };

function workflow(
  name: string,
  index: number,
  trigger: object,
  more: Partial<DayWorkflow> & { minutes?: number } = {},
) {
  const { policy = 'parallel', limit = Infinity, minutes = 2 + (index % 5), ...rest } = more;
  const misfire = RULES[index % RULES.length] ?? 'skip';
  const concurrency = { policy, ...(policy === 'parallel' && limit !== Infinity && { limit }) };
  const task = { uses: 'processor', with: { processor: 'work', args: { minutes } } };
  const definition = {
    name,
    triggers: Object.keys(trigger).length === 0 ? [] : [{ ...BOUNDS, misfire, ...trigger }],
    ...(policy === 'parallel' && limit === Infinity ? {} : { concurrency }),
    tasks: index % 10 === 0 ? { first: task, second: { ...task, needs: ['first'] } } : { only: task },
  };
  return { name, definition, misfire, policy, limit, ...rest } satisfies DayWorkflow;
}

const during = (due: readonly number[]): number[] => due.filter((ms) => ms >= DAY.fromMs && ms <= DAY.toMs);

function cron(index: number): DayWorkflow {
  const [expression, rule, { fixed = false, seconds = [0] } = {}] = CRONS[index % CRONS.length] ?? ['', () => false];
  const zone = ZONES[index % ZONES.length] ?? 'UTC';
  const minutes = minutesOf(zone, DAY.fromMs, DAY.toMs).filter((wall) => rule(wall) && !(fixed && wall.again));
  const due = during(minutes.flatMap(({ ms }) => seconds.map((second) => ms + second * 1000)));
  // One without a time within its bounds would be refused; it begins later.
  const end = due.length === 0 ? { start: '2027-11-05', end: undefined } : {};
  return workflow(`cron-${index}`, index, { cron: expression, timezone: zone, ...end }, { due });
}

function fixedRate(index: number): DayWorkflow {
  const every = [12, 30, 45, 60, 20][index % 5] ?? 60;
  const first = DAY.fromMs + (index % 7) * 60_000;
  const due: number[] = [];
  for (let ms = first; ms <= DAY.toMs; ms += every * 60_000) due.push(ms);
  return workflow(`rate-${index}`, index, { fixedRate: `${every}m`, start: text(first) }, { due });
}

function fixedDelay(index: number): DayWorkflow {
  const minutes = 15 + (index % 6) * 5;
  return workflow(`delay-${index}`, index, { fixedDelay: `${minutes}m` }, { fixedDelayMs: minutes * 60_000 });
}

function once(index: number): DayWorkflow {
  const zone = STEADY[index % STEADY.length] ?? 'UTC';
  const minutes = minutesOf(zone, DAY.fromMs, DAY.toMs);
  const wall = minutes[10 + index * 29];
  if (wall === undefined) throw new Error('the day is too short');
  const two = (value: number): string => String(value).padStart(2, '0');
  const at = `${wall.year}-${two(wall.month)}-${two(wall.day)}T${two(wall.hour)}:${two(wall.minute)}`;
  return workflow(`once-${index}`, index, { at, timezone: zone }, { due: [wall.ms] });
}

function dailyInterval(index: number): DayWorkflow {
  const zone = STEADY[index % STEADY.length] ?? 'UTC';
  const [from, to, every] = [2 + (index % 8), 7 + (index % 9), [20, 35, 50][index % 3] ?? 20];
  const trigger = {
    from: `${String(from).padStart(2, '0')}:10`,
    to: `${String(to + 3).padStart(2, '0')}:00`,
    every: `${every}m`,
  };
  const weekdays = index % 2 === 0 ? ['MON-FRI'] : ['FRI', 'SUN'];
  const due = minutesOf(zone, DAY.fromMs, DAY.toMs)
    .filter((wall) => {
      const at = wall.hour * 60 + wall.minute;
      const listed = index % 2 === 0 ? wall.weekday <= 5 : wall.weekday === 5 || wall.weekday === 7;
      return listed && at >= from * 60 + 10 && at <= (to + 3) * 60 && (at - from * 60 - 10) % every === 0;
    })
    .map(({ ms }) => ms);
  const end = due.length === 0 ? { start: '2027-11-05', end: undefined } : {};
  return workflow(
    `daily-${index}`,
    index,
    { dailyInterval: { ...trigger, weekdays }, timezone: zone, ...end },
    { due },
  );
}

/** Two or three within some minutes of each hour, which take longer than that. They stop early, so that nobody waits for the last of them. */
function crowded(index: number): DayWorkflow {
  const policy = (['serial-wait', 'serial-discard', 'serial-priority', 'parallel'] as const)[index % 4] ?? 'parallel';
  const at = policy === 'parallel' ? [0, 5, 10] : [0, 10];
  const endMs = DAY.toMs - 3 * 3_600_000;
  const due = minutesOf('UTC', DAY.fromMs, endMs).flatMap(({ ms, minute }) => (at.includes(minute) ? [ms] : []));
  const more = { due, policy, limit: policy === 'parallel' ? 2 : 1, minutes: 14 };
  return workflow(
    `crowd-${index}`,
    index,
    { cron: `${at.join(',')} * * * *`, timezone: 'UTC', end: text(endMs) },
    more,
  );
}

const many = (count: number, make: (index: number) => DayWorkflow): DayWorkflow[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Beside them: days that are long past, a leap day among them, three at a time. */
export const BACKFILL = { name: 'backfilled', from: '2024-02-10', to: '2024-03-10', days: 30, parallel: 3 } as const;
export const BACKFILLED = workflow(BACKFILL.name, 1, {}, { minutes: 20 }).definition;

/** The 300 workflows of the day. */
export function workflowsOfTheDay(): DayWorkflow[] {
  return [
    ...many(130, cron),
    ...many(50, fixedRate),
    ...many(40, fixedDelay),
    ...many(20, once),
    ...many(36, dailyInterval),
    ...many(24, crowded),
  ];
}
