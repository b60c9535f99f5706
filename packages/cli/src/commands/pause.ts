import type { Command } from 'commander';
import { connected, examples } from '../command.ts';
import { CliFailure } from '../failure.ts';
import type { OperateOptions } from '../operations/operate.ts';
import { operate } from '../operations/operate.ts';
import { selecting } from '../operations/selection.ts';
import { hasEnded } from '../terminal/states.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson } from '../terminal/terminal.ts';
import { watchInstanceUntil } from '../watch/watch-instance.ts';

export function define(command: Command, terminal: Terminal): void {
  selecting(connected(command))
    .argument('[ids...]', 'ids of instances')
    .description(
      'Pauses instances: running tasks finish, nothing new starts. "pausing" while something runs, then "paused". keelson resume lets them go on.',
    )
    .option('-w, --wait', 'wait until it is paused')
    .action(async (ids: string[], options: OperateOptions) => pause(terminal, ids, options));
  examples(command, [
    ['keelson pause 4711 --wait', 'see its running tasks finish'],
    ['keelson pause --workflow demo/daily-sales --state running', 'all of one workflow'],
  ]);
}

async function pause(terminal: Terminal, ids: readonly string[], options: OperateOptions): Promise<void> {
  const json = options.json === true;
  await operate(terminal, ids, options, {
    asked: { operation: 'pause' },
    ask: (client, id) => client.pauseInstance(id),
    words: ({ id, outcome }) => `Instance ${id} ${outcome === 'requested' ? 'is being paused' : 'is paused already'}`,
    wait: async (client, { id }) => {
      const last = await watchInstanceUntil(client, id, terminal, {
        follow: false,
        json,
        enough: ({ state }) => state === 'paused' || hasEnded(state),
      });
      if (json) printJson(terminal, last);
      // Its last task may have ended it, or somebody else have resumed it.
      if (last.state !== 'paused')
        throw new CliFailure('ended-otherwise', `instance ${id} was not paused: it ended as ${last.state} before`);
    },
  });
}
