import { ExpressionError, renderTemplate, runTimeText, valueText } from '@keelson/core';
import type { JsonObject, JsonValue, Reason, Scope, TaskDefinition, TaskPlan, TaskState } from '@keelson/core';
import type { Assignment, BlobRef, BroadcastPart } from '@keelson/protocol';
import { generationKey, outcomeOf, StoreError } from '@keelson/store';
import type { BoundAttempt, GenerationKey, InstanceFacts, TaskKey, TaskResultRow } from '@keelson/store';
import { broadcastPartOf, MOST_RESULT_BYTES } from './broadcast-part.ts';
import type { MasterContext } from './context.ts';
import { runOf } from './mind.ts';
import type { KnownVersion } from './plans.ts';
import { tokenOf } from './token.ts';

export type Built =
  | { readonly kind: 'assignment'; readonly assignment: Assignment }
  /** The task's input cannot be rendered: it fails without having run. */
  | { readonly kind: 'refused'; readonly reason: Reason };

interface Draft {
  /** What is done: the task itself, or a step of it. */
  readonly action: Pick<TaskDefinition, 'uses' | 'with' | 'env'>;
  readonly broadcast?: BroadcastPart;
  readonly attempt: BoundAttempt;
  readonly known: KnownVersion;
  readonly task: TaskPlan;
  readonly facts: InstanceFacts;
}

type Results = ReadonlyMap<string, TaskResultRow>;

interface BuiltFor {
  readonly attempt: BoundAttempt;
  readonly result: Built;
}

/**
 * Renders what workers are handed. One that cannot be made at all, however often it is tried, is refused: its worker would get none of the
 * others either.
 */
export async function buildAssignments(context: MasterContext, attempts: readonly BoundAttempt[]): Promise<BuiltFor[]> {
  try {
    return await buildTogether(context, attempts);
  } catch (error) {
    if (context.closing() || outcomeOf(error) !== 'application') throw error;
    const [attempt] = attempts;
    if (attempt === undefined || attempts.length > 1) return oneByOne(context, attempts);
    const { instanceId: instance, task } = attempt;
    context.log.error({ err: error, instance, task }, 'an assignment cannot be made; its attempt fails');
    const message = error instanceof Error ? error.message : String(error);
    const reason = { code: 'assignment-failed', message: `the server could not prepare the task: ${message}` };
    return [{ attempt, result: { kind: 'refused', reason } }];
  }
}

async function oneByOne(context: MasterContext, attempts: readonly BoundAttempt[]): Promise<BuiltFor[]> {
  const built: BuiltFor[] = [];
  for (const attempt of attempts) built.push(...(await buildAssignments(context, [attempt])));
  return built;
}

/** Reads upstream results only where an expression or an artifact asks for them. */
async function buildTogether(context: MasterContext, attempts: readonly BoundAttempt[]): Promise<BuiltFor[]> {
  const { store, plans } = context;
  await plans.load(attempts.map(({ versionId }) => versionId));
  const generations = new Map(attempts.map((attempt) => [keyOf(attempt), attempt]));
  const facts = await store.engine.facts([...generations.values()]);
  const all = attempts.map((attempt) => draftOf(context, facts, attempt));
  const { drafts, refused } = await withBroadcasts(context, all);
  const keys = drafts.flatMap(upstreamKeys);
  const rows = keys.length > 0 ? await store.engine.results(keys) : [];
  const results: Results = new Map(rows.map((row) => [keyText(row), row]));
  const built = await Promise.all(
    drafts.map(async (draft) => ({ attempt: draft.attempt, result: await build(context, draft, results) })),
  );
  return [...refused, ...built];
}

/** Says of each attempt of a broadcast which part of it it is. */
async function withBroadcasts(
  context: MasterContext,
  all: readonly Draft[],
): Promise<{ drafts: Draft[]; refused: { attempt: BoundAttempt; result: Built }[] }> {
  const parts = all.filter(({ task }) => task.definition.broadcast !== undefined);
  if (parts.length === 0) return { drafts: [...all], refused: [] };
  const keys = [...new Map(parts.map(({ attempt }) => [keyText(attempt), attempt])).values()];
  const rows = await context.store.engine.broadcasts(keys, MOST_RESULT_BYTES);
  const byKey = new Map(rows.map((row) => [keyText(row), row]));
  const refused: { attempt: BoundAttempt; result: Built }[] = [];
  const drafts = all.flatMap((draft): Draft[] => {
    const { attempt, task } = draft;
    if (task.definition.broadcast === undefined) return [draft];
    const worker = context.sessions.get(attempt.incarnationId)?.incarnation.name ?? '';
    const part = broadcastPartOf(attempt, byKey.get(keyText(attempt)), worker);
    if ('code' in part) {
      refused.push({ attempt, result: { kind: 'refused', reason: part } });
      return [];
    }
    const step = part.phase === 'subtask' ? undefined : task.definition.broadcast[part.phase];
    return [{ ...draft, broadcast: part, action: step ?? draft.action }];
  });
  return { drafts, refused };
}

function draftOf({ plans }: MasterContext, facts: ReadonlyMap<string, InstanceFacts>, attempt: BoundAttempt): Draft {
  const known = plans.get(attempt.versionId);
  const task = known?.plan.tasks.get(attempt.task);
  const instance = facts.get(keyOf(attempt));
  if (known === undefined || task === undefined || instance === undefined)
    throw new Error(`attempt ${attempt.attemptId} has no definition`);
  return { attempt, known, task, facts: instance, action: task.definition };
}

