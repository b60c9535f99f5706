import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskContext, TaskResult, Workspace } from '../task-type.ts';
import { failed } from '../failure.ts';
import { readOutputs } from './outputs.ts';
import { processResult } from './process-result.ts';

/** Linux refuses a single argument of 128 KiB or more; a longer script goes through a file. */
const MAX_SCRIPT_ARGUMENT_BYTES = 100_000;

const NUL_MESSAGE =
  'an argument or a variable of the process holds a NUL character, which no operating system can pass on';

/**
 * Runs one process in the attempt's working directory and reads its outputs. `defaults` are variables that the task's
 * own environment overrides. On a stopped attempt it returns what the process did; the worker knows why it ended.
 */
export async function runProcess(
  context: TaskContext,
  workspace: Workspace,
  argv: readonly string[],
  defaults: Readonly<Record<string, string>> = {},
): Promise<TaskResult> {
  const env = {
    ...defaults,
    ...context.env,
    KEELSON_INPUT_DIR: workspace.inputDir,
    KEELSON_OUTPUT_DIR: workspace.outputDir,
    KEELSON_OUTPUT: workspace.outputFile,
  };
  if ([...argv, ...Object.values(env)].some((text) => text.includes('\0'))) return failed('bad-input', NUL_MESSAGE);
  const reason = processResult(await context.spawn({ argv, cwd: workspace.dir, env }));
  if (reason !== undefined) return { outcome: 'failed', reason };
  const reading = await readOutputs(workspace.outputFile);
  return reading.ok
    ? { outcome: 'succeeded', outputs: reading.outputs }
    : { outcome: 'failed', reason: reading.reason };
}

/** The arguments that hand an interpreter its script: by `-c`, or as a file when it is too long for an argument. */
export async function scriptArguments(workspace: Workspace, script: string, fileName: string): Promise<string[]> {
  if (Buffer.byteLength(script) <= MAX_SCRIPT_ARGUMENT_BYTES) return ['-c', script];
  // Beside the version's files, so that what the script imports is found the same way as with -c.
  const path = join(workspace.dir, fileName);
  await writeFile(path, script);
  return [path];
}
