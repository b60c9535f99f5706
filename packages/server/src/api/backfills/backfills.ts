import { z } from 'zod';
import type { BackfillCounts } from '@keelson/core';
import {
  ApiError,
  backfill,
  backfillDetail,
  backfillListQuery,
  backfillOperationResponse,
  backfillPreview,
  backfillRequest,
  backfillRun,
  backfillRunListQuery,
  cancelBackfillRequest,
  idempotencyKey,
  pageOf,
  scalar,
} from '@keelson/protocol';
import type { Backfill, BackfillDetail, BackfillPreview, BackfillRequest } from '@keelson/protocol';
import type { BackfillMember, BackfillOperation, BackfillSummary, DraftRun, Store } from '@keelson/store';
import { callerName } from '../http/authenticate.ts';
import { planBackfill } from './backfill-plan.ts';
import type { BackfillPlan } from './backfill-plan.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { restPage } from '../http/rest-page.ts';
import { bodyHash, keyConflict, planOrRepeat } from '../http/repeated-call.ts';

const named = z.object({ project: scalar.name, workflow: scalar.name });
const byId = z.object({ id: scalar.id });
/** Other headers are none of the schema's business. */
const keyHeader = z.looseObject({ 'idempotency-key': idempotencyKey.optional() });
const ID = /^[1-9][0-9]{0,17}$/;

const DEFAULT_PARALLEL = 1;
/** Behind live schedules. */
const DEFAULT_PRIORITY = -10;
const SHOWN_FIRST = 20;
const SHOWN_LAST = 5;

export function backfillRoutes(api: Api, deps: ApiDeps): void {
  createRoutes(api, deps);
  readRoutes(api, deps);
  operationRoutes(api, deps);
}

function createRoutes(api: Api, { store, wake }: ApiDeps): void {
  api.post(
    '/api/v1/projects/:project/workflows/:workflow/backfills/preview',
    {
      config: { permission: 'backfills:read' },
      schema: {
        summary: 'Say what a backfill would run and what it would leave out; nothing is made',
        params: named,
        body: backfillRequest,
        response: { 200: backfillPreview },
      },
    },
    async ({ params, body }) => previewOf(await planBackfill(store, params, body, Date.now()), body),
  );
  api.post(
    '/api/v1/projects/:project/workflows/:workflow/backfills',
    {
      config: { permission: 'backfills:create' },
      schema: {
        summary: 'Run a workflow for past dates; with an Idempotency-Key a repeated call makes nothing new',
        params: named,
        headers: keyHeader,
        body: backfillRequest,
        response: { 200: backfillDetail, 201: backfillDetail },
      },
    },
    async (request, reply) => {
      const { params: name, body } = request;
      const key = request.headers['idempotency-key'];
      const hash = bodyHash(body);
      const planned = await planOrRepeat(
        'backfill',
        () => planBackfill(store, name, body, Date.now()),
        async () =>
          key === undefined ? undefined : store.usedKeys.backfill({ project: name.project, name: name.workflow }, key),
        hash,
      );
      const made =
        'before' in planned
          ? { kind: 'existing', id: planned.before }
          : await store.backfills.create({
              ...draftOf(planned.plan, body),
              createdBy: callerName(request),
              ...(key !== undefined && { idempotency: { key, bodyHash: hash } }),
            });
      if (made.kind === 'key-conflict') throw keyConflict('backfill', made.id);
      // Also when it exists: the first call's wake-up may have been lost with its answer.
      wake.followup('backfill');
      reply.header('location', `/api/v1/backfills/${made.id}`);
      return reply.code(made.kind === 'existing' ? 200 : 201).send(await readBackfill(store, made.id));
    },
  );
}

function draftOf({ basis, members, params, runs }: BackfillPlan, body: BackfillRequest) {
  return {
    workflowId: basis.workflowId,
    members,
    parallel: body.parallel ?? DEFAULT_PARALLEL,
    priority: body.priority ?? DEFAULT_PRIORITY,
    onFailure: body.onFailure ?? ('continue' as const),
    again: body.again ?? false,
    params,
    request: JSON.parse(JSON.stringify(body)),
    runs,
  };
}

function readRoutes(api: Api, { store }: ApiDeps): void {
  api.get(
    '/api/v1/backfills',
    {
      config: { permission: 'backfills:read' },
      schema: {
        summary: 'List backfills, newest first',
        querystring: backfillListQuery,
        response: { 200: pageOf(backfill) },
      },
    },
    async ({ query: { project, workflow, state, ...page } }) =>
      restPage(await store.backfillViews.list({ project, workflow, state }, page), restBackfill),
  );
  api.get(
    '/api/v1/backfills/:id',
    {
      config: { permission: 'backfills:read' },
      schema: { summary: 'Read a backfill with its progress', params: byId, response: { 200: backfillDetail } },
    },
    async ({ params }) => readBackfill(store, params.id),
  );
  api.get(
    '/api/v1/backfills/:id/runs',
    {
      config: { permission: 'backfills:read' },
      schema: {
        summary: 'List the runs of a backfill in their order',
        params: byId,
        querystring: backfillRunListQuery,
        response: { 200: pageOf(backfillRun) },
      },
    },
    async ({ params: { id }, query: { state, ...page } }) => {
      const found = await store.backfillViews.runs(id, { state }, page);
      if (found.items.length === 0) await readBackfill(store, id);
      return restPage(found, (item) => item);
    },
  );
}

