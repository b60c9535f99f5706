import { Counter } from 'prom-client';
import { z } from 'zod';
import { ApiError, createdToken, createTokenRequest, pageOf, scalar, token } from '@keelson/protocol';
import type { Api, ApiDeps } from './deps.ts';

export function tokenRoutes(api: Api, { store, log, metrics }: ApiDeps): void {
  const ended = new Counter({
    name: 'keelson_workers_revoked_total',
    help: 'Workers ended because the token that they joined with was revoked',
    registers: metrics === undefined ? [] : [metrics],
  });
  api.get(
    '/api/v1/tokens',
    {
      config: { permission: 'tokens:read' },
      schema: { summary: 'List the tokens, revoked and expired ones too', response: { 200: pageOf(token) } },
    },
    async () => ({ items: await store.tokens.list(), next: null }),
  );
  api.post(
    '/api/v1/tokens',
    {
      config: { permission: 'tokens:write' },
      schema: {
        summary: 'Make a token; only this answer carries it',
        body: createTokenRequest,
        response: { 201: createdToken },
      },
    },
    async ({ body }, reply) => {
      const { info, token: text } = await store.tokens.create(body);
      return reply.code(201).send({ ...info, token: text });
    },
  );
  api.delete(
    '/api/v1/tokens/:id',
    {
      config: { permission: 'tokens:write' },
      schema: {
        summary: 'Revoke a token; it counts within 5 s, and workers that joined with it end',
        params: z.object({ id: scalar.id }),
        response: { 204: z.undefined() },
      },
    },
    async ({ params }, reply) => {
      const revoked = await store.tokens.revoke(params.id);
      if (revoked === undefined)
        throw new ApiError('unknown-token', `there is no token ${JSON.stringify(params.id)} that is not revoked`);
      const { workers } = revoked;
      if (workers.length > 0) {
        ended.inc(workers.length);
        log.warn({ token: params.id, workers }, 'a token was revoked, and the workers that joined with it end');
      }
      return reply.code(204).send();
    },
  );
}
