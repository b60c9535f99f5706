import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { CliFailure } from '../failure.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines } from '../terminal/terminal.ts';
import { watchToEnd } from '../watch/watch-instance.ts';

interface StopOptions extends ConnectedOptions {
  readonly wait?: true;
}

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<id>', 'the id of an instance')
    .description(
      'Stops an instance: nothing new starts, what runs is killed. "stopped" only when nothing of it can run any more.',
    )
    .option('-w, --wait', 'wait until it has ended')
    .action(async (id: string, options: StopOptions) => stop(terminal, id, options));
  examples(command, [['keelson stop 4711 --wait', 'stop it and see it end']]);
}

async function stop(terminal: Terminal, id: string, options: StopOptions): Promise<void> {
  const json = options.json === true;
  const client = await connect(terminal, options);
  const answer = await client.stopInstance(id);
  if (options.wait !== true) {
    if (json) return printJson(terminal, answer);
    return printLines(
      terminal,
      answer.outcome === 'requested' ? `Instance ${id} is being stopped` : `Instance ${id} was being stopped already`,
    );
  }
  const ended = await watchToEnd(client, id, terminal, { follow: false, json });
  if (json) printJson(terminal, ended);
  // It may have reached its own end first.
  if (ended.state !== 'stopped')
    throw new CliFailure('ended-otherwise', `instance ${id} was not stopped: it ended as ${ended.state} before`);
}
