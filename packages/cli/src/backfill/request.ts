import type { BackfillRequest } from '@keelson/protocol';
import type { ConnectedOptions } from '../command.ts';
import { usageFailure } from '../failure.ts';
import { oneOf, parseParams, readParamsFile } from '../start-options.ts';

/** What `keelson backfill` takes: for a new one, and for one that is there. */
export interface BackfillOptions extends ConnectedOptions {
  readonly from?: string;
  readonly to?: string;
  readonly date?: readonly string[];
  readonly trigger?: string;
  readonly parallel?: number;
  readonly descending?: true;
  readonly dependents?: true;
  readonly param?: readonly string[];
  readonly paramsFile?: string;
  readonly priority?: number;
  readonly workflowVersion?: number;
  readonly again?: true;
  readonly onFailure?: string;
  readonly idempotencyKey?: string;
  readonly dryRun?: true;
  readonly wait?: true;
  readonly stop?: true;
  readonly state?: string;
  readonly limit?: number;
}

/** The request of a new backfill. Throws a usage failure for options that leave its dates open. */
export async function requestFrom(cwd: string, options: BackfillOptions): Promise<BackfillRequest> {
  const { from, to, date, trigger, parallel, priority, workflowVersion, onFailure } = options;
  if (date === undefined && (from === undefined || to === undefined))
    throw usageFailure(
      'which dates? A backfill needs --from and --to, or --date',
      'both are included, and are dates of the zone of the trigger or the workflow: --from 2026-01-01 --to 2026-01-31',
    );
  if (date !== undefined && (from !== undefined || to !== undefined))
    throw usageFailure('--date and --from, --to exclude each other');
  const fromFile = options.paramsFile === undefined ? {} : await readParamsFile(cwd, options.paramsFile);
  const params = { ...fromFile, ...parseParams(options.param ?? []) };
  return {
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    ...(date !== undefined && { dates: [...date] }),
    ...(trigger !== undefined && { trigger }),
    ...(parallel !== undefined && { parallel }),
    ...(options.descending === true && { order: 'descending' }),
    ...(options.dependents === true && { dependents: true }),
    ...(Object.keys(params).length > 0 && { params }),
    ...(priority !== undefined && { priority }),
    ...(workflowVersion !== undefined && { version: workflowVersion }),
    ...(options.again === true && { again: true }),
    ...(onFailure !== undefined && { onFailure: oneOf('--on-failure', onFailure, ['stop', 'continue'] as const) }),
  };
}
