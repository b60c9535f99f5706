import { z } from 'zod';
import { explain } from '@keelson/core';
import type { TaskState } from '@keelson/core';
import { commandError, historyEntry, historyQuery, pageOf, scalar, why } from '@keelson/protocol';
import type { Why } from '@keelson/protocol';
import { taskInstanceId } from '@keelson/store';
import type { Store } from '@keelson/store';
import type { Api, ApiDeps } from '../deps.ts';
import { absentInstance, requireInstance } from './instances.ts';
import { restPage } from '../http/rest-page.ts';

const byId = z.object({ id: scalar.id });

/** What happened to an instance, and why it is where it is. */
export function instanceExplanationRoutes(api: Api, { store }: ApiDeps): void {
  api.get(
    '/api/v1/instances/:id/history',
    {
      config: { permission: 'instances:read' },
      schema: {
        summary: 'List what the engine did for an instance, oldest first',
        params: byId,
        querystring: historyQuery,
        response: { 200: pageOf(historyEntry) },
      },
    },
    async ({ params, query: { asked, ...request } }) => {
      const page = await store.instances.history(params.id, request, { asked });
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
        response: { 200: pageOf(commandError) },
      },
    },
    async ({ params }) => {
      const items = await store.instances.commandErrors(params.id);
      if (items.length === 0) await requireInstance(store, params.id);
      return { items, next: null };
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
}

async function explained(store: Store, id: string): Promise<Why> {
  const [facts, found] = await Promise.all([store.why.facts(id), store.instances.get(id)]);
  if (facts === undefined || found === undefined) throw await absentInstance(store, id);
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
