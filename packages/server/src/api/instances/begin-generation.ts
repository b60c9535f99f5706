import { didYouMean, TASK_OPERATION_TABLE } from '@keelson/core';
import type { JsonObject, WorkflowDefinition } from '@keelson/core';
import { ApiError } from '@keelson/protocol';
import type { ForceSuccessRequest, OperationResponse, RecoverRequest, RerunRequest } from '@keelson/protocol';
import type { GenerationMode, GenerationRequest, InstanceDetail, Store } from '@keelson/store';
import { absentInstance } from './instances.ts';
import { refusal, stateRefusal } from './operation-refusal.ts';
import { resolvedParams } from './resolved-params.ts';
import { unknownVersion } from '../definitions/workflows.ts';

/** What begins a new generation of an instance that has ended. */
export type BeginRequest =
  | ({ readonly operation: 'rerun' } & RerunRequest)
  | ({ readonly operation: 'recover' } & RecoverRequest)
  | ({ readonly operation: 'force-success'; readonly task: string } & ForceSuccessRequest);

export type Answer = Pick<OperationResponse, 'outcome' | 'generation'>;

type GenerationPlan = Omit<GenerationRequest, 'by'>;

/** Everything that can be refused before anything is written is refused here: the state, the task, the parameters. */
export async function planGeneration(store: Store, id: string, asked: BeginRequest): Promise<GenerationPlan> {
  const { mode, task } = modeOf(asked);
  const found = await store.instances.get(id);
  if (found === undefined) throw await absentInstance(store, id);
  const after = asked.generation ?? found.generation;
  if (after > found.generation) throw generationChanged(id, after, found.generation);
  const seenLast = after === found.generation;
  const refused = seenLast ? stateRefusal(id, mode, found.state) : undefined;
  if (refused !== undefined) throw refused;
  const basis = await basisOf(store, found, asked);
  if (task !== undefined) requireTask(basis.definition, id, task);
  if (mode === 'force-success' && seenLast) await requireFailed(store, id, after, task ?? '');
  return {
    instanceId: id,
    after,
    mode,
    ...(task !== undefined && { task }),
    versionId: basis.versionId,
    taskCount: Object.keys(basis.definition.tasks).length,
    params: basis.params,
  };
}

/** Throws an ApiError when somebody was faster with something else. */
export async function beginGeneration(
  store: Store,
  plan: GenerationPlan,
  { generation: seen }: Pick<BeginRequest, 'generation'>,
  by: string,
): Promise<Answer> {
  const id = plan.instanceId;
  const outcome = await store.operations.beginGeneration({ ...plan, by });
  switch (outcome.kind) {
    case 'begun':
      return { outcome: 'requested', generation: outcome.generation };
    case 'already':
      return { outcome: 'already', generation: outcome.generation };
    case 'live':
      throw (
        (seen === undefined || outcome.generation === seen ? stateRefusal(id, plan.mode, outcome.state) : undefined) ??
        generationChanged(id, plan.after, outcome.generation)
      );
    case 'changed':
      throw generationChanged(id, plan.after, outcome.generation);
    case 'unknown':
      throw await absentInstance(store, id);
  }
}

function modeOf(asked: BeginRequest): { readonly mode: GenerationMode; readonly task?: string } {
  if (asked.operation !== 'rerun')
    return asked.operation === 'recover' ? { mode: 'recover' } : { mode: 'force-success', task: asked.task };
  const { from, only } = asked;
  if (from !== undefined && only !== undefined)
    throw new ApiError('contradictory-request', '`from` and `only` exclude each other');
  if (from !== undefined) return { mode: 'from', task: from };
  return only === undefined ? { mode: 'rerun' } : { mode: 'only', task: only };
}

function generationChanged(id: string, seen: number, now: number): ApiError {
  const message =
    seen > now
      ? `instance ${id} is in generation ${now}: there is no generation ${seen} of it`
      : `instance ${id} is in generation ${now}: generation ${seen} was followed by something else than this`;
  return new ApiError('generation-changed', message);
}

interface Basis {
  readonly versionId: string;
  readonly definition: WorkflowDefinition;
  readonly params: JsonObject;
}

/** Values that the instance has stand for those that are not given: what a start gave it is not asked for again. */
async function basisOf(store: Store, found: InstanceDetail, asked: BeginRequest): Promise<Basis> {
  const given = asked.operation === 'rerun' ? (asked.params ?? {}) : {};
  const { project, workflow, runTime } = found;
  if (asked.operation !== 'force-success' && asked.latest === true) {
    const latest = await store.definitions.startBasis({ project, name: workflow });
    if (latest === undefined) throw await unknownVersion(store, { project, workflow }, undefined);
    const { definition, versionId, projectParams } = latest;
    const start = { ...declaredOf(definition, found.params), ...given };
    return { versionId, definition, params: resolvedParams({ definition, projectParams, start, runTime }) };
  }
  const version = await store.definitions.versionById(found.versionId);
  if (version === undefined) throw new Error(`the version ${found.versionId} of instance ${found.id} is not there`);
  const { definition } = version;
  const basis = { versionId: found.versionId, definition };
  if (Object.keys(given).length === 0) return { ...basis, params: found.params };
  const start = { ...declaredOf(definition, found.params), ...given };
  return { ...basis, params: resolvedParams({ definition, projectParams: found.params, start, runTime }) };
}

/** A later version may have dropped some. */
function declaredOf({ params }: WorkflowDefinition, values: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(values).filter(([name]) => Object.hasOwn(params, name)));
}

function requireTask({ tasks }: WorkflowDefinition, id: string, task: string): void {
  if (Object.hasOwn(tasks, task)) return;
  const hint = didYouMean(task, Object.keys(tasks));
  throw new ApiError(
    'unknown-task',
    `instance ${id} has no task ${JSON.stringify(task)}${hint === undefined ? '' : `: ${hint}`}`,
  );
}

async function requireFailed(store: Store, instanceId: string, generation: number, task: string): Promise<void> {
  const found = await store.instances.task({ instanceId, generation, task });
  const answer = TASK_OPERATION_TABLE['force-success'][found?.state ?? 'waiting'];
  if (answer.kind === 'refuse') throw refusal(instanceId, answer, { task });
}
