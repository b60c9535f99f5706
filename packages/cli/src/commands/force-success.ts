import type { Command } from 'commander';
import { connected, examples } from '../command.ts';
import { generationNow, waitForGeneration } from '../operations/begin.ts';
import type { OperateOnTasksOptions } from '../operations/task-operation.ts';
import { operateOnTasks } from '../operations/task-operation.ts';
import { selecting } from '../operations/selection.ts';
import type { Terminal } from '../terminal/terminal.ts';

export function define(command: Command, terminal: Terminal): void {
  selecting(connected(command))
    .argument('<tasks...>', 'INSTANCE/TASK or ids of task instances; with a choice of instances: the name of one task')
    .description(
      'Counts failed tasks of ended instances as succeeded: the next generation of the instance runs what waited for them. They have no outputs.',
    )
    .option('-w, --wait', 'wait for the end; Ctrl-C leaves it running')
    .option('-f, --follow', 'print the logs of all tasks while waiting')
    .action(async (tasks: string[], options: OperateOnTasksOptions) =>
      operateOnTasks(terminal, tasks, options, {
        operation: 'force-success',
        ask: async (client, { instanceId, task }) =>
          client.forceTaskSuccess(instanceId, task, await generationNow(client, instanceId)),
        words: ({ instanceId, task }, { outcome, generation }) =>
          `Task ${instanceId}/${task} ${outcome === 'requested' ? 'counts' : 'counts already'} as succeeded, in generation ${generation}`,
        wait: waitForGeneration(terminal, options),
      }),
    );
  examples(command, [
    ['keelson force-success 4711/extract --wait', 'go on as if it had worked'],
    ['keelson force-success extract --workflow daily-sales --state failed', 'the same task of several instances'],
  ]);
}
