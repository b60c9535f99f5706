import { readInput } from '../input-reading.ts';
import { runProcess, scriptArguments } from '../process/run-process.ts';
import type { TaskRun } from '../task-type.ts';
import { pythonTask } from './schema.ts';

/** Starts the interpreter on the script or the file; `args` follow as they are. */
export const run: TaskRun = async (context) => {
  const reading = readInput(pythonTask, context.input);
  if (!reading.ok) return reading.result;
  const { script, file, args = [], python } = reading.input;
  const workspace = await context.workspace();
  const program =
    script === undefined ? [fileArgument(file ?? '')] : await scriptArguments(workspace, script, '.keelson-script.py');
  // Python holds back what it prints to a pipe; the log shall show it while the task runs.
  return runProcess(context, workspace, [python, ...program, ...args.map(String)], { PYTHONUNBUFFERED: '1' });
};

/** A file whose name begins with `-` would be read as an option. */
function fileArgument(file: string): string {
  return file.startsWith('-') ? `./${file}` : file;
}
