import type { JsonObject } from '@keelson/core';
import type { TaskContext } from '@keelson/tasks';
import { taskRuns } from '@keelson/tasks/run';

/** A datasource with its password, as the store reveals it. */
export interface DatasourceToTest {
  readonly config: JsonObject;
  readonly password?: string;
}

export type DatasourceTrial =
  | { readonly ok: true; readonly serverVersion: string | null }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** Connects exactly as an `sql` task does, because it is one: the smallest. */
export async function tryDatasource(
  { config, password }: DatasourceToTest,
  signal: AbortSignal,
): Promise<DatasourceTrial> {
  const run = taskRuns.get('sql');
  if (run === undefined) throw new Error('this release has no sql task');
  const input = {
    datasource: 'test',
    connection: { ...config, password: password ?? '' },
    sql: 'select version() as version',
  };
  const result = await run(bareContext(input, signal));
  if (result.outcome === 'failed') return { ok: false, code: result.reason.code, message: result.reason.message };
  const { row } = result.outputs;
  const version = typeof row === 'object' && row !== null && !Array.isArray(row) ? row['version'] : null;
  return { ok: true, serverVersion: typeof version === 'string' ? version : null };
}

/** An attempt that belongs to no instance; an `sql` task needs neither a workspace nor a process. */
function bareContext(input: JsonObject, signal: AbortSignal): TaskContext {
  const refuse = (what: string) => async (): Promise<never> => {
    throw new Error(`testing a datasource has no ${what}`);
  };
  return {
    instanceId: '0',
    task: 'test',
    attempt: 1,
    input,
    env: {},
    signal,
    log: { write: () => undefined },
    workspace: refuse('workspace'),
    spawn: refuse('process'),
    progress: () => undefined,
  };
}
