import { z } from 'zod';
import { explain } from '@keelson/core';
import type { TaskState } from '@keelson/core';
import {
  ApiError,
  commandError,
  historyEntry,
  instance,
  instanceDetail,
  instanceListQuery,
  pageOf,
  pageQuery,
  scalar,
  stopResponse,
  taskInstanceDetail,
  why,
} from '@keelson/protocol';
import type { InstanceDetail, Why } from '@keelson/protocol';
import { taskInstanceId } from '@keelson/store';
import type { Store } from '@keelson/store';
import { callerName } from './authenticate.ts';
import type { Api, ApiDeps } from './deps.ts';
import { liveEvents } from './live.ts';
import { restPage } from './rest-page.ts';
import type { EventStreams } from './server-sent-events.ts';
import { restTask, taskDetail } from './task-instances.ts';

const byId = z.object({ id: scalar.id });
const INSTANCE_ID = /^[1-9][0-9]{0,17}$/;

export function instanceRoutes(api: Api, { store, wake }: ApiDeps, streams: EventStreams): void {
  api.get(
    '/api/v1/instances',
    {
      config: { permission: 'instances:read' },
      schema: {
        summary: 'List instances, newest first',
        querystring: instanceListQuery,
        response: { 200: pageOf(instance) },
      },
    },
    async ({ query: { project, workflow, state, ...page } }) =>
      restPage(await store.instances.list({ project, workflow, state }, page), (item) => item),
  );
  api.get(
    '/api/v1/instances/:id',
    {
      config: { permission: 'instances:read' },
      schema: { summary: 'Read an instance with its task instances', params: byId, response: { 200: instanceDetail } },
    },
    async ({ params }) => readInstance(store, params.id),
  );
  api.post(
    '/api/v1/instances/:id/stop',
    {
      config: { permission: 'instances:stop' },
      schema: {
        summary: 'Ask for the end of an instance; asking again is no error',
        params: byId,
        response: { 202: stopResponse },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const outcome = INSTANCE_ID.test(id) ? await store.starts.stop(id, callerName(request)) : 'unknown';
      if (outcome === 'unknown') throw unknownInstance(id);
      if (outcome === 'ended') throw new ApiError('instance-ended', `instance ${id} has ended`);
      wake.command();
      return reply.code(202).send({ id, outcome });
    },
  );
  api.get(
    '/api/v1/instances/:id/history',
    {
      config: { permission: 'instances:read' },
      schema: {
        summary: 'List what the engine did for an instance, oldest first',
        params: byId,
        querystring: pageQuery,
        response: { 200: pageOf(historyEntry) },
      },
    },
    async ({ params, query }) => {
      const page = await store.instances.history(params.id, query);
      if (page.items.length === 0) await requireInstance(store, params.id);
      return restPage(page, (entry) => ({ ...entry, events: [...entry.events] }));
    },
  );
  api.get(
    '/api/v1/instances/:id/command-errors',
    {
      config: { permission: 'instances:read' },
      schema: {
        summary: 'List the steps that could not be made',
        params: byId,
        response: { 200: z.object({ items: z.array(commandError) }) },
      },
    },
    async ({ params }) => {
      const items = await store.instances.commandErrors(params.id);
      if (items.length === 0) await requireInstance(store, params.id);
      return { items };
    },
  );
  api.get(
    '/api/v1/instances/:id/why',
    {
      config: { permission: 'instances:read' },
      schema: {
        summary: 'Say why an instance and each of its tasks is where it is',
        params: byId,
        response: { 200: why },
      },
    },
    async ({ params }) => explained(store, params.id),
  );
  api.get(
    '/api/v1/instances/:id/tasks/:task',
    {
      config: { permission: 'instances:read' },
      schema: {
        summary: 'Read a task instance by the name of its task',
        params: byId.extend({ task: z.string().max(64) }),
        response: { 200: taskInstanceDetail },
      },
    },
    async ({ params }) => {
      const key = await store.instances.findTask(params.id, params.task);
      if (key !== undefined) return taskDetail(store, key);
      await requireInstance(store, params.id);
      throw new ApiError('unknown-task', `instance ${params.id} has no task ${JSON.stringify(params.task)}`);
    },
  );
  api.get(
    '/api/v1/instances/:id/events',
    {
      exposeHeadRoute: false,
      config: { permission: 'instances:read' },
      schema: {
        summary: 'Watch an instance: server-sent events snapshot, instance, task, end',
        produces: ['text/event-stream'],
        params: byId,
      },
    },
    async (request, reply) => {
      const first = await readInstance(store, request.params.id);
      return streams.send(request, reply, (signal) => liveEvents(first, () => readInstance(store, first.id), signal));
    },
  );
}

/** An instance with its tasks, as the outside sees it. Throws `unknown-instance`. */
export async function readInstance(store: Store, id: string): Promise<InstanceDetail> {
  // The instance last: what it says of its end is never older than what the tasks say.
  const tasks = await store.instances.tasks(id);
  const found = await store.instances.get(id);
  if (found === undefined) throw unknownInstance(id);
  return { ...found, counts: { ...found.counts }, tasks: tasks.map(restTask) };
}

async function requireInstance(store: Store, id: string): Promise<void> {
  if ((await store.instances.workflowOf(id)) === undefined) throw unknownInstance(id);
}

function unknownInstance(id: string): ApiError {
  return new ApiError('unknown-instance', `there is no instance ${JSON.stringify(id)}`);
}

async function explained(store: Store, id: string): Promise<Why> {
  const [facts, found] = await Promise.all([store.why.facts(id), store.instances.get(id)]);
  if (facts === undefined || found === undefined) throw unknownInstance(id);
  const explanations = explain(facts);
  const { generation } = found;
  return {
    instance: {
      id,
      state: facts.instance.state,
      reasons: [
        ...(facts.instance.reason === null ? [] : [{ ...facts.instance.reason, since: found.endedAt, details: {} }]),
        ...explanations
          .filter(({ task }) => task === null)
          .map(({ code, message, since, details }) => ({ code, message, since, details })),
      ],
    },
    tasks: explanations.flatMap(({ task, state, code, message, since, details }) =>
      task === null
        ? []
        : [
            {
              id: taskInstanceId({ instanceId: id, generation, task }),
              task,
              state: state as TaskState,
              reasons: [{ code, message, since, details }],
            },
          ],
    ),
  };
}
