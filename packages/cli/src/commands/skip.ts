import type { Command } from 'commander';
import { connected, examples } from '../command.ts';
import type { OperateOnTasksOptions } from '../operations/task-operation.ts';
import { operateOnTasks } from '../operations/task-operation.ts';
import { selecting } from '../operations/selection.ts';
import type { Terminal } from '../terminal/terminal.ts';

export function define(command: Command, terminal: Terminal): void {
  selecting(connected(command))
    .argument('<tasks...>', 'INSTANCE/TASK or ids of task instances; with a choice of instances: the name of one task')
    .description(
      'Skips tasks that have not started. What comes after a skipped task goes on as if it had succeeded. A running task cannot be skipped.',
    )
    .action(async (tasks: string[], options: OperateOnTasksOptions) =>
      operateOnTasks(terminal, tasks, options, {
        operation: 'skip',
        ask: (client, { instanceId, task }) => client.skipTask(instanceId, task),
        words: ({ instanceId, task }, { outcome }) =>
          `Task ${instanceId}/${task} ${outcome === 'requested' ? 'is being skipped' : 'was skipped already'}`,
      }),
    );
  examples(command, [
    ['keelson skip 4711/load', ''],
    ['keelson skip load --workflow daily-sales --state paused', 'the same task of several instances'],
  ]);
}
