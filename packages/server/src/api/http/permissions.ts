import type { RouteOptions } from 'fastify';
import type { Role } from '@keelson/protocol';

const READ = [
  'server:read',
  'schema:read',
  'projects:read',
  'workflows:read',
  'schedules:read',
  'instances:read',
  'backfills:read',
  'logs:read',
  'nodes:read',
  'alerts:read',
  'doctor:read',
  'metrics:read',
  'retention:read',
] as const;
const OPERATE = [
  'workflows:write',
  'params:write',
  'schedules:pause',
  'calendars:write',
  'instances:start',
  'instances:stop',
  'backfills:create',
  'backfills:operate',
  'instances:pause',
  'instances:rerun',
  'instances:priority',
  'instances:bulk',
  'tasks:skip',
  'tasks:force-success',
  'secrets:read',
  'secrets:write',
  'datasources:read',
  'datasources:write',
  'datasources:test',
] as const;
const ADMINISTER = ['tokens:read', 'tokens:write', 'nodes:write', 'doctor:repair', 'retention:write'] as const;

export type Permission = (typeof READ)[number] | (typeof OPERATE)[number] | (typeof ADMINISTER)[number];

/** What each role may do. A worker's token is for the gateway only. */
export const ROLE_PERMISSIONS: Readonly<Record<Role, ReadonlySet<Permission>>> = {
  admin: new Set<Permission>([...READ, ...OPERATE, ...ADMINISTER]),
  operator: new Set<Permission>([...READ, ...OPERATE]),
  viewer: new Set<Permission>(READ),
  worker: new Set<Permission>(),
};

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a caller must be allowed to do; `public` answers without a token. */
    permission?: Permission | 'public';
  }
}

/** An `onRoute` hook: a route that does not say who may call it is a mistake of the program, found when the server starts. */
export function refuseUndeclared(route: RouteOptions): void {
  if (route.config?.permission === undefined) {
    throw new Error(`route ${String(route.method)} ${route.url} names no permission`);
  }
}
