import type { Command } from 'commander';
import { collect, connected, examples } from '../command.ts';
import { usageFailure } from '../failure.ts';
import { begunWords, generationNow, waitForGeneration } from '../operations/begin.ts';
import type { OperateOptions } from '../operations/operate.ts';
import { operate } from '../operations/operate.ts';
import { selecting } from '../operations/selection.ts';
import { parseParams, readParamsFile } from '../start-options.ts';
import type { Terminal } from '../terminal/terminal.ts';

interface RerunOptions extends OperateOptions {
  readonly from?: string;
  readonly only?: string;
  readonly param?: readonly string[];
  readonly paramsFile?: string;
  readonly latest?: true;
}

export function define(command: Command, terminal: Terminal): void {
  selecting(connected(command))
    .argument('[ids...]', 'ids of instances that have ended')
    .description(
      'Begins ended instances again, as their next generation: all of it, from a task on, or one task. The id, the run time and, unless --latest is given, the version stay.',
    )
    .option('--from <task>', 'this task and everything after it; the rest stays as it is')
    .option('--only <task>', 'this task alone, whatever it needs; what comes after it stays as it is')
    .option('-p, --param <name=value>', 'another value of a parameter; may be given several times', collect)
    .option('--params-file <file>', 'other values from a YAML or JSON file; -p wins')
    .option('--latest', "the workflow's latest version")
    .option('-w, --wait', 'wait for the end; Ctrl-C leaves it running')
    .option('-f, --follow', 'print the logs of all tasks while waiting')
    .action(async (ids: string[], options: RerunOptions) => rerun(terminal, ids, options));
  examples(command, [
    ['keelson rerun 4711 --wait', 'all of it'],
    ['keelson rerun 4711 --from load -p dryRun=true', 'load and what comes after it, with another parameter'],
    ['keelson rerun --workflow daily-sales --state failed --latest --dry-run', 'which would run again?'],
  ]);
}

async function rerun(terminal: Terminal, ids: readonly string[], options: RerunOptions): Promise<void> {
  const { from, only } = options;
  if (from !== undefined && only !== undefined) throw usageFailure('--from and --only exclude each other');
  const fromFile = options.paramsFile === undefined ? {} : await readParamsFile(terminal.cwd, options.paramsFile);
  const params = { ...fromFile, ...parseParams(options.param ?? []) };
  const request = {
    ...(from !== undefined && { from }),
    ...(only !== undefined && { only }),
    ...(Object.keys(params).length > 0 && { params }),
    ...(options.latest === true && { latest: true }),
  };
  const what =
    from === undefined ? (only === undefined ? 'all of it' : `only ${only}`) : `${from} and what is after it`;
  await operate(terminal, ids, options, {
    asked: { operation: 'rerun', ...request },
    ask: async (client, id) => client.rerunInstance(id, { ...request, ...(await generationNow(client, id)) }),
    words: begunWords(what),
    wait: waitForGeneration(terminal, options),
  });
}
