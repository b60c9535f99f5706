import { z } from 'zod';
import { pageOf, pageQuery, project, projectParams, scalar } from '@keelson/protocol';
import type { Api, ApiDeps } from '../deps.ts';
import { restPage } from '../http/rest-page.ts';

const named = z.object({ project: scalar.name });

export function projectRoutes(api: Api, { store }: ApiDeps): void {
  api.get(
    '/api/v1/projects',
    {
      config: { permission: 'projects:read' },
      schema: { summary: 'List the projects', querystring: pageQuery, response: { 200: pageOf(project) } },
    },
    async ({ query }) => restPage(await store.projects.list(query), (item) => item),
  );
  api.get(
    '/api/v1/projects/:project/params',
    {
      config: { permission: 'projects:read' },
      schema: { summary: "Read a project's parameters", params: named, response: { 200: projectParams } },
    },
    async ({ params }) => ({ params: await store.projects.params(params.project) }),
  );
  api.put(
    '/api/v1/projects/:project/params',
    {
      config: { permission: 'params:write' },
      schema: {
        summary: "Replace all of a project's parameters",
        params: named,
        body: projectParams,
        response: { 200: projectParams },
      },
    },
    async ({ params, body }) => {
      await store.projects.setParams(params.project, body.params);
      return body;
    },
  );
}
