import { readInput } from '../input-reading.ts';
import { runProcess, scriptArguments } from '../process/run-process.ts';
import type { TaskRun } from '../task-type.ts';
import { shellTask } from './schema.ts';

const INTERPRETERS = { sh: ['sh', '-e'], bash: ['bash', '-eo', 'pipefail'] } as const;

/** Hands the script to the shell as one argument: no text of it is ever put together with a value. */
export const run: TaskRun = async (context) => {
  const reading = readInput(shellTask, context.input);
  if (!reading.ok) return reading.result;
  const { run: script, shell } = reading.input;
  const workspace = await context.workspace();
  const argv = [...INTERPRETERS[shell], ...(await scriptArguments(workspace, script, '.keelson-script.sh'))];
  return runProcess(context, workspace, argv);
};
