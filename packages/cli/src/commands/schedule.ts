import type { Fire, RestScheduleEvent, Schedule } from '@keelson/protocol';
import { MAX_PREVIEW } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import { allItems } from '@keelson/sdk/client';
import type { Command } from 'commander';
import { Option } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples, integer } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { CliFailure, usageFailure } from '../failure.ts';
import { parseWorkflowName } from '../names.ts';
import { triggerText } from '../terminal/trigger-text.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines, remark } from '../terminal/terminal.ts';
import { localTime, plain } from '../terminal/text.ts';
import { preview } from './schedule-preview.ts';

const STATES = ['active', 'awaiting', 'paused', 'disabled', 'ended'] as const;
const OUTCOMES = ['fired', 'misfired', 'skipped', 'failed'] as const;
const LARGEST_PAGE = 500;

interface ListOptions extends ConnectedOptions {
  readonly project?: string;
  readonly state?: Schedule['state'];
}

interface TriggerOptions extends ConnectedOptions {
  readonly trigger?: string;
}

interface FiresOptions extends TriggerOptions {
  readonly outcome?: Fire['outcome'];
  readonly from?: string;
  readonly to?: string;
  readonly count: number;
}

interface PreviewFlags extends TriggerOptions {
  readonly from?: string;
  readonly count: number;
}

const ONE_TRIGGER = ['-t, --trigger <id>', 'one of its triggers'] as const;

export function define(command: Command, terminal: Terminal): void {
  command.description('What starts workflows by the clock: their triggers, as masters carry them out.');
  connected(command.command('list'))
    .argument('[name]', '[project/]workflow (default: all)')
    .description('Lists schedules with their next time and what became of the last one.')
    .option('-p, --project <name>', 'only of this project')
    .addOption(new Option('-s, --state <state>', 'only those in this state').choices(STATES))
    .action(async (name: string | undefined, options: ListOptions) => list(terminal, name, options));
  connected(command.command('preview'))
    .argument('<name-or-file>', '[project/]workflow, or a definition file')
    .description('Shows the next times in their zone and in UTC, and why others are left out.')
    .option(...ONE_TRIGGER)
    .option('--from <time>', 'from this time on (default: now)')
    .option('-n, --count <number>', 'so many of each trigger', integer(1, MAX_PREVIEW), 10)
    .action(async (target: string, { from, ...options }: PreviewFlags) =>
      preview(terminal, target, { ...options, from: timeOf('--from', from) ?? new Date().toISOString() }),
    );
  for (const what of ['pause', 'resume'] as const)
    connected(command.command(what))
      .argument('<name>', '[project/]workflow')
      .description(DESCRIPTIONS[what])
      .option(...ONE_TRIGGER)
      .action(async (name: string, options: TriggerOptions) => change(terminal, what, name, options));
  connected(command.command('fires'))
    .argument('<name>', '[project/]workflow')
    .description('Says what became of the times of a schedule, latest first, and why there was no instance.')
    .option(...ONE_TRIGGER)
    .addOption(new Option('-o, --outcome <outcome>', 'only these').choices(OUTCOMES))
    .option('--from <time>', 'due at this time or later (RFC 3339)')
    .option('--to <time>', 'due before this time (RFC 3339)')
    .option('-n, --count <number>', 'at most so many', integer(1, LARGEST_PAGE), 20)
    .action(async (name: string, options: FiresOptions) => fires(terminal, name, options));
  examples(command, [
    ['keelson schedule preview flow.yaml -n 5', 'the next 5 times of a file that is not applied yet'],
    ['keelson schedule list -p demo', 'next time and last fire of each'],
    ['keelson schedule pause demo/daily-sales', 'no fires until it is resumed, whatever is applied'],
    ['keelson schedule fires demo/daily-sales --outcome failed', 'why there was no instance'],
  ]);
}

const DESCRIPTIONS = {
  pause: 'Pauses the schedules of a workflow. It outlives every version; instances that run go on.',
  resume: 'Resumes the schedules of a workflow. They count from now: what was due meanwhile is not made up for.',
} as const;

