import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { JsonObject } from '@keelson/core';
import { failed } from '../failure.ts';
import { readInput } from '../input-reading.ts';
import { runProcess } from '../process/run-process.ts';
import type { BroadcastContext, TaskResult, TaskRun, Workspace } from '../task-type.ts';
import { bundledModulePath, nodeTask } from './schema.ts';

const RUNNER = fileURLToPath(new URL('./runner.mjs', import.meta.url));
/** Node's own: the event loop ran empty while the runner still awaited the module. */
const UNSETTLED_EXIT_CODE = 13;

/** Starts the runner, which calls the module and leaves outputs, or the error's message, in files. */
export const run: TaskRun = async (context) => {
  const reading = readInput(nodeTask, context.input);
  if (!reading.ok) return reading.result;
  const { module, script, args = {} } = reading.input;
  const workspace = await context.workspace();
  const path =
    module === undefined ? await writeScript(workspace, script ?? '') : join(workspace.dir, bundledModulePath(module));
  if (module !== undefined && !(await exists(path))) return missingBundle(module);
  const control = await writeRequest(workspace, path, module !== undefined, args, context.broadcast);
  const result = await runProcess(context, workspace, [process.execPath, RUNNER, control.requestFile]);
  return result.outcome === 'failed' ? explain(result, control.errorFile) : result;
};

/** In the working directory itself, so that the script's relative imports find the version's files. */
async function writeScript(workspace: Workspace, script: string): Promise<string> {
  const path = join(workspace.dir, '.keelson-script.mjs');
  await writeFile(path, script);
  return path;
}

async function writeRequest(
  workspace: Workspace,
  path: string,
  needsDefault: boolean,
  args: JsonObject,
  broadcast: BroadcastContext | undefined,
) {
  const folder = join(workspace.dir, '.keelson');
  const requestFile = join(folder, 'node-request.json');
  const errorFile = join(folder, 'node-error.txt');
  await mkdir(folder, { recursive: true });
  await writeFile(
    requestFile,
    JSON.stringify({ moduleUrl: pathToFileURL(path).href, needsDefault, args, broadcast, errorFile }),
  );
  return { requestFile, errorFile };
}

async function explain(result: TaskResult & { outcome: 'failed' }, errorFile: string): Promise<TaskResult> {
  const { reason } = result;
  if (reason.code !== 'exit-code') return result;
  const message = await readFile(errorFile, 'utf8').catch(() => undefined);
  if (message !== undefined) return { outcome: 'failed', reason: { ...reason, code: 'module-error', message } };
  if (reason.exitCode !== UNSETTLED_EXIT_CODE) return result;
  const unsettled = 'exit code 13: the promise of the module never settled, and nothing was left that could settle it';
  return { outcome: 'failed', reason: { ...reason, message: unsettled } };
}

function missingBundle(module: string): TaskResult {
  const message = `the bundle of ${module} is not among the files of this version (${bundledModulePath(module)}); apply the workflow again`;
  return failed('module-missing', message);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
