import type { Command } from 'commander';
import { connected, examples } from '../command.ts';
import { waitForGeneration } from '../operations/begin.ts';
import type { OperateOptions } from '../operations/operate.ts';
import { operate } from '../operations/operate.ts';
import { selecting } from '../operations/selection.ts';
import type { Terminal } from '../terminal/terminal.ts';

export function define(command: Command, terminal: Terminal): void {
  selecting(connected(command))
    .argument('[ids...]', 'ids of instances')
    .description('Lets paused instances go on, also those that are still pausing.')
    .option('-w, --wait', 'wait for the end; Ctrl-C leaves it running')
    .option('-f, --follow', 'print the logs of all tasks while waiting')
    .action(async (ids: string[], options: OperateOptions) => resume(terminal, ids, options));
  examples(command, [
    ['keelson resume 4711', ''],
    ['keelson resume --state paused --dry-run', 'which would go on?'],
  ]);
}

async function resume(terminal: Terminal, ids: readonly string[], options: OperateOptions): Promise<void> {
  await operate(terminal, ids, options, {
    asked: { operation: 'resume' },
    ask: (client, id) => client.resumeInstance(id),
    words: ({ id, outcome }) => `Instance ${id} ${outcome === 'requested' ? 'goes on' : 'is running already'}`,
    wait: waitForGeneration(terminal, options),
  });
}
