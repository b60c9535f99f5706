import { z } from 'zod';
import { ApiError, scalar, taskInstanceDetail } from '@keelson/protocol';
import type { TaskInstance, TaskInstanceDetail } from '@keelson/protocol';
import { parseTaskInstanceId, taskInstanceId } from '@keelson/store';
import type { Store, TaskInstance as StoredTask, TaskInstanceKey } from '@keelson/store';
import type { Api, ApiDeps } from '../deps.ts';

const byId = z.object({ id: scalar.id });

export function taskInstanceRoutes(api: Api, { store }: ApiDeps): void {
  api.get(
    '/api/v1/task-instances/:id',
    {
      config: { permission: 'instances:read' },
      schema: {
        summary: 'Read a task instance with its attempts, outputs and artifacts',
        params: byId,
        response: { 200: taskInstanceDetail },
      },
    },
    async ({ params }) => taskDetail(store, keyOf(params.id)),
  );
  api.get(
    '/api/v1/task-instances/:id/artifacts/*',
    {
      exposeHeadRoute: false,
      config: { permission: 'logs:read' },
      schema: {
        summary: 'Download an artifact',
        produces: ['application/octet-stream'],
        params: byId.extend({ '*': z.string().min(1).max(1024) }),
      },
    },
    async ({ params }, reply) => {
      const task = await requireTask(store, keyOf(params.id));
      const path = params['*'];
      const found = task.artifacts.find((artifact) => artifact.path === path);
      const content = found && (await store.blobs.get(found.sha256));
      if (found === undefined || content === undefined)
        throw new ApiError('unknown-artifact', `${params.id} has no artifact ${JSON.stringify(path)}`);
      const name = encodeURIComponent(path.split('/').at(-1) ?? '');
      return reply
        .headers({
          'content-length': found.size,
          etag: `"${found.sha256}"`,
          'content-disposition': `attachment; filename*=UTF-8''${name}`,
        })
        .type('application/octet-stream')
        .send(content);
    },
  );
}

/** Throws `unknown-task-instance` for a text that is no id. */
export function keyOf(id: string): TaskInstanceKey {
  const key = parseTaskInstanceId(id);
  if (key === undefined) throw unknownTask(id);
  return key;
}

export async function requireTask(store: Store, key: TaskInstanceKey): Promise<StoredTask> {
  const task = await store.instances.task(key);
  if (task !== undefined) return task;
  if (await store.retention.isArchived(key.instanceId))
    throw new ApiError('instance-archived', `instance ${key.instanceId} has ended, and was removed by retention since`);
  throw unknownTask(taskInstanceId(key));
}

function unknownTask(id: string): ApiError {
  return new ApiError('unknown-task-instance', `there is no task instance ${JSON.stringify(id)}`);
}

export async function taskDetail(store: Store, key: TaskInstanceKey): Promise<TaskInstanceDetail> {
  const task = await requireTask(store, key);
  const [attempts, instance, subtasks] = await Promise.all([
    store.instances.attempts(key),
    store.instances.get(key.instanceId),
    task.broadcast === undefined ? undefined : store.instances.subtasks(key),
  ]);
  const version = instance && (await store.definitions.versionById(instance.versionId));
  const definition = version?.definition.tasks[key.task];
  return {
    ...restTask(task),
    definition: definition === undefined ? {} : JSON.parse(JSON.stringify(definition)),
    outputs: task.outputs ?? null,
    artifacts: [...task.artifacts],
    attempts,
    ...(subtasks === undefined ? {} : { subtasks }),
  };
}

export function restTask({ artifacts, outputs: _outputs, needs, ...task }: StoredTask): TaskInstance {
  return { ...task, needs: [...needs], artifactCount: artifacts.length };
}
