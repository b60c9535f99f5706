import type { AppliedWorkflow } from '@keelson/protocol';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { planBundle, prepareToPublish } from '../definition/publish.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines } from '../terminal/terminal.ts';
import { counted, plain } from '../terminal/text.ts';

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<path...>', 'definition files or directories')
    .description('Says what "keelson apply" would change. Nothing is stored.')
    .action(async (paths: string[], options: ConnectedOptions) => plan(terminal, paths, options));
  examples(command, [['keelson plan flows/', 'compare all definitions below flows/ with what the server has']]);
}

async function plan(terminal: Terminal, paths: readonly string[], options: ConnectedOptions): Promise<void> {
  const json = options.json === true;
  const client = await connect(terminal, options);
  const answer = await planBundle(client, terminal, await prepareToPublish(terminal, paths, json), json);
  if (json) return printJson(terminal, answer);
  const paint = painter(terminal.stdout, terminal.env);
  printLines(
    terminal,
    answer.workflows.flatMap((workflow) => planLines(workflow, paint)),
  );
  const uploads = answer.missingBlobs.length === 0 ? '' : `; ${counted(answer.missingBlobs.length, 'file')} to upload`;
  printLines(terminal, `${summary(answer.workflows)}${uploads}. Nothing was stored.`);
}

const MOST_CHANGES = 20;
const SIGNS = { added: ['green', '+'], removed: ['red', '-'], changed: ['yellow', '~'] } as const;

function planLines({ project, workflow, action, version, changes }: AppliedWorkflow, paint: Paint): string[] {
  const name = paint('bold', `${project}/${workflow}`);
  if (action === 'unchanged') return [`  ${name}  unchanged ${paint('dim', `(v${version})`)}`];
  if (action === 'create') return [`${paint('green', '+')} ${name}  new ${paint('dim', `(v${version})`)}`];
  const shown = changes
    .slice(0, MOST_CHANGES)
    .map(({ path, kind }) => `    ${paint(SIGNS[kind][0], SIGNS[kind][1])} ${plain(path)}`);
  const more = changes.length > MOST_CHANGES ? [paint('dim', `    … and ${changes.length - MOST_CHANGES} more`)] : [];
  return [
    `${paint('yellow', '~')} ${name}  changed ${paint('dim', `(v${version - 1} → v${version})`)}`,
    ...shown,
    ...more,
  ];
}

function summary(workflows: readonly AppliedWorkflow[]): string {
  const count = (action: AppliedWorkflow['action']) =>
    workflows.filter((workflow) => workflow.action === action).length;
  return `${count('create')} to create, ${count('update')} to change, ${count('unchanged')} unchanged`;
}
