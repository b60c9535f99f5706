import { z } from 'zod';
import {
  forceSuccessRequest,
  instanceGeneration,
  nothing,
  operationResponse,
  pageOf,
  priorityRequest,
  recoverRequest,
  rerunRequest,
  scalar,
} from '@keelson/protocol';
import type { OperationResponse } from '@keelson/protocol';
import type { FastifyRequest } from 'fastify';
import { callerName } from '../http/authenticate.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { absentInstance } from './instances.ts';
import type { AskedOperation } from './operate.ts';
import { operate } from './operate.ts';

const byId = z.object({ id: scalar.id });
const byTask = byId.extend({ task: z.string().max(64) });
const response = { 202: operationResponse };

/** Everything in the body is optional, and so is the body. */
const preValidation = async (request: FastifyRequest): Promise<void> => void (request.body ??= {});

type Ask = (request: FastifyRequest, id: string, asked: AskedOperation) => Promise<OperationResponse>;

/** What an operator asks of one instance or one of its tasks; each answers 202 and is asked for again without harm. */
export function instanceOperationRoutes(api: Api, { store, wake }: ApiDeps): void {
  const ask: Ask = async (request, id, asked) => {
    const answer = await operate(store, id, asked, callerName(request));
    // Also when it was asked for before: that wake-up may have been lost.
    wake.command();
    if (answer.generation !== undefined) wake.followup('admission');
    return { id, operation: asked.operation, ...answer };
  };
  liveRoutes(api, ask);
  generationRoutes(api, ask);
  taskRoutes(api, ask);
  api.get(
    '/api/v1/instances/:id/generations',
    {
      config: { permission: 'instances:read' },
      schema: {
        summary: 'List the generations of an instance, oldest first',
        params: byId,
        response: { 200: pageOf(instanceGeneration) },
      },
    },
    async ({ params: { id } }) => {
      const items = await store.instances.generations(id);
      if (items.length === 0) throw await absentInstance(store, id);
      return { items, next: null };
    },
  );
}

function liveRoutes(api: Api, ask: Ask): void {
  const plain = {
    pause: { permission: 'instances:pause', summary: 'Pause an instance: running tasks finish, nothing new starts' },
    resume: { permission: 'instances:pause', summary: 'Let a paused instance go on' },
    stop: { permission: 'instances:stop', summary: 'Ask for the end of an instance: what runs is killed' },
  } as const;
  for (const operation of ['pause', 'resume', 'stop'] as const) {
    const { permission, summary } = plain[operation];
    api.post(
      `/api/v1/instances/:id/${operation}`,
      { preValidation, config: { permission }, schema: { summary, params: byId, body: nothing, response } },
      async (request, reply) => reply.code(202).send(await ask(request, request.params.id, { operation })),
    );
  }
  api.post(
    '/api/v1/instances/:id/priority',
    {
      config: { permission: 'instances:priority' },
      schema: { summary: 'Change the priority of an instance', params: byId, body: priorityRequest, response },
    },
    async (request, reply) =>
      reply.code(202).send(await ask(request, request.params.id, { operation: 'priority', ...request.body })),
  );
}

function generationRoutes(api: Api, ask: Ask): void {
  api.post(
    '/api/v1/instances/:id/rerun',
    {
      preValidation,
      config: { permission: 'instances:rerun' },
      schema: {
        summary: 'Begin an ended instance again: all of it, from a task on, or one task',
        params: byId,
        body: rerunRequest,
        response,
      },
    },
    async (request, reply) =>
      reply.code(202).send(await ask(request, request.params.id, { operation: 'rerun', ...request.body })),
  );
  api.post(
    '/api/v1/instances/:id/recover',
    {
      preValidation,
      config: { permission: 'instances:rerun' },
      schema: {
        summary: 'Begin an ended instance again with what failed or never ran',
        params: byId,
        body: recoverRequest,
        response,
      },
    },
    async (request, reply) =>
      reply.code(202).send(await ask(request, request.params.id, { operation: 'recover', ...request.body })),
  );
}

function taskRoutes(api: Api, ask: Ask): void {
  api.post(
    '/api/v1/instances/:id/tasks/:task/skip',
    {
      preValidation,
      config: { permission: 'tasks:skip' },
      schema: { summary: 'Skip a task that has not started', params: byTask, body: nothing, response },
    },
    async (request, reply) => {
      const { id, task } = request.params;
      return reply.code(202).send(await ask(request, id, { operation: 'skip', task }));
    },
  );
  api.post(
    '/api/v1/instances/:id/tasks/:task/force-success',
    {
      preValidation,
      config: { permission: 'tasks:force-success' },
      schema: {
        summary: 'Count a failed task of an ended instance as succeeded, and run what waited for it',
        params: byTask,
        body: forceSuccessRequest,
        response,
      },
    },
    async (request, reply) => {
      const { id, task } = request.params;
      return reply.code(202).send(await ask(request, id, { operation: 'force-success', task, ...request.body }));
    },
  );
}
