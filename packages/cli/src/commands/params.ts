import { didYouMean } from '@keelson/core';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples, withProject } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { CliFailure } from '../failure.ts';
import { parseParams } from '../start-options.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines, remark } from '../terminal/terminal.ts';
import { plain } from '../terminal/text.ts';

interface ParamsOptions extends ConnectedOptions {
  readonly project: string;
}

export function define(command: Command, terminal: Terminal): void {
  command.description("A project's values for parameters. They stand below those of a workflow and of a start.");
  withProject(connected(command.command('list')))
    .description('Lists them.')
    .action(async (options: ParamsOptions) => list(terminal, options));
  withProject(connected(command.command('set')))
    .argument('<name=value...>', 'NAME=TEXT, or NAME:=JSON for a typed value')
    .description('Sets some and keeps the others.')
    .action(async (values: string[], options: ParamsOptions) =>
      change(terminal, options, (before) => ({ ...before, ...parseParams(values) })),
    );
  withProject(connected(command.command('delete')))
    .argument('<name...>', 'names')
    .description('Deletes some and keeps the others.')
    .action(async (names: string[], options: ParamsOptions) =>
      change(terminal, options, (before) => without(before, names)),
    );
  examples(command, [['keelson params set region=eu limit:=100 -p demo', 'a text and a number']]);
}

type Params = ReturnType<typeof parseParams>;

function without(before: Params, names: readonly string[]): Params {
  const unknown = names.find((name) => !Object.hasOwn(before, name));
  if (unknown !== undefined) {
    const hint = didYouMean(unknown, Object.keys(before));
    throw new CliFailure(
      'unknown-param',
      `the project has no parameter ${JSON.stringify(unknown)}`,
      hint === undefined ? {} : { advice: hint },
    );
  }
  return Object.fromEntries(Object.entries(before).filter(([name]) => !names.includes(name)));
}

async function list(terminal: Terminal, options: ParamsOptions): Promise<void> {
  const client = await connect(terminal, options);
  const params = await client.getProjectParams(options.project);
  if (options.json === true) return printJson(terminal, params);
  const entries = Object.entries(params);
  if (entries.length === 0) return remark(terminal, `Project ${options.project} has no parameters`);
  printLines(
    terminal,
    tableLines(
      terminal,
      ['NAME', 'VALUE'],
      entries.map(([name, value]) => [plain(name), plain(JSON.stringify(value))]),
    ),
  );
}

async function change(terminal: Terminal, options: ParamsOptions, edit: (before: Params) => Params): Promise<void> {
  const client = await connect(terminal, options);
  const params = edit(await client.getProjectParams(options.project));
  await client.putProjectParams(options.project, params);
  if (options.json === true) printJson(terminal, params);
  else printLines(terminal, `Project ${options.project} has ${Object.keys(params).length} parameters now`);
}
