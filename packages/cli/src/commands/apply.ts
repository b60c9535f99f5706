import type { AppliedWorkflow } from '@keelson/protocol';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { prepareToPublish, publishBundle } from '../definition/publish.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines } from '../terminal/terminal.ts';

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<path...>', 'definition files or directories')
    .description(
      'Publishes workflow definitions, all or nothing: *.yaml, *.yml and *.json files, and modules (.ts, .js) that export workflows by default. ' +
        'Files that they name are uploaded, modules of tasks are bundled with their imports. The same content again makes no new version.',
    )
    .action(async (paths: string[], options: ConnectedOptions) => apply(terminal, paths, options));
  examples(command, [
    ['keelson apply flow.yaml', 'publish one workflow'],
    ['keelson apply flows/ flow.ts', 'publish a directory and a module together'],
  ]);
}

async function apply(terminal: Terminal, paths: readonly string[], options: ConnectedOptions): Promise<void> {
  const json = options.json === true;
  const client = await connect(terminal, options);
  const answer = await publishBundle(client, terminal, await prepareToPublish(terminal, paths, json), json);
  if (json) return printJson(terminal, answer);
  const paint = painter(terminal.stdout, terminal.env);
  printLines(
    terminal,
    answer.workflows.map((workflow) => appliedLine(workflow, paint)),
  );
}

function appliedLine({ project, workflow, action, version }: AppliedWorkflow, paint: Paint): string {
  const name = paint('bold', `${project}/${workflow}`);
  if (action === 'unchanged') return `${paint('dim', '=')} ${name}  unchanged, version ${version}`;
  return `${paint('green', '✔')} ${name}  created version ${version}`;
}
