import { z } from 'zod';
import {
  ApiError,
  pageOf,
  scalar,
  workflow,
  workflowDetail,
  workflowListQuery,
  workflowVersion,
  workflowVersionQuery,
  pageQuery,
} from '@keelson/protocol';
import { callerName } from '../http/authenticate.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { restPage } from '../http/rest-page.ts';

const project = z.object({ project: scalar.name });
const named = project.extend({ workflow: scalar.name });
export function workflowReadRoutes(api: Api, { store }: ApiDeps): void {
  api.get(
    '/api/v1/projects/:project/workflows',
    {
      config: { permission: 'workflows:read' },
      schema: {
        summary: 'List the workflows of a project',
        params: project,
        querystring: workflowListQuery,
        response: { 200: pageOf(workflow) },
      },
    },
    async ({ params, query }) =>
      restPage(await store.definitions.list({ project: params.project, search: query.search }, query), (item) => ({
        ...item,
        crons: [...item.crons],
        triggers: [...item.triggers],
      })),
  );
  api.get(
    '/api/v1/projects/:project/workflows/:workflow',
    {
      config: { permission: 'workflows:read' },
      schema: {
        summary: 'Read one version of a workflow, by default the latest',
        params: named,
        querystring: workflowVersionQuery,
        response: { 200: workflowDetail },
      },
    },
    async ({ params, query }) => {
      const found = await store.definitions.get({ project: params.project, name: params.workflow }, query.version);
      if (found === undefined) throw await unknownVersion(store, params, query.version);
      return {
        ...found,
        taskCount: Object.keys(found.definition.tasks).length,
        files: [...found.files],
        definition: JSON.parse(JSON.stringify(found.definition)),
      };
    },
  );
  api.get(
    '/api/v1/projects/:project/workflows/:workflow/versions',
    {
      config: { permission: 'workflows:read' },
      schema: {
        summary: 'List the versions of a workflow, newest first',
        params: named,
        querystring: pageQuery,
        response: { 200: pageOf(workflowVersion) },
      },
    },
    async ({ params, query }) => {
      const name = { project: params.project, name: params.workflow };
      const page = await store.definitions.versions(name, query);
      if (page.items.length === 0 && query.cursor === undefined) throw await unknownVersion(store, params, undefined);
      return restPage(page, (item) => item);
    },
  );
}

export function workflowDeleteRoute(api: Api, { store }: ApiDeps): void {
  api.delete(
    '/api/v1/projects/:project/workflows/:workflow',
    {
      config: { permission: 'workflows:write' },
      schema: {
        summary: 'Delete a workflow; its versions and instances stay',
        params: named,
        response: { 204: z.undefined() },
      },
    },
    async (request, reply) => {
      const { project, workflow: name } = request.params;
      await store.definitions.delete({ project, name }, callerName(request));
      return reply.code(204).send();
    },
  );
}

/** The right refusal for a version that is not there. */
export async function unknownVersion(
  store: ApiDeps['store'],
  { project, workflow }: { project: string; workflow: string },
  version: number | undefined,
): Promise<ApiError> {
  const latest = version === undefined ? undefined : await store.definitions.get({ project, name: workflow });
  if (latest !== undefined)
    return new ApiError(
      'unknown-version',
      `${project}/${workflow} has no version ${version}; its latest is ${latest.version}`,
    );
  return new ApiError('unknown-workflow', `there is no workflow ${project}/${workflow}`);
}
