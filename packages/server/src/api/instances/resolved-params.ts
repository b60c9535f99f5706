import { resolveParams, runContext } from '@keelson/core';
import type { JsonObject, WorkflowDefinition } from '@keelson/core';
import { ApiError } from '@keelson/protocol';

export interface ParamsRequest {
  readonly definition: WorkflowDefinition;
  readonly projectParams: JsonObject;
  /** What the caller gives; wins. */
  readonly start: JsonObject;
  /** RFC 3339. */
  readonly runTime: string;
}

/** The parameters of an instance. Throws `invalid-params`, which names each one that does not fit. */
export function resolvedParams({ definition, projectParams, start, runTime }: ParamsRequest): JsonObject {
  // The instance's id is chosen by the commit, after its parameters: defaults cannot read it.
  const run = runContext({
    id: '',
    workflow: definition.name,
    project: definition.project,
    timeUtc: runTime,
    zone: definition.timezone,
  });
  const { params, issues } = resolveParams({ declared: definition.params, project: projectParams, start, run });
  if (issues.length === 0) return params;
  const errors = issues.map(({ name, code, message }) => ({ path: `params.${name}`, code, message }));
  throw new ApiError('invalid-params', errors.map(({ message }) => message).join('; '), { errors });
}
