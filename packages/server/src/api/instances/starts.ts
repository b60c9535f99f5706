import type { FastifyReply } from 'fastify';
import { Counter } from 'prom-client';
import { z } from 'zod';
import { idempotencyKey, scalar, startRequest, startResponse } from '@keelson/protocol';
import type { StartRequest } from '@keelson/protocol';
import { callerName } from '../http/authenticate.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { freshReads } from '../http/fresh-read.ts';
import { codeSent, pathOf } from '../http/problems.ts';
import { bodyHash, keyConflict, planOrRepeat } from '../http/repeated-call.ts';
import { absentInstance } from './instances.ts';
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
  const plan = planner(store);
  const wakeAll = (): void => {
    wake.command();
    wake.followup('admission');
  };
  const answerBefore = async (reply: FastifyReply, id: string) => {
    reply.header('location', `/api/v1/instances/${id}`);
    return reply.code(200).send(await existing(store, id));
  };

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
      const { params: named, body } = request;
      const key = request.headers['idempotency-key'];
      const hash = bodyHash(body);
      const name = { project: named.project, name: named.workflow };
      const used = async () => (key === undefined ? undefined : store.usedKeys.start(name, key));
      const planned = await planOrRepeat('instance', () => plan(named, body), used, hash);
      if ('before' in planned) {
        // Its first wake-up may have been lost with its answer.
        wakeAll();
        return answerBefore(reply, planned.before);
      }
      const { basis, ...rest } = planned.plan;
      const outcome = await store.starts.start({
        workflowId: basis.workflowId,
        versionId: basis.versionId,
        taskCount: basis.taskCount,
        ...rest,
        createdBy: callerName(request),
        ...(key !== undefined && { idempotency: { key, bodyHash: hash } }),
      });
      if (outcome.kind === 'key-conflict') throw keyConflict('instance', outcome.instanceId);
      if (outcome.kind === 'existing') {
        wakeAll();
        return answerBefore(reply, outcome.instanceId);
      }
      if (outcome.queued) wake.followup('admission');
      else wake.command();
      const id = outcome.instanceId;
      reply.header('location', `/api/v1/instances/${id}`);
      return reply.code(201).send({ id, ...named, version: basis.version, ...rest });
    },
  );
}

/** Answers what a start call means now: version, time, parameters. Throws what is wrong with it. */
function planner(store: ApiDeps['store']) {
  const basisOf = freshReads(async (key) => {
    const { project, workflow, version } = JSON.parse(key) as Named & { version?: number };
    const found = await store.definitions.startBasis({ project, name: workflow }, version);
    if (found === undefined) throw await unknownVersion(store, { project, workflow }, version);
    return found;
  });
  return async ({ project, workflow }: Named, body: StartRequest) => {
    const basis = await basisOf(JSON.stringify({ project, workflow, version: body.version }));
    const { definition, projectParams } = basis;
    const runTime = new Date(body.runTime ?? Date.now()).toISOString();
    const params = resolvedParams({ definition, projectParams, start: body.params ?? {}, runTime });
    return { basis, runTime, priority: body.priority ?? 0, params };
  };
}

/** What the key has started. */
async function existing(store: ApiDeps['store'], id: string) {
  const found = await store.instances.get(id);
  // Retention may have taken it.
  if (found === undefined) throw await absentInstance(store, id);
  const { project, workflow, version, runTime, priority, params } = found;
  return { id, project, workflow, version, runTime, priority, params };
}
