import type { FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { applyRoutes } from './definitions/apply.ts';
import { authenticate } from './http/authenticate.ts';
import { backfillRoutes } from './backfills/backfills.ts';
import { blobRoutes } from './instances/blobs.ts';
import { bulkOperationRoutes } from './instances/bulk-operations.ts';
import { calendarRoutes } from './schedules/calendars.ts';
import { datasourceRoutes } from './definitions/datasources.ts';
import { createDefinitionReader } from './definitions/definition-source.ts';
import type { Api, ApiDeps } from './deps.ts';
import { healthRoutes } from './health.ts';
import { instanceExplanationRoutes } from './instances/instance-explanations.ts';
import { instanceOperationRoutes } from './instances/instance-operations.ts';
import { instanceRoutes } from './instances/instances.ts';
import { liveRoutes } from './instances/live.ts';
import { metricRoutes } from './metrics.ts';
import { openApiRoutes, PROBLEM_RESPONSE } from './openapi/openapi.ts';
import { operationRoutes } from './operations.ts';
import { refuseUndeclared } from './http/permissions.ts';
import { answerProblems, answerUnknownRoute } from './http/problems.ts';
import { projectRoutes } from './definitions/projects.ts';
import { logRequests } from './http/request-log.ts';
import { parseJsonBody, refuseUnstorable } from './http/request-text.ts';
import { retentionRoutes } from './retention.ts';
import { schedulePreviewRoute } from './schedules/schedule-preview.ts';
import { scheduleRoutes } from './schedules/schedules.ts';
import { schemaRoutes } from './openapi/schemas.ts';
import { secretRoutes } from './definitions/secrets.ts';
import { createEventStreams } from './http/server-sent-events.ts';
import { startRoutes } from './instances/starts.ts';
import { taskInstanceRoutes } from './instances/task-instances.ts';
import { taskLogRoutes } from './instances/task-log.ts';
import { tokenRoutes } from './tokens.ts';
import { workerGroupRoutes } from './worker-groups.ts';
import { workflowPutRoute } from './definitions/workflow-put.ts';
import { workflowDeleteRoute, workflowReadRoutes } from './definitions/workflows.ts';

const BODY_LIMIT = 1024 * 1024;
const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

/**
 * Registers the REST API, `/healthz`, `/readyz` and `/metrics` in a scope of their own, so that the hooks (default deny,
 * problem+json, request log) do not touch other routes of the application; unknown routes everywhere are answered here.
 *
 * @throws when a route names no permission
 */
export async function apiRoutes(app: FastifyInstance, deps: ApiDeps): Promise<void> {
  await app.register(async (scope) => {
    const api: Api = scope.withTypeProvider<ZodTypeProvider>();
    prepare(api, deps);
    await openApiRoutes(api, deps.version);
    const streams = createEventStreams();
    api.addHook('preClose', async () => streams.close());
    const reader = createDefinitionReader(deps.taskTypes);
    healthRoutes(api, deps);
    metricRoutes(api, deps);
    operationRoutes(api, deps);
    schemaRoutes(api, deps);
    projectRoutes(api, deps);
    workflowReadRoutes(api, deps);
    workflowPutRoute(api, deps, reader);
    workflowDeleteRoute(api, deps);
    applyRoutes(api, deps, reader);
    blobRoutes(api, deps);
    startRoutes(api, deps);
    instanceRoutes(api, deps);
    instanceOperationRoutes(api, deps);
    bulkOperationRoutes(api, deps);
    backfillRoutes(api, deps);
    instanceExplanationRoutes(api, deps);
    liveRoutes(api, deps, streams);
    taskInstanceRoutes(api, deps);
    taskLogRoutes(api, deps, streams);
    scheduleRoutes(api, deps);
    schedulePreviewRoute(api, deps);
    calendarRoutes(api, deps);
    secretRoutes(api, deps);
    datasourceRoutes(api, deps);
    tokenRoutes(api, deps);
    workerGroupRoutes(api, deps);
    retentionRoutes(api, deps);
  });
}

/** `/healthz`, `/readyz` and `/metrics` alone, for a process without the api. */
export async function watchRoutes(app: FastifyInstance, deps: ApiDeps): Promise<void> {
  await app.register(async (scope) => {
    const api: Api = scope.withTypeProvider<ZodTypeProvider>();
    prepare(api, deps);
    healthRoutes(api, deps);
    metricRoutes(api, deps);
  });
}

function prepare(api: Api, { store, log }: ApiDeps): void {
  api.setValidatorCompiler(validatorCompiler);
  api.setSerializerCompiler(serializerCompiler);
  api.decorateRequest('caller', null);
  api.addHook('onRoute', refuseUndeclared);
  api.addHook('onRoute', (route) => {
    route.bodyLimit ??= BODY_LIMIT;
    route.schema = {
      ...route.schema,
      response: { ...(route.schema?.response as object | undefined), default: PROBLEM_RESPONSE },
    };
  });
  api.addHook('onRequest', async (_request, reply) => void reply.headers(HEADERS));
  api.addHook('onRequest', authenticate(store.tokens));
  api.addHook('onResponse', logRequests(log));
  api.addHook('preValidation', async ({ params, query }) => {
    refuseUnstorable(params, 'params');
    refuseUnstorable(query, 'query');
  });
  api.setErrorHandler(answerProblems(log));
  api.setNotFoundHandler(answerUnknownRoute);
  acceptOnlyJson(api);
}

/** JSON, also without a body where the schema allows none; anything else is 415. */
function acceptOnlyJson(api: Api): void {
  api.removeAllContentTypeParsers();
  api.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    parseJsonBody(body),
  );
}
