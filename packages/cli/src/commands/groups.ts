import { parseDuration } from '@keelson/core';
import type { WorkerGroup } from '@keelson/protocol';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples, workerGroup } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { usageFailure } from '../failure.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines } from '../terminal/terminal.ts';
import { elapsedText, plain } from '../terminal/text.ts';

interface SetOptions extends ConnectedOptions {
  readonly lease: string;
}

export function define(command: Command, terminal: Terminal): void {
  command.description(
    'Worker groups. A worker that cannot renew its lease kills its tasks before the lease ends, and only then they run again.',
  );
  connected(command.command('list'))
    .description('Lists the worker groups.')
    .action(async (options: ConnectedOptions) => list(terminal, options));
  connected(command.command('set'))
    .argument('<name>', 'the group; it is made if there is none', workerGroup)
    .description('Sets the lease of a group, 10 s to 10 min, for workers that register from now on.')
    .requiredOption('--lease <duration>', 'a long one rides out cuts, a short one lets lost tasks run again sooner')
    .action(async (name: string, options: SetOptions) => set(terminal, name, options));
  examples(command, [
    ['keelson groups list', ''],
    ['keelson groups set default --lease 30s', 'then restart the workers, one by one'],
  ]);
}

async function list(terminal: Terminal, options: ConnectedOptions): Promise<void> {
  const client = await connect(terminal, options);
  const { items } = await client.listWorkerGroups();
  if (options.json === true) return printJson(terminal, items);
  const rows = items.map(({ name, leaseMs, workers }: WorkerGroup) => [
    plain(name),
    elapsedText(leaseMs),
    String(workers),
  ]);
  printLines(terminal, tableLines(terminal, ['GROUP', 'LEASE', 'WORKERS'], rows));
}

async function set(terminal: Terminal, name: string, { lease, ...options }: SetOptions): Promise<void> {
  if (parseDuration(lease) === undefined)
    throw usageFailure(`--lease ${JSON.stringify(lease)} is no duration`, 'a duration is 30s, 2m or the like');
  const client = await connect(terminal, options);
  const group = await client.putWorkerGroup(name, { lease });
  if (options.json === true) return printJson(terminal, group);
  printLines(terminal, `Workers of ${name} that register from now on have a lease of ${elapsedText(group.leaseMs)}`);
}
