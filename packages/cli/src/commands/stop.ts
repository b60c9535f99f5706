import type { Command } from 'commander';
import { connected, examples } from '../command.ts';
import { CliFailure } from '../failure.ts';
import type { OperateOptions } from '../operations/operate.ts';
import { operate } from '../operations/operate.ts';
import { selecting } from '../operations/selection.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson } from '../terminal/terminal.ts';
import { watchToEnd } from '../watch/watch-instance.ts';

export function define(command: Command, terminal: Terminal): void {
  selecting(connected(command))
    .argument('[ids...]', 'ids of instances')
    .description(
      'Stops instances: nothing new starts, what runs is killed. "stopped" only when nothing of it can run any more.',
    )
    .option('-w, --wait', 'wait until it has ended')
    .action(async (ids: string[], options: OperateOptions) => stop(terminal, ids, options));
  examples(command, [
    ['keelson stop 4711 --wait', 'stop it and see it end'],
    ['keelson stop 4711 4712', 'several; a line for each'],
    ['keelson stop --project demo --state running --dry-run', 'what would be stopped?'],
  ]);
}

async function stop(terminal: Terminal, ids: readonly string[], options: OperateOptions): Promise<void> {
  const json = options.json === true;
  await operate(terminal, ids, options, {
    asked: { operation: 'stop' },
    ask: (client, id) => client.stopInstance(id),
    words: ({ id, outcome }) =>
      `Instance ${id} ${outcome === 'requested' ? 'is being stopped' : 'was being stopped already'}`,
    wait: async (client, { id }) => {
      const ended = await watchToEnd(client, id, terminal, { follow: false, json });
      if (json) printJson(terminal, ended);
      // It may have reached its own end first.
      if (ended.state !== 'stopped')
        throw new CliFailure('ended-otherwise', `instance ${id} was not stopped: it ended as ${ended.state} before`);
    },
  });
}
