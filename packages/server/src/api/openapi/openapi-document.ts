import Fastify from 'fastify';
import pino from 'pino';
import { taskTypes } from '@keelson/tasks';
import type { ApiDeps } from '../deps.ts';
import { apiRoutes } from '../routes.ts';

/** The OpenAPI document of the routes as they are in the code; needs no database, for no route is called but this one. */
export async function openApiDocument(version: string): Promise<Record<string, unknown>> {
  const app = Fastify({ logger: false });
  const tokens = { verify: async () => ({ id: '0', name: 'documentation', role: 'viewer' as const }) };
  const store = { tokens } as unknown as ApiDeps['store'];
  await apiRoutes(app, {
    store,
    log: pino({ level: 'silent' }),
    wake: { command: () => undefined, followup: () => undefined },
    version,
    taskTypes,
  });
  try {
    const { body, statusCode } = await app.inject({
      url: '/api/v1/openapi.json',
      headers: { authorization: 'Bearer documentation' },
    });
    if (statusCode !== 200) throw new Error(`the OpenAPI document cannot be made: ${body}`);
    return JSON.parse(body) as Record<string, unknown>;
  } finally {
    await app.close();
  }
}
