import type { ValuePath } from '../expression/evaluate.ts';
import { wallDay } from '../time/local-time.ts';
import type { CalendarFile, ExclusionFile } from './calendar-schema.ts';
import { calendarSchema } from './calendar-schema.ts';
import { weekdayNumbers } from './check-trigger-kind.ts';
import { withoutExtensions } from './extensions.ts';
import type { DefinitionIssue } from './issue.ts';
import { checkJsonValue } from './json-value.ts';
import { MAX_CALENDAR_DAYS } from './limits.ts';
import type { CalendarDay, CalendarDefinition, CalendarEntry } from './model-calendar.ts';
import type { Report } from './report.ts';
import { createReport } from './report.ts';
import { readBySchema } from './schema-issues.ts';
import { readSourceText } from './source-text.ts';

export interface CalendarResult {
  /** Absent when any issue is an error. */
  readonly calendar?: CalendarDefinition;
  /** In the order of the text; errors and warnings. */
  readonly issues: readonly DefinitionIssue[];
}

/**
 * Reads a calendar from YAML or JSON text. Its name is the one that it says, else `name`; one that says another is refused.
 * Never throws for bad text; every issue has a line and a column.
 */
export function parseCalendar(text: string, name: string | undefined): CalendarResult {
  const source = readSourceText(text);
  const report = createReport(source.locate);
  const unread = source.value === undefined && source.issues.length > 0;
  const calendar = unread ? undefined : readCalendar(source.value, name, report);
  return result(calendar, [...source.issues, ...report.issues()]);
}

/** The same for an object; its issues have no positions. */
export function calendarFromObject(object: unknown, name: string | undefined): CalendarResult {
  const report = createReport();
  return result(readCalendar(object, name, report), report.issues());
}

function result(calendar: CalendarDefinition | undefined, issues: readonly DefinitionIssue[]): CalendarResult {
  const refused = calendar === undefined || issues.some(({ severity }) => severity === 'error');
  return refused ? { issues } : { calendar, issues };
}

function readCalendar(raw: unknown, name: string | undefined, report: Report): CalendarDefinition | undefined {
  if (!checkJsonValue(raw, report)) return undefined;
  if (raw === null || typeof raw !== 'object' || Array.isArray(raw)) {
    report.add({
      code: 'bad-type',
      path: [],
      message: 'a calendar is a map with "exclude", a list of days without fires',
      suggestion: 'exclude: [{ date: 2026-12-25, name: Christmas Day }]',
    });
    return undefined;
  }
  const file = readBySchema(calendarSchema, withoutExtensionsInLists(raw), [], report);
  if (file === undefined) return undefined;
  const own = readName(file, name, report);
  const days = (file.exclude ?? []).length + (file.include ?? []).length;
  if (days > MAX_CALENDAR_DAYS)
    report.add({
      code: 'too-many-days',
      path: ['exclude'],
      message: `a calendar has at most ${MAX_CALENDAR_DAYS} entries, not ${days}`,
      suggestion: 'a stretch of days is one entry: { from: 2026-07-01, to: 2026-07-14 }',
    });
  const exclude = (file.exclude ?? []).flatMap((entry, index) => readExclusion(entry, ['exclude', index], report));
  const include = (file.include ?? []).map((entry, index) => readDay(entry, ['include', index], report));
  return {
    name: own,
    ...(file.title !== undefined && { title: file.title }),
    ...(file.description !== undefined && { description: file.description }),
    exclude,
    include,
  };
}

function withoutExtensionsInLists(raw: object): unknown {
  const outer = withoutExtensions(raw) as Readonly<Record<string, unknown>>;
  const lists = ['exclude', 'include'].filter((key) => Array.isArray(outer[key]));
  const cleaned = lists.map((key) => [key, (outer[key] as unknown[]).map(withoutExtensions)] as const);
  return { ...outer, ...Object.fromEntries(cleaned) };
}

function readName(file: CalendarFile, wanted: string | undefined, report: Report): string {
  if (file.name === undefined && wanted === undefined)
    report.add({ code: 'missing-key', path: [], message: 'a calendar needs a name', suggestion: 'name: holidays' });
  if (file.name !== undefined && wanted !== undefined && file.name !== wanted)
    report.add({
      code: 'other-name',
      path: ['name'],
      message: `the calendar says that its name is ${JSON.stringify(file.name)}, not ${JSON.stringify(wanted)}`,
    });
  return file.name ?? wanted ?? '';
}

function readDay(
  { date, name }: { readonly date: string; readonly name?: string | undefined },
  path: ValuePath,
  report: Report,
): CalendarDay {
  checkDate(date, [...path, 'date'], report);
  return { date, ...(name !== undefined && { name }) };
}

const KINDS = ['date', 'from', 'yearly', 'weekdays'] as const;

function readExclusion(entry: ExclusionFile, path: ValuePath, report: Report): CalendarEntry[] {
  const kinds = KINDS.filter((kind) => entry[kind] !== undefined);
  const [kind, second] = kinds;
  const name = entry.name === undefined ? {} : { name: entry.name };
  if (kind === undefined || second !== undefined) {
    report.add({
      code: kind === undefined ? 'no-day' : 'several-days',
      path: second === undefined ? path : [...path, second],
      atKey: second !== undefined,
      message:
        kind === undefined
          ? 'an entry says which days it means: with "date", with "from" and "to", with "yearly" or with "weekdays"'
          : `an entry says in one way which days it means, and this one has ${kinds.join(' and ')}`,
      suggestion:
        kind === undefined ? 'for example { date: 2026-12-25, name: Christmas Day }' : 'write one entry for each',
    });
    return [];
  }
  if (entry.to !== undefined && entry.from === undefined) {
    report.add({ code: 'missing-key', path, message: '"to" needs a "from": the first of the days' });
    return [];
  }
  if (entry.date !== undefined) return [readDay({ date: entry.date, name: entry.name }, path, report)];
  if (entry.yearly !== undefined) {
    // A leap year, so that 29 February is a day.
    checkDate(`2024-${entry.yearly}`, [...path, 'yearly'], report, entry.yearly);
    return [{ yearly: entry.yearly, ...name }];
  }
  if (entry.weekdays !== undefined) {
    const weekdays = [...new Set(entry.weekdays.flatMap(weekdayNumbers))].toSorted((a, b) => a - b);
    return [{ weekdays, ...name }];
  }
  return readStretch(entry, path, report).map((stretch) => ({ ...stretch, ...name }));
}

function readStretch(
  { from = '', to }: ExclusionFile,
  path: ValuePath,
  report: Report,
): { from: string; to: string }[] {
  const first = checkDate(from, [...path, 'from'], report);
  if (to === undefined) {
    report.add({
      code: 'missing-key',
      path,
      message: '"from" needs a "to": the last of the days',
      suggestion: `for one day write date: ${from}`,
    });
    return [];
  }
  const last = checkDate(to, [...path, 'to'], report);
  if (first !== undefined && last !== undefined && last < first)
    report.add({
      code: 'to-before-from',
      path: [...path, 'to'],
      message: `the last day ${to} is before the first, ${from}`,
    });
  return [{ from, to }];
}

function checkDate(date: string, path: ValuePath, report: Report, written = date): number | undefined {
  const day = wallDay(date);
  if (day === undefined)
    report.add({ code: 'bad-date', path, message: `there is no such day: ${JSON.stringify(written)}` });
  return day;
}
