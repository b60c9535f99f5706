import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { pathOf } from './problems.ts';

const QUIET = new Set(['/healthz', '/readyz', '/metrics']);

/** An `onResponse` hook: one line per request, without its query and headers. */
export function logRequests(log: Logger) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const level = QUIET.has(request.routeOptions.url ?? '') ? 'debug' : 'info';
    const { statusCode, elapsedTime } = reply;
    log[level](
      {
        method: request.method,
        path: pathOf(request),
        status: statusCode,
        ms: Math.round(elapsedTime * 10) / 10,
        by: request.caller?.name,
      },
      'request',
    );
  };
}
