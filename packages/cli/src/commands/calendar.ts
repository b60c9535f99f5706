import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples, withProject } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { CliFailure, systemErrorCode, usageFailure } from '../failure.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines, remark } from '../terminal/terminal.ts';
import { counted, localTime, plain } from '../terminal/text.ts';

interface CalendarOptions extends ConnectedOptions {
  readonly project: string;
}

export function define(command: Command, terminal: Terminal): void {
  command.description('Calendars of a project: sets of days on which triggers that name them do not fire.');
  withProject(connected(command.command('set')))
    .argument('<name>', 'the name of the calendar')
    .argument('[file]', 'its YAML or JSON (default: standard input)')
    .description('Makes or replaces a calendar. The next times of schedules that name it are computed anew.')
    .action(async (name: string, file: string | undefined, options: CalendarOptions) =>
      set(terminal, name, file, options),
    );
  withProject(connected(command.command('list')))
    .description('Lists the calendars.')
    .action(async (options: CalendarOptions) => list(terminal, options));
  withProject(connected(command.command('show')))
    .argument('<name>', 'the name of the calendar')
    .description('Shows the days of a calendar.')
    .action(async (name: string, options: CalendarOptions) => show(terminal, name, options));
  withProject(connected(command.command('delete')))
    .argument('<name>', 'the name of the calendar')
    .description('Deletes a calendar that no schedule names.')
    .action(async (name: string, options: CalendarOptions) => remove(terminal, name, options));
  examples(command, [
    ['keelson calendar set holidays holidays.yaml -p demo', 'from a file'],
    ['keelson calendar show holidays -p demo --json', ''],
  ]);
}

async function set(
  terminal: Terminal,
  name: string,
  file: string | undefined,
  options: CalendarOptions,
): Promise<void> {
  const source = await sourceOf(terminal, name, file);
  const client = await connect(terminal, options);
  const { moved } = await client.putCalendar(options.project, name, source);
  if (options.json === true) return printJson(terminal, { project: options.project, name, moved });
  const next = moved === 0 ? '' : `; ${counted(moved, 'schedule')} got another next time`;
  printLines(terminal, `Calendar ${name} of project ${options.project} is set${next}`);
}

async function sourceOf(terminal: Terminal, name: string, file: string | undefined): Promise<string> {
  if (file === undefined || file === '-') {
    const source = await readAll(terminal.stdin);
    if (source.trim() !== '') return source;
    throw usageFailure('nothing came on standard input', `keelson calendar set ${name} FILE`);
  }
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CliFailure('unreadable-file', `${file} cannot be read: ${systemErrorCode(error) ?? String(error)}`);
  }
}

async function list(terminal: Terminal, options: CalendarOptions): Promise<void> {
  const client = await connect(terminal, options);
  const { items } = await client.listCalendars(options.project);
  if (options.json === true) return printJson(terminal, items);
  if (items.length === 0) return remark(terminal, `Project ${options.project} has no calendars`);
  const rows = items.map(({ name, title, schedules, updatedAt, updatedBy }) => [
    name,
    String(schedules),
    localTime(updatedAt),
    plain(updatedBy),
    plain(title ?? ''),
  ]);
  printLines(terminal, tableLines(terminal, ['NAME', 'SCHEDULES', 'SET', 'BY', 'TITLE'], rows));
}

interface Entry {
  readonly name?: string;
  readonly date?: string;
  readonly from?: string;
  readonly to?: string;
  readonly yearly?: string;
  readonly weekdays?: readonly number[];
}

const WEEKDAYS = ['', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN'];

const daysOf = ({ date, from, to, yearly, weekdays }: Entry): string =>
  date ??
  (from !== undefined
    ? `${from} to ${to}`
    : yearly !== undefined
      ? `every ${yearly}`
      : (weekdays ?? []).map((day) => WEEKDAYS[day]).join(', '));

async function show(terminal: Terminal, name: string, options: CalendarOptions): Promise<void> {
  const client = await connect(terminal, options);
  const found = await client.getCalendar(options.project, name);
  if (options.json === true) return printJson(terminal, found);
  const { exclude, include } = found.definition as unknown as { exclude: Entry[]; include: Entry[] };
  const rows = [
    ...exclude.map((entry) => ['no fires', daysOf(entry), plain(entry.name ?? '')]),
    ...include.map((entry) => ['fires all the same', daysOf(entry), plain(entry.name ?? '')]),
  ];
  printLines(terminal, tableLines(terminal, ['', 'DAYS', 'NAME'], rows));
}

async function remove(terminal: Terminal, name: string, options: CalendarOptions): Promise<void> {
  const client = await connect(terminal, options);
  await client.deleteCalendar(options.project, name);
  if (options.json === true) printJson(terminal, { project: options.project, name });
  else printLines(terminal, `Calendar ${name} of project ${options.project} is deleted`);
}
