import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '@keelson/protocol';
import type { Store } from '@keelson/store';
import type { Permission } from './permissions.ts';
import { ROLE_PERMISSIONS } from './permissions.ts';

/** Who makes a request. */
export interface Caller {
  readonly id: string;
  readonly name: string;
  readonly role: keyof typeof ROLE_PERMISSIONS;
}

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | null;
  }
}

const BEARER = /^bearer +([\x21-\x7e]{1,512}) *$/i;

/** An `onRequest` hook, so that nothing of a body is read for a caller who may not send one. */
export function authenticate(tokens: Store['tokens']) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const permission = request.routeOptions.config.permission;
    if (permission === 'public') return;
    const caller = await callerOf(tokens, request.headers.authorization);
    if (typeof caller === 'string') {
      reply.header('www-authenticate', 'Bearer realm="keelson"');
      throw new ApiError('unauthenticated', caller);
    }
    request.caller = caller;
    if (request.is404) return;
    requirePermission(request, permission);
  };
}

/** Throws `forbidden`. For a route whose body decides what else its caller must be allowed to do. */
export function requirePermission({ caller }: FastifyRequest, permission: Permission | undefined): void {
  if (caller !== null && permission !== undefined && ROLE_PERMISSIONS[caller.role].has(permission)) return;
  throw new ApiError(
    'forbidden',
    `role ${caller?.role ?? 'none'} of token "${caller?.name ?? ''}" lacks the permission ${permission ?? 'for this route'}`,
  );
}

async function callerOf(tokens: Store['tokens'], header: string | undefined): Promise<Caller | string> {
  if (header === undefined) return 'the request carries no Authorization header';
  const token = BEARER.exec(header)?.[1];
  if (token === undefined) return 'the Authorization header is not of the form "Bearer TOKEN"';
  return (await tokens.verify(token)) ?? 'the token is unknown, expired or revoked';
}

/** The caller of a route that is not public. */
export function callerName(request: FastifyRequest): string {
  if (request.caller === null)
    throw new Error(`${request.method} ${request.routeOptions.url ?? ''} was reached without a caller`);
  return request.caller.name;
}
