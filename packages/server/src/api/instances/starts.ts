import { createHash } from 'node:crypto';
import { Counter } from 'prom-client';
import { z } from 'zod';
import { canonicalJson } from '@keelson/core';
import { ApiError, idempotencyKey, scalar, startRequest, startResponse } from '@keelson/protocol';
import { callerName } from '../http/authenticate.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { freshReads } from '../http/fresh-read.ts';
import { codeSent, pathOf } from '../http/problems.ts';
import { resolvedParams } from './resolved-params.ts';
import { unknownVersion } from '../definitions/workflows.ts';

const named = z.object({ project: scalar.name, workflow: scalar.name });
/** Other headers are none of the schema's business. */
const keyHeader = z.looseObject({ 'idempotency-key': idempotencyKey.optional() });
type Named = z.infer<typeof named>;

export function startRoutes(api: Api, { store, wake, log, metrics }: ApiDeps): void {
  const refused = new Counter({
    name: 'keelson_starts_refused_total',
    help: 'Start calls that were answered with a problem, by its code',
    labelNames: ['code'],
    registers: metrics === undefined ? [] : [metrics],
  });
  const basisOf = freshReads(async (key) => {
    const { project, workflow, version } = JSON.parse(key) as Named & { version?: number };
    const found = await store.definitions.startBasis({ project, name: workflow }, version);
    if (found === undefined) throw await unknownVersion(store, { project, workflow }, version);
    return found;
  });

  api.post(
    '/api/v1/projects/:project/workflows/:workflow/instances',
    {
      config: { permission: 'instances:start' },
      // No start is refused in silence.
      onResponse: async (request, reply) => {
        if (reply.statusCode < 400) return;
        const code = codeSent(reply) ?? String(reply.statusCode);
        refused.inc({ code });
        log.warn({ path: pathOf(request), code, by: request.caller?.name }, 'a start was refused');
      },
      // Everything in the body is optional, and so is the body.
      preValidation: async (request) => void (request.body ??= {}),
      schema: {
        summary: 'Start an instance; with an Idempotency-Key a repeated call starts nothing new',
        params: named,
        headers: keyHeader,
        body: startRequest,
        response: { 200: startResponse, 201: startResponse },
      },
    },
    async (request, reply) => {
      const { project, workflow } = request.params;
      const { body } = request;
      const basis = await basisOf(JSON.stringify({ project, workflow, version: body.version }));
      const runTime = new Date(body.runTime ?? Date.now()).toISOString();
      const { definition, projectParams } = basis;
      const params = resolvedParams({ definition, projectParams, start: body.params ?? {}, runTime });
      const priority = body.priority ?? 0;
      const key = request.headers['idempotency-key'];
      const outcome = await store.starts.start({
        workflowId: basis.workflowId,
        versionId: basis.versionId,
        taskCount: basis.taskCount,
        params,
        runTime,
        priority,
        createdBy: callerName(request),
        ...(key !== undefined && { idempotency: { key, bodyHash: bodyHash(body) } }),
      });
      if (outcome.kind === 'key-conflict') {
        throw new ApiError(
          'idempotency-key-conflict',
          `the key has started instance ${outcome.instanceId} with another body`,
        );
      }
      // Also when it exists: the first call's wake-up may have been lost with its answer.
      const queued = outcome.kind === 'created' ? outcome.queued : undefined;
      if (queued !== true) wake.command();
      if (queued !== false) wake.followup('admission');
      const id = outcome.instanceId;
      reply.header('location', `/api/v1/instances/${id}`);
      if (outcome.kind === 'existing') return reply.code(200).send(await existing(store, id));
      return reply.code(201).send({ id, project, workflow, version: basis.version, runTime, priority, params });
    },
  );
}

/** Of the request as it was sent: what it leaves open (the version, the time) does not make it another one. */
export function bodyHash(body: Parameters<typeof canonicalJson>[0]): string {
  return createHash('sha256').update(canonicalJson(body)).digest('hex');
}

async function existing(store: ApiDeps['store'], id: string) {
  const found = await store.instances.get(id);
  // Retention has taken the instance, the key still stands.
  if (found === undefined)
    throw new ApiError('unknown-instance', `the key has started instance ${id}, which is no longer kept`);
  const { project, workflow, version, runTime, priority, params } = found;
  return { id, project, workflow, version, runTime, priority, params };
}
