import { z } from 'zod';
import { definitionJsonSchema } from '@keelson/core';
import { pageOf, taskTypeInfo } from '@keelson/protocol';
import type { Api, ApiDeps } from '../deps.ts';

const anyObject = z.record(z.string(), z.unknown());

/** What a definition may hold, for editors and people. */
export function schemaRoutes(api: Api, { taskTypes }: ApiDeps): void {
  const definition = definitionJsonSchema(taskTypes);
  const items = [...taskTypes.values()].map(({ name, summary, input }) => ({
    name,
    summary,
    input: z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' }) as Record<string, unknown>,
  }));
  api.get(
    '/api/v1/task-types',
    {
      config: { permission: 'schema:read' },
      schema: {
        summary: 'List the task types with the JSON Schema of their input',
        response: { 200: pageOf(taskTypeInfo) },
      },
    },
    async () => ({ items, next: null }),
  );
  api.get(
    '/api/v1/schema',
    {
      config: { permission: 'schema:read' },
      schema: { summary: 'JSON Schema of a workflow definition', response: { 200: anyObject } },
    },
    async () => definition,
  );
}
