import type { Assignment } from '@keelson/protocol';
import type { Workspace } from '@keelson/tasks';

/** What of the worker's own environment its tasks see. */
export const DEFAULT_ENV_ALLOWLIST: readonly string[] = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'USER'];

/** The allowed part of this process's environment, read once. */
export function allowedEnvironment(allowlist: readonly string[]): Readonly<Record<string, string>> {
  const env: Record<string, string> = {};
  for (const name of allowlist) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/** The environment of a task. Its own `env` wins over the allowlist, but not over what Keelson says. */
export function taskEnvironment(
  assignment: Assignment,
  workspace: Workspace,
  allowed: Readonly<Record<string, string>>,
): Record<string, string> {
  return {
    ...allowed,
    ...assignment.env,
    KEELSON_INSTANCE_ID: assignment.instanceId,
    KEELSON_TASK: assignment.task,
    KEELSON_ATTEMPT: String(assignment.attempt),
    KEELSON_RUN_TIME: assignment.runTime,
    KEELSON_FENCING_TOKEN: assignment.fencingToken,
    KEELSON_OUTPUT: workspace.outputFile,
    KEELSON_OUTPUT_DIR: workspace.outputDir,
    KEELSON_INPUT_DIR: workspace.inputDir,
  };
}
