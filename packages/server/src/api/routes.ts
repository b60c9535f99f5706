import type { FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { applyRoutes } from './apply.ts';
import { authenticate } from './authenticate.ts';
import { backfillRoutes } from './backfills.ts';
import { blobRoutes } from './blobs.ts';
import { bulkOperationRoutes } from './bulk-operations.ts';
import { calendarRoutes } from './calendars.ts';
import { datasourceRoutes } from './datasources.ts';
import { createDefinitionReader } from './definition-source.ts';
import type { Api, ApiDeps } from './deps.ts';
import { healthRoutes } from './health.ts';
import { instanceExplanationRoutes } from './instance-explanations.ts';
import { instanceOperationRoutes } from './instance-operations.ts';
import { instanceRoutes } from './instances.ts';
import { liveRoutes } from './live.ts';
import { metricRoutes } from './metrics.ts';
import { openApiRoutes, PROBLEM_RESPONSE } from './openapi.ts';
import { operationRoutes } from './operations.ts';
import { refuseUndeclared } from './permissions.ts';
import { answerProblems, answerUnknownRoute } from './problems.ts';
import { projectRoutes } from './projects.ts';
import { logRequests } from './request-log.ts';
import { parseJsonBody, refuseUnstorable } from './request-text.ts';
import { retentionRoutes } from './retention.ts';
import { schedulePreviewRoute } from './schedule-preview.ts';
import { scheduleRoutes } from './schedules.ts';
import { schemaRoutes } from './schemas.ts';
import { secretRoutes } from './secrets.ts';
import { createEventStreams } from './server-sent-events.ts';
import { startRoutes } from './starts.ts';
import { taskInstanceRoutes } from './task-instances.ts';
import { taskLogRoutes } from './task-log.ts';
import { tokenRoutes } from './tokens.ts';
import { workerGroupRoutes } from './worker-groups.ts';
import { workflowPutRoute } from './workflow-put.ts';
import { workflowDeleteRoute, workflowReadRoutes } from './workflows.ts';

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
