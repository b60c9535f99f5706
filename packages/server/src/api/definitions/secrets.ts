import { z } from 'zod';
import { ApiError, pageOf, putSecretRequest, scalar, secret } from '@keelson/protocol';
import { callerName } from '../http/authenticate.ts';
import type { Api, ApiDeps } from '../deps.ts';

const project = z.object({ project: scalar.name });
const named = project.extend({ name: scalar.secretName });

export function secretRoutes(api: Api, { store }: ApiDeps): void {
  api.get(
    '/api/v1/projects/:project/secrets',
    {
      config: { permission: 'secrets:read' },
      schema: {
        summary: 'List the names of the secrets, never their values',
        params: project,
        response: { 200: pageOf(secret) },
      },
    },
    async ({ params }) => ({ items: await store.secrets.list(params.project), next: null }),
  );
  api.put(
    '/api/v1/projects/:project/secrets/:name',
    {
      config: { permission: 'secrets:write' },
      schema: { summary: 'Set a secret', params: named, body: putSecretRequest, response: { 204: z.undefined() } },
    },
    async (request, reply) => {
      const { params, body } = request;
      await store.secrets.set(params.project, params.name, body.value, callerName(request));
      return reply.code(204).send();
    },
  );
  api.delete(
    '/api/v1/projects/:project/secrets/:name',
    {
      config: { permission: 'secrets:write' },
      schema: { summary: 'Delete a secret', params: named, response: { 204: z.undefined() } },
    },
    async ({ params }, reply) => {
      if (!(await store.secrets.delete(params.project, params.name))) {
        throw new ApiError('unknown-secret', `project ${params.project} has no secret ${params.name}`);
      }
      return reply.code(204).send();
    },
  );
}
