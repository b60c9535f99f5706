import swagger from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { problem } from '@keelson/protocol';
import type { Api } from './deps.ts';

/** Collects the routes that are registered after it, and serves them as one OpenAPI document. */
export async function openApiRoutes(api: Api, version: string): Promise<void> {
  await api.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Keelson',
        version,
        description: 'Errors are problem+json (RFC 9457) with a stable `code`.',
        license: { name: 'Apache-2.0' },
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    transform: (input) => {
      const { schema, url } = jsonSchemaTransform(input);
      const permission = input.route.config?.permission;
      return {
        schema: {
          ...schema,
          ...(permission === 'public' ? { security: [] } : { 'x-permission': permission }),
        } as typeof schema,
        url,
      };
    },
    transformObject: jsonSchemaTransformObject,
  });
  api.get(
    '/api/v1/openapi.json',
    {
      config: { permission: 'schema:read' },
      schema: { summary: 'This document', response: { 200: z.record(z.string(), z.unknown()) } },
    },
    async () => JSON.parse(JSON.stringify(api.swagger())) as Record<string, unknown>,
  );
}

export const PROBLEM_RESPONSE = {
  description: 'Refused',
  content: { 'application/problem+json': { schema: problem } },
};
