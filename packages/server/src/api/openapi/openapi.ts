import swagger from '@fastify/swagger';
import type { SwaggerTransformObject } from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { problem } from '@keelson/protocol';
import type { Api } from '../deps.ts';

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
        },
        url,
      };
    },
    transformObject: (document) =>
      withoutUnused(jsonSchemaTransformObject(document) as Components) as ReturnType<SwaggerTransformObject>,
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

interface Components {
  components?: { schemas?: Record<string, unknown> | undefined } | undefined;
}

/** The transformation lists every schema twice, as input and as output; only those that something refers to are of use. */
function withoutUnused(document: Components): Components {
  const { components, ...rest } = document;
  const schemas = components?.schemas ?? {};
  const used = new Set<string>();
  const visit = (value: unknown): void => {
    for (const [, name = ''] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (used.has(name)) continue;
      used.add(name);
      visit(schemas[name] ?? null);
    }
  };
  visit(rest);
  const kept = Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name)));
  return { ...document, components: { ...components, schemas: kept } };
}

export const PROBLEM_RESPONSE = {
  description: 'Refused',
  content: { 'application/problem+json': { schema: problem } },
};
