import type { Instance } from '@keelson/protocol';
import { INSTANCE_STATES, MAX_PAGE } from '@keelson/protocol';
import { allItems } from '@keelson/sdk/client';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples, integer } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { begunBy, readFilter } from '../operations/selection.ts';
import type { FilterOptions } from '../operations/selection.ts';
import { stateSymbol, stateText } from '../terminal/states.ts';
import { tableLines } from '../terminal/table.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines, remark } from '../terminal/terminal.ts';
import { elapsedText, localTime, plain } from '../terminal/text.ts';

interface InstancesOptions extends ConnectedOptions, Omit<FilterOptions, 'workflow'> {
  readonly limit: number;
}

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('[name]', 'only of this [project/]workflow')
    .option('-p, --project <name>', 'those of this project')
    .option('-s, --state <state>', `those in this state: ${INSTANCE_STATES.join(', ')}`);
  begunBy(command)
    .option('-n, --limit <n>', 'how many at most', integer(1, 100_000), 20)
    .action(async (name: string | undefined, options: InstancesOptions) => instances(terminal, name, options));
  examples(command, [
    ['keelson instances', 'the newest 20'],
    ['keelson instances demo/daily-sales --state failed', 'those of one workflow that failed'],
    ['keelson instances --trigger schedule --run-from 2026-03-01', 'what schedules have begun for March and later'],
  ]);
}

async function instances(terminal: Terminal, name: string | undefined, options: InstancesOptions): Promise<void> {
  const filter = readFilter({ ...options, ...(name !== undefined && { workflow: name }) });
  const client = await connect(terminal, options);
  const items: Instance[] = [];
  let more = false;
  const limit = Math.min(options.limit, MAX_PAGE);
  for await (const item of allItems((cursor) => client.listInstances({ ...filter, limit, cursor }))) {
    more = items.length === options.limit;
    if (more) break;
    items.push(item);
  }
  if (options.json === true) return printJson(terminal, items);
  if (items.length === 0) return remark(terminal, 'There are no such instances');
  const paint = painter(terminal.stdout, terminal.env);
  printLines(
    terminal,
    tableLines(
      terminal,
      ['ID', 'WORKFLOW', 'STATE', 'RUN TIME', 'STARTED', 'TOOK', 'REASON'],
      items.map((item) => row(item, paint, Date.now())),
    ),
  );
  if (more) remark(terminal, `There are more; --limit N shows them`);
}

function row(item: Instance, paint: Paint, now: number): string[] {
  const took = (item.endedAt === null ? now : Date.parse(item.endedAt)) - Date.parse(item.begunAt);
  return [
    item.id,
    `${item.project}/${item.workflow} ${paint('dim', `v${item.version}`)}`,
    `${stateSymbol(item.state, paint)} ${stateText(item.state, paint)}`,
    localTime(item.runTime),
    localTime(item.begunAt),
    elapsedText(took),
    item.reason === null ? '' : plain(item.reason.message),
  ];
}
