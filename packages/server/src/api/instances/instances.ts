import { z } from 'zod';
import {
  ApiError,
  instance,
  instanceDetail,
  instanceListQuery,
  pageOf,
  scalar,
  taskInstanceDetail,
} from '@keelson/protocol';
import type { InstanceDetail } from '@keelson/protocol';
import type { Store } from '@keelson/store';
import type { Api, ApiDeps } from '../deps.ts';
import { restPage } from '../http/rest-page.ts';
import { restTask, taskDetail } from './task-instances.ts';

const byId = z.object({ id: scalar.id });

export function instanceRoutes(api: Api, { store }: ApiDeps): void {
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
    async ({ query: { limit, cursor, ...filter } }) =>
      restPage(await store.instances.list(filter, { limit, cursor }), (item) => item),
  );
  api.get(
    '/api/v1/instances/:id',
    {
      config: { permission: 'instances:read' },
      schema: { summary: 'Read an instance with its task instances', params: byId, response: { 200: instanceDetail } },
    },
    async ({ params }) => readInstance(store, params.id),
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
}

/** An instance with its tasks, as the outside sees it. Throws `unknown-instance`. */
export async function readInstance(store: Store, id: string): Promise<InstanceDetail> {
  // The instance first: when it has ended, so have the tasks that are read after it.
  const found = await store.instances.get(id);
  if (found === undefined) throw await absentInstance(store, id);
  const tasks = await store.instances.tasks(id);
  return { ...found, counts: { ...found.counts }, tasks: tasks.map(restTask) };
}

/** Throws `unknown-instance`. */
export async function requireInstance(store: Store, id: string): Promise<void> {
  if ((await store.instances.workflowOf(id)) === undefined) throw await absentInstance(store, id);
}

/** What to say of an instance that was not found. */
export async function absentInstance({ retention }: Pick<Store, 'retention'>, id: string): Promise<ApiError> {
  if (await retention.isArchived(id))
    return new ApiError('instance-archived', `instance ${id} has ended, and was removed by retention since`);
  return unknownInstance(id);
}

export function unknownInstance(id: string): ApiError {
  return new ApiError('unknown-instance', `there is no instance ${JSON.stringify(id)}`);
}
