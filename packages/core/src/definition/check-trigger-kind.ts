import type { ValuePath } from '../expression/evaluate.ts';
import { cronProblem } from '../time/cron.ts';
import { formatDuration, MAX_DURATION_MS, parseDuration } from '../time/duration.ts';
import { clockMs, localInstant } from '../time/local-time.ts';
import { zoneClock } from '../time/zone-clock.ts';
import type { TriggerFile } from './file-schema.ts';
import { TRIGGER_KINDS } from './file-schema.ts';
import { MIN_FIRE_INTERVAL_MS } from './limits.ts';
import type {
  AtTrigger,
  CronTrigger,
  DailyInterval,
  DailyIntervalTrigger,
  FixedDelayTrigger,
  FixedRateTrigger,
} from './model.ts';
import type { Report } from './report.ts';

type Kind =
  | Pick<CronTrigger, 'cron'>
  | Pick<FixedRateTrigger, 'fixedRateMs'>
  | Pick<FixedDelayTrigger, 'fixedDelayMs'>
  | Pick<AtTrigger, 'at'>
  | Pick<DailyIntervalTrigger, 'dailyInterval'>;

/** What says when a trigger is due; undefined when there is not exactly one such thing. Mistakes are in the report. */
export function readTriggerKind(file: TriggerFile, path: ValuePath, report: Report): Kind | undefined {
  const kinds = TRIGGER_KINDS.filter((kind) => file[kind] !== undefined);
  const [kind, second] = kinds;
  if (kind === undefined) {
    report.add({
      code: 'no-trigger-kind',
      path,
      message: 'a trigger says when it is due: with "cron", "fixedRate", "fixedDelay", "at" or "dailyInterval"',
      suggestion: 'for example cron: "30 2 * * *" (daily at 02:30)',
    });
    return undefined;
  }
  if (second !== undefined) {
    report.add({
      code: 'several-trigger-kinds',
      path: [...path, second],
      atKey: true,
      message: `a trigger is of one kind, and this one has ${kinds.join(' and ')}`,
      suggestion: 'write one trigger for each',
    });
    return undefined;
  }
  if (file.cron !== undefined) return readCron(file.cron, [...path, 'cron'], report);
  if (file.fixedRate !== undefined)
    return { fixedRateMs: readInterval(file.fixedRate, [...path, 'fixedRate'], report) };
  if (file.fixedDelay !== undefined)
    return { fixedDelayMs: readInterval(file.fixedDelay, [...path, 'fixedDelay'], report) };
  if (file.at !== undefined) return { at: readLocalTime(file.at, [...path, 'at'], report) };
  return file.dailyInterval && { dailyInterval: readDaily(file.dailyInterval, [...path, 'dailyInterval'], report) };
}

function readCron(cron: string, path: ValuePath, report: Report): Kind {
  const problem = cronProblem(cron);
  if (problem !== undefined)
    report.add({
      code: 'bad-cron',
      path,
      message: `bad cron expression ${JSON.stringify(cron)}: ${problem}`,
      suggestion: 'for example "30 2 * * *" (daily at 02:30) or "0 30 2 ? * MON-FRI" (Quartz)',
    });
  return { cron: cron.trim().replace(/\s+/g, ' ') };
}

/** Milliseconds between two fires. */
export function readInterval(text: string, path: ValuePath, report: Report): number {
  const ms = readDuration(text, path, report);
  if (ms !== undefined && ms < MIN_FIRE_INTERVAL_MS)
    report.add({
      code: 'interval-too-short',
      path,
      message: `${JSON.stringify(text)} is too short: fires are at least ${formatDuration(MIN_FIRE_INTERVAL_MS)} apart`,
    });
  return ms ?? MIN_FIRE_INTERVAL_MS;
}

/** Milliseconds; undefined, and in the report, when the duration is over ten years. */
export function readDuration(text: string, path: ValuePath, report: Report): number | undefined {
  const ms = parseDuration(text);
  if (ms === undefined)
    report.add({
      code: 'bad-duration',
      path,
      message: `${JSON.stringify(text)} is too long: at most ${formatDuration(MAX_DURATION_MS)}`,
    });
  return ms;
}

/** A local time is the same text in every zone: which instant it means is found out when it is needed. */
function readLocalTime(text: string, path: ValuePath, report: Report): string {
  if (localInstant(text, zoneClock('UTC')) === undefined)
    report.add({ code: 'bad-time', path, message: `there is no such time: ${JSON.stringify(text)}` });
  return text;
}

const WEEKDAYS = ['MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN'];

function readDaily(
  { from, to, every, weekdays }: NonNullable<TriggerFile['dailyInterval']>,
  path: ValuePath,
  report: Report,
): DailyInterval {
  if (clockMs(from) === clockMs(to))
    report.add({
      code: 'empty-interval',
      path: [...path, 'to'],
      message: `from and to are both ${from}: there is no time between them`,
      suggestion: 'for the whole day write from: "00:00" and to: "23:59:59"; for one time a day use cron',
    });
  const everyMs = readInterval(every, [...path, 'every'], report);
  const days =
    weekdays === undefined ? undefined : [...new Set(weekdays.flatMap(weekdayNumbers))].toSorted((a, b) => a - b);
  return { from, to, everyMs, ...(days !== undefined && days.length < 7 && { weekdays: days }) };
}

/** `FRI-MON` is 5, 6, 7, 1: ranges go on over the end of the week. */
export function weekdayNumbers(range: string): number[] {
  const [from = '', to = from] = range.toUpperCase().split('-');
  const first = WEEKDAYS.indexOf(from);
  const length = (WEEKDAYS.indexOf(to) - first + 7) % 7;
  return Array.from({ length: length + 1 }, (_, index) => ((first + index) % 7) + 1);
}