function upstreamKeys({ attempt, task }: Draft): TaskKey[] {
  const { instanceId, generation, hasArtifacts } = attempt;
  const wanted = new Set([...task.inputRefs, ...(hasArtifacts ? task.needs : [])]);
  return [...wanted].map((id) => ({ instanceId, generation, task: id }));
}

const keyOf = ({ instanceId, generation }: GenerationKey): string => generationKey(instanceId, generation);

const keyText = ({ instanceId, generation, task }: TaskKey): string => `${instanceId}.${generation}.${task}`;

async function build(context: MasterContext, draft: Draft, results: Results): Promise<Built> {
  const { task, known, action } = draft;
  const { secretRefs } = task;
  try {
    const revealed = await revealSecrets(context, known.project, secretRefs);
    if ('code' in revealed) return { kind: 'refused', reason: revealed };
    const scope = scopeOf(draft, results, revealed.values);
    const input = asObject(renderTemplate(action.with, scope));
    const env = Object.entries(action.env).map(([name, value]) => [name, valueText(renderTemplate(value, scope))]);
    const connection = action.uses === 'sql' ? await connect(context, known.project, input) : undefined;
    if (connection !== undefined && 'code' in connection) return { kind: 'refused', reason: connection };
    const secrets = [
      ...Object.values(revealed.values),
      ...(connection?.password === undefined ? [] : [connection.password]),
    ];
    const full = connection === undefined ? input : { ...input, connection: connection.config };
    return { kind: 'assignment', assignment: assemble(draft, results, full, Object.fromEntries(env), secrets) };
  } catch (error) {
    const reason = refusalOf(error);
    if (reason === undefined) throw error;
    return { kind: 'refused', reason };
  }
}

/** What will not go away by trying again; undefined for the rest. */
function refusalOf(error: unknown): Reason | undefined {
  if (error instanceof ExpressionError) return { code: 'expression-error', message: error.message };
  // A secret that this server's key does not open, say.
  if (error instanceof StoreError) return { code: error.code, message: error.message };
  return undefined;
}

function assemble(
  { attempt, known, task, facts, action, broadcast }: Draft,
  results: Results,
  input: JsonObject,
  env: Record<string, string>,
  secrets: string[],
): Assignment {
  const { definition } = task;
  return {
    token: tokenOf(attempt),
    fencingToken: attempt.attemptId,
    instanceId: attempt.instanceId,
    workflow: known.workflow,
    project: known.project,
    version: known.version,
    task: attempt.task,
    generation: attempt.generation,
    attempt: attempt.attempt,
    runTime: runTimeText(facts.runTime, known.plan.definition.timezone),
    uses: action.uses,
    input,
    env,
    secrets,
    ...(definition.timeout === undefined ? {} : { timeout: definition.timeout }),
    files: [...known.files],
    inputs: attempt.hasArtifacts ? inputsOf(attempt, task, results) : [],
    ...(broadcast === undefined ? {} : { broadcast }),
    ...(attempt.startAfterMs === undefined ? {} : { startAfterMs: attempt.startAfterMs }),
  };
}

function inputsOf({ instanceId, generation }: BoundAttempt, task: TaskPlan, results: Results): BlobRef[] {
  return task.needs.flatMap((need) =>
    (results.get(keyText({ instanceId, generation, task: need }))?.artifacts ?? []).map((artifact) => ({
      ...artifact,
      path: `${need}/${artifact.path}`,
    })),
  );
}

function scopeOf({ attempt, known, task, facts }: Draft, results: Results, secrets: Record<string, string>): Scope {
  const tasks: Record<string, { state: TaskState; outputs: JsonObject }> = {};
  for (const ref of task.inputRefs) {
    const row = results.get(keyText({ ...attempt, task: ref }));
    tasks[ref] = row === undefined ? { state: 'waiting', outputs: {} } : { state: row.state, outputs: row.outputs };
  }
  return {
    params: facts.params,
    get run() {
      return runOf(known, facts);
    },
    tasks,
    secrets,
  };
}

async function revealSecrets(
  { store }: MasterContext,
  project: string,
  names: readonly string[],
): Promise<{ values: Record<string, string> } | Reason> {
  if (names.length === 0) return { values: {} };
  const { values, missing } = await store.secrets.reveal(project, names);
  if (missing.length === 0) return { values: { ...values } };
  return {
    code: 'unknown-secret',
    message: `project ${project} has no secret ${missing.join(', ')}: set it with keelson secret set`,
  };
}

async function connect(
  { store }: MasterContext,
  project: string,
  input: JsonObject,
): Promise<{ config: JsonObject; password?: string } | Reason> {
  const name = typeof input['datasource'] === 'string' ? input['datasource'] : '';
  const found = await store.datasources.reveal(project, name);
  if (found === undefined)
    return {
      code: 'unknown-datasource',
      message: `project ${project} has no datasource ${name}: set it with keelson datasource set`,
    };
  const { config, password } = found;
  return { config: { ...config, password: password ?? '' }, ...(password !== undefined && { password }) };
}

function asObject(value: JsonValue): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new Error('a rendered input is an object');
}
