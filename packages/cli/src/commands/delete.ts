import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { CliFailure } from '../failure.ts';
import { parseWorkflowName } from '../names.ts';
import { canAsk, confirm } from '../operations/confirm.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines } from '../terminal/terminal.ts';

interface DeleteOptions extends ConnectedOptions {
  readonly yes?: true;
}

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<name>', 'the [project/]workflow')
    .description(
      'Deletes a workflow with its schedules. Its instances and their history stay until retention removes them; one under way, or a backfill, refuses it. The same name can be applied again and goes on counting versions.',
    )
    .option('-y, --yes', 'do not ask, also on a terminal')
    .action(async (name: string, options: DeleteOptions) => remove(terminal, name, options));
  examples(command, [['keelson delete demo/daily-sales', 'nothing starts it any more']]);
}

async function remove(terminal: Terminal, text: string, options: DeleteOptions): Promise<void> {
  const { project, workflow } = parseWorkflowName(text);
  const client = await connect(terminal, options);
  if (options.yes !== true && options.json !== true && canAsk(terminal)) {
    if (!(await confirm(terminal, `delete ${project}/${workflow} and its schedules?`)))
      throw new CliFailure('not-confirmed', 'nothing was done');
  }
  await client.deleteWorkflow(project, workflow);
  if (options.json === true) printJson(terminal, { project, workflow });
  else printLines(terminal, `Workflow ${project}/${workflow} is deleted`);
}