function operationRoutes(api: Api, { store, wake }: ApiDeps): void {
  const operate = async (id: string, operation: BackfillOperation, by: string) => {
    const { outcome, state, stopping } = ID.test(id)
      ? await store.backfills.operate(id, operation, by)
      : { outcome: 'unknown' as const, state: undefined, stopping: 0 };
    if (outcome === 'unknown' || state === undefined) throw unknownBackfill(id);
    if (outcome === 'ended')
      throw new ApiError('backfill-ended', `backfill ${id} ${state === 'done' ? 'is done' : 'was cancelled'}`);
    wake.followup('backfill');
    if (stopping > 0) wake.command();
    return { id, operation: operation.kind, outcome, state, stopping };
  };
  const SUMMARIES = {
    pause: 'Start no more runs; those under way go on',
    resume: 'Go on after a pause',
  } as const;
  for (const kind of ['pause', 'resume'] as const)
    api.post(
      `/api/v1/backfills/:id/${kind}`,
      {
        config: { permission: 'backfills:operate' },
        schema: { summary: SUMMARIES[kind], params: byId, response: { 202: backfillOperationResponse } },
      },
      async (request, reply) => reply.code(202).send(await operate(request.params.id, { kind }, callerName(request))),
    );
  api.post(
    '/api/v1/backfills/:id/cancel',
    {
      config: { permission: 'backfills:operate' },
      // The body is optional.
      preValidation: async (request) => void (request.body ??= {}),
      schema: {
        summary: 'Leave out all runs that were not started; with stop: also stop those under way',
        params: byId,
        body: cancelBackfillRequest,
        response: { 202: backfillOperationResponse },
      },
    },
    async (request, reply) => {
      const operation = { kind: 'cancel' as const, stop: request.body.stop ?? false };
      return reply.code(202).send(await operate(request.params.id, operation, callerName(request)));
    },
  );
}

function unknownBackfill(id: string): ApiError {
  return new ApiError('unknown-backfill', `there is no backfill ${JSON.stringify(id)}`);
}

async function readBackfill(store: Store, id: string): Promise<BackfillDetail> {
  const found = await store.backfillViews.get(id);
  if (found === undefined) throw unknownBackfill(id);
  const { members, leftOut, events } = found;
  return {
    ...restBackfill(found),
    members: restMembers(members),
    leftOut: { ...leftOut },
    events: [...events],
  };
}

/** Times that had succeeded before are as good as done. */
function isSuccess({ failed, stopped, skipped }: BackfillCounts, before: number): boolean {
  return failed + stopped === 0 && skipped === before;
}

function restBackfill({ counts, ...summary }: BackfillSummary): Backfill {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const { id, project, workflow, version, state, request, parallel, priority, onFailure, again, params } = summary;
  const { lastError, createdBy, createdAt, endedAt, before } = summary;
  return {
    id,
    project,
    workflow,
    version,
    state,
    succeeded: endedAt === null ? null : isSuccess(counts, before),
    counts: { total, ...counts },
    parallel,
    priority,
    onFailure,
    again,
    params,
    request,
    lastError,
    createdBy,
    createdAt,
    endedAt,
  };
}

function restMembers(members: readonly BackfillMember[]): BackfillPreview['members'] {
  const name = ({ project, workflow }: BackfillMember): string => `${project}/${workflow}`;
  return members.map(({ project, workflow, version, needs }) => ({
    project,
    workflow,
    version,
    dependsOn: needs.flatMap((need) => members[need] ?? []).map(name),
  }));
}

function previewOf(plan: BackfillPlan, body: BackfillRequest): BackfillPreview {
  const { basis, members, runs, chosen, times } = plan;
  const left: Record<string, number> = {};
  for (const { reason } of runs) if (reason !== undefined) left[reason.code] = (left[reason.code] ?? 0) + 1;
  const shown = ({ workflowId, runTime, reason }: DraftRun): BackfillPreview['first'][number] => {
    const { project, workflow } = members.find((one) => one.workflowId === workflowId) ?? { project: '', workflow: '' };
    return { project, workflow, runTime, leftOut: reason ?? null };
  };
  return {
    project: basis.definition.project,
    workflow: basis.definition.name,
    version: basis.version,
    timezone: chosen.zone,
    triggers: chosen.triggers.map(({ id }) => id),
    members: restMembers(members),
    parallel: body.parallel ?? DEFAULT_PARALLEL,
    order: body.order ?? 'ascending',
    priority: body.priority ?? DEFAULT_PRIORITY,
    onFailure: body.onFailure ?? 'continue',
    times,
    runs: runs.filter(({ state }) => state !== 'skipped').length,
    leftOut: left,
    first: runs.slice(0, SHOWN_FIRST).map(shown),
    last: runs.slice(Math.max(SHOWN_FIRST, runs.length - SHOWN_LAST)).map(shown),
    leftOutDates: [...plan.leftOutDates],
    notes: [...plan.notes],
  };
}
