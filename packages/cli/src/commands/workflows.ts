import type { Workflow } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import { allItems } from '@keelson/sdk/client';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines, remark } from '../terminal/terminal.ts';
import { localTime, plain } from '../terminal/text.ts';

interface WorkflowsOptions extends ConnectedOptions {
  readonly project?: string;
  readonly search?: string;
}

const LARGEST_PAGE = 500;

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .option('-p, --project <name>', 'only of this project (default: all)')
    .option('-s, --search <text>', 'only those whose name contains this')
    .action(async (options: WorkflowsOptions) => workflows(terminal, options));
  examples(command, [['keelson workflows -p demo', 'those of the project demo']]);
}

async function workflows(terminal: Terminal, options: WorkflowsOptions): Promise<void> {
  const client = await connect(terminal, options);
  const items: Workflow[] = [];
  for (const project of options.project === undefined ? await projectNames(client) : [options.project]) {
    for await (const item of allItems((cursor) =>
      client.listWorkflows(project, { cursor, limit: LARGEST_PAGE, search: options.search }),
    ))
      items.push(item);
  }
  if (options.json === true) return printJson(terminal, items);
  if (items.length === 0) return remark(terminal, 'There are no workflows yet; "keelson apply FILE" publishes one');
  const rows = items.map((item) => [
    `${item.project}/${item.name}`,
    `v${item.version}`,
    item.triggers.map(plain).join(', '),
    localTime(item.updatedAt),
    plain(item.title ?? item.description ?? ''),
  ]);
  printLines(terminal, tableLines(terminal, ['WORKFLOW', 'VERSION', 'TRIGGERS', 'APPLIED', 'TITLE'], rows));
}

async function projectNames(client: KeelsonClient): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of allItems((cursor) => client.listProjects({ cursor, limit: LARGEST_PAGE })))
    names.push(name);
  return names;
}
