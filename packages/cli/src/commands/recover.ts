import type { Command } from 'commander';
import { connected, examples } from '../command.ts';
import { begunWords, generationNow, waitForGeneration } from '../operations/begin.ts';
import type { OperateOptions } from '../operations/operate.ts';
import { operate } from '../operations/operate.ts';
import { selecting } from '../operations/selection.ts';
import type { Terminal } from '../terminal/terminal.ts';

interface RecoverOptions extends OperateOptions {
  readonly latest?: true;
}

export function define(command: Command, terminal: Terminal): void {
  selecting(connected(command))
    .argument('[ids...]', 'ids of instances that failed or were stopped')
    .description(
      'Begins ended instances again with what failed or never ran, as their next generation. What succeeded stays as it is.',
    )
    .option('--latest', "the workflow's latest version")
    .option('-w, --wait', 'wait for the end; Ctrl-C leaves it running')
    .option('-f, --follow', 'print the logs of all tasks while waiting')
    .action(async (ids: string[], options: RecoverOptions) => recover(terminal, ids, options));
  examples(command, [
    ['keelson recover 4711 --wait', 'go on where it failed'],
    ['keelson recover --project demo --state failed --created-from 2026-01-31', 'everything that failed since'],
  ]);
}

async function recover(terminal: Terminal, ids: readonly string[], options: RecoverOptions): Promise<void> {
  const request = { ...(options.latest === true && { latest: true }) };
  await operate(terminal, ids, options, {
    asked: { operation: 'recover', ...request },
    ask: async (client, id) => client.recoverInstance(id, { ...request, ...(await generationNow(client, id)) }),
    words: begunWords('what failed or never ran'),
    wait: waitForGeneration(terminal, options),
  });
}
