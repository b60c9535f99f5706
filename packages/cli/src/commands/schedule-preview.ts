import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { compileCalendar, formatDuration, previewTrigger } from '@keelson/core';
import type { Calendar, CalendarDefinition, TriggerDefinition } from '@keelson/core';
import type { RestTriggerPreview } from '@keelson/protocol';
import type { ConnectedOptions } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { findDefinitions } from '../definition/find-definitions.ts';
import { prepare } from '../definition/prepare.ts';
import { showIssues } from '../definition/show-issues.ts';
import { AlreadyShown, CliFailure } from '../failure.ts';
import { parseWorkflowName } from '../names.ts';
import { tableLines } from '../terminal/table.ts';
import { triggerText } from '../terminal/trigger-text.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines, remark } from '../terminal/terminal.ts';
import { plain } from '../terminal/text.ts';

export interface PreviewOptions extends ConnectedOptions {
  /** RFC 3339 in UTC. */
  readonly from: string;
  readonly count: number;
  readonly trigger?: string | undefined;
}

/** Shows the next times of a workflow that the server has, or of a definition file. */
export async function preview(terminal: Terminal, target: string, options: PreviewOptions): Promise<void> {
  const isFile = await stat(resolve(terminal.cwd, target)).then(
    (found) => found.isFile(),
    () => false,
  );
  const items = isFile ? await ofFile(terminal, target, options) : await ofWorkflow(terminal, target, options);
  if (options.json === true) return printJson(terminal, items);
  if (items.length === 0) return remark(terminal, `${target} has no triggers`);
  for (const [index, item] of items.entries())
    printLines(terminal, [...(index > 0 ? [''] : []), ...previewLines(terminal, item)]);
}

async function ofWorkflow(terminal: Terminal, name: string, options: PreviewOptions): Promise<RestTriggerPreview[]> {
  const { project, workflow } = parseWorkflowName(name);
  const client = await connect(terminal, options);
  const { from, count, trigger } = options;
  return (await client.previewSchedules(project, workflow, { from, count, trigger })).items;
}

async function ofFile(terminal: Terminal, path: string, options: PreviewOptions): Promise<RestTriggerPreview[]> {
  const prepared = await prepare(terminal.cwd, (await findDefinitions(terminal.cwd, [path])).definitions);
  if (prepared.issues.some(({ severity }) => severity === 'error')) {
    showIssues(terminal, prepared, prepared.issues);
    throw new AlreadyShown();
  }
  const items: RestTriggerPreview[] = [];
  for (const { definition } of prepared.workflows) {
    const triggers = definition.triggers.filter(({ id }) => options.trigger === undefined || id === options.trigger);
    const calendars = await calendarsOf(terminal, definition.project, triggers, options);
    for (const trigger of triggers) items.push(fromFile(trigger, calendars, options));
  }
  if (items.length === 0 && options.trigger !== undefined)
    throw new CliFailure('unknown-schedule', `${path} has no trigger ${options.trigger}`);
  return items;
}

function fromFile(
  trigger: TriggerDefinition,
  calendars: ReadonlyMap<string, Calendar>,
  { from, count }: PreviewOptions,
): RestTriggerPreview {
  const found = previewTrigger(trigger, Date.parse(from), count, calendars);
  const definition = JSON.parse(JSON.stringify(trigger)) as RestTriggerPreview['definition'];
  return { ...found, definition, unknownCalendars: [...found.unknownCalendars], rows: [...found.rows] };
}

/** Calendars are the project's: only where a file names some is the server asked. */
async function calendarsOf(
  terminal: Terminal,
  project: string,
  triggers: readonly TriggerDefinition[],
  options: ConnectedOptions,
): Promise<ReadonlyMap<string, Calendar>> {
  const names = [...new Set(triggers.flatMap(({ calendars }) => calendars ?? []))];
  if (names.length === 0) return new Map();
  const client = await connect(terminal, options);
  const { items } = await client.listCalendars(project);
  const wanted = items.filter(({ name }) => names.includes(name));
  // What a server gives out is normalised: it is the model, not the file that somebody wrote.
  return new Map(
    wanted.map(({ name, definition }) => [name, compileCalendar(definition as unknown as CalendarDefinition)]),
  );
}

function previewLines(terminal: Terminal, item: RestTriggerPreview): string[] {
  const { timezone, rows, jitterMs, unknownCalendars } = item;
  const notes = [
    ...(item.enabled ? [] : ['it is disabled: none of these fires']),
    ...(jitterMs > 0 ? [`each starts up to ${formatDuration(jitterMs)} later (jitter)`] : []),
    ...unknownCalendars.map((name) => `there is no calendar ${plain(name)}: its days are not left out here`),
  ];
  const title = plain(triggerText(item));
  if (rows.length === 0) return [title, ...notes, 'no time follows'];
  const table = rows.map(({ dueAt, local, leftOut, message }) => [
    localText(local),
    dueAt.replace(/\.000Z$/, 'Z'),
    plain(`${leftOut === undefined ? '' : 'left out: '}${message ?? ''}`),
  ]);
  return [title, ...notes, ...tableLines(terminal, [plain(timezone).toUpperCase(), 'UTC', ''], table)];
}

/** `2026-11-21T02:30:00+08:00` as `Sat 2026-11-21 02:30:00 +08:00`. */
function localText(local: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T([\d:.]+)(Z|[+-][\d:]+)$/.exec(local);
  if (match === null) return local;
  const weekday = new Date(`${match[1]}T00:00:00Z`).toLocaleDateString('en-US', { weekday: 'short', timeZone: 'UTC' });
  return `${weekday} ${match[1]} ${match[2]} ${match[3] === 'Z' ? '+00:00' : match[3]}`;
}