async function list(terminal: Terminal, name: string | undefined, options: ListOptions): Promise<void> {
  const named = name === undefined ? { project: options.project } : parseWorkflowName(name);
  const client = await connect(terminal, options);
  const items: Schedule[] = [];
  const filter = { ...named, state: options.state, limit: LARGEST_PAGE };
  for await (const item of allItems((cursor) => client.listSchedules({ ...filter, cursor }))) items.push(item);
  if (options.json === true) return printJson(terminal, items);
  if (items.length === 0) return remark(terminal, 'There are no such schedules; a schedule comes with a trigger');
  const rows = items.map((item) => [
    `${item.project}/${item.workflow}`,
    plain(triggerText(item)),
    item.state,
    item.nextDue === null ? '' : localTime(item.nextDue),
    item.lastFire === null ? '' : `${item.lastFire.outcome} ${localTime(item.lastFire.dueAt)}`,
    plain(item.lastError ?? ''),
  ]);
  printLines(terminal, tableLines(terminal, ['WORKFLOW', 'TRIGGER', 'STATE', 'NEXT', 'LAST', 'ERROR'], rows));
}

async function change(
  terminal: Terminal,
  what: 'pause' | 'resume',
  name: string,
  { trigger, ...options }: TriggerOptions,
): Promise<void> {
  const { project, workflow } = parseWorkflowName(name);
  const client = await connect(terminal, options);
  const items = await (what === 'pause' ? client.pauseSchedules : client.resumeSchedules)(project, workflow, trigger);
  if (options.json === true) return printJson(terminal, items);
  const done = what === 'pause' ? 'paused' : 'resumed';
  const was = what === 'pause' ? 'is paused already' : 'is not paused';
  printLines(
    terminal,
    items.map((item) => {
      const next =
        what === 'pause' ? '' : item.nextDue === null ? ', with no next time' : `, next ${localTime(item.nextDue)}`;
      return `Trigger ${plain(item.trigger)} of ${project}/${workflow} ${item.changed ? `is ${done}` : was}${next}`;
    }),
  );
}

async function fires(
  terminal: Terminal,
  name: string,
  { trigger, outcome, from, to, count, ...options }: FiresOptions,
): Promise<void> {
  const range = { from: timeOf('--from', from), to: timeOf('--to', to) };
  const client = await connect(terminal, options);
  const schedule = await theSchedule(client, name, trigger);
  const { items, events } = await client.listFires(schedule.id, { outcome, ...range, limit: count });
  if (options.json === true) return printJson(terminal, { schedule, fires: items, events });
  if (items.length === 0) remark(terminal, 'There are no such fires');
  else
    printLines(
      terminal,
      tableLines(
        terminal,
        ['DUE', 'OUTCOME', 'INSTANCE', 'REASON'],
        items.map(({ dueAt, outcome: what, instanceId, reason }) => [
          localTime(dueAt),
          what,
          instanceId ?? '',
          plain(reason?.message ?? ''),
        ]),
      ),
    );
  if (events.length > 0)
    printLines(terminal, ['', ...tableLines(terminal, ['CHANGED', 'WHAT', 'BY'], events.map(eventRow))]);
}

const eventRow = ({ at, kind, by, detail }: RestScheduleEvent): string[] => {
  const about = typeof detail?.['error'] === 'string' ? `: ${detail['error']}` : '';
  return [localTime(at), plain(`${kind}${about}`), plain(by)];
};

function timeOf(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const date = new Date(text);
  if (Number.isNaN(date.getTime()))
    throw usageFailure(
      `${option} ${JSON.stringify(text)} is no time`,
      'a time is 2026-12-01T08:00:00+01:00 or the like',
    );
  return date.toISOString();
}

/** The only trigger of a workflow, or the one that is named. */
async function theSchedule(client: KeelsonClient, name: string, trigger: string | undefined): Promise<Schedule> {
  const { items } = await client.listSchedules({ ...parseWorkflowName(name), trigger });
  const [first] = items;
  if (first === undefined)
    throw new CliFailure('unknown-schedule', `${name} has no such trigger; keelson schedule list ${name} shows them`);
  if (items.length > 1)
    throw usageFailure(
      `${name} has ${items.length} triggers`,
      `add --trigger and one of ${items.map((one) => one.trigger).join(', ')}`,
    );
  return first;
}
