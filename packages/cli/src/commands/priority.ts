import { priorityRequest } from '@keelson/protocol';
import type { Command } from 'commander';
import { connected, examples } from '../command.ts';
import { usageFailure } from '../failure.ts';
import type { OperateOptions } from '../operations/operate.ts';
import { operate } from '../operations/operate.ts';
import { selecting } from '../operations/selection.ts';
import type { Terminal } from '../terminal/terminal.ts';

export function define(command: Command, terminal: Terminal): void {
  selecting(connected(command))
    .argument('<ids-and-n...>', 'ids of instances, and the priority as the last: from -100 to 100, higher starts first')
    .description('Gives instances another priority: for what stands in line and for what comes after it.')
    .action(async (words: string[], options: OperateOptions) => priority(terminal, words, options));
  examples(command, [
    ['keelson priority 4711 50', ''],
    ['keelson priority --workflow daily-sales --state queued -- -10', 'behind the others'],
  ]);
}

async function priority(terminal: Terminal, words: readonly string[], options: OperateOptions): Promise<void> {
  const last = words.at(-1) ?? '';
  const { data, success } = priorityRequest.safeParse({ priority: last === '' ? undefined : Number(last) });
  if (!success)
    throw usageFailure(`${JSON.stringify(last)} is no priority`, 'the last word is an integer from -100 to 100');
  await operate(terminal, words.slice(0, -1), options, {
    asked: { operation: 'priority', ...data },
    ask: (client, id) => client.setPriority(id, data.priority),
    words: ({ id, outcome }) =>
      outcome === 'requested'
        ? `Instance ${id} gets priority ${data.priority}`
        : `Instance ${id} has priority ${data.priority} already`,
  });
}
