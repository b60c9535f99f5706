import assert from 'node:assert/strict';
import { test } from 'node:test';
import Fastify from 'fastify';
import { ROLES } from '@keelson/protocol';
import { openApiDocument } from '../openapi/openapi-document.ts';
import { refuseUndeclared, ROLE_PERMISSIONS } from './permissions.ts';
import type { Permission } from './permissions.ts';
import { apiHarness } from '../testing/harness.ts';

interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'HEAD';
  readonly path: string;
  readonly permission: Permission | undefined;
}

/** All routes, as the OpenAPI document lists them, with something harmless in the place of each parameter. */
async function allRoutes(): Promise<Route[]> {
  const { paths } = (await openApiDocument('0')) as {
    paths: Record<string, Record<string, { 'x-permission'?: Permission }>>;
  };
  return Object.entries(paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase() as Route['method'],
      path: template.replaceAll('{sha256}', '0'.repeat(64)).replaceAll(/\{[^}]+\}|\*/g, 'none'),
      permission: operation['x-permission'],
    })),
  );
}

test('only /healthz and /readyz answer without a token, and no token that is wrong opens a route', async (t) => {
  const { app } = await apiHarness(t);
  const open: string[] = [];
  for (const { method, path } of await allRoutes()) {
    for (const authorization of [undefined, 'Bearer wrong', 'Basic eDp5', 'Bearer']) {
      const answer = await app.inject({
        method,
        url: path,
        headers: authorization === undefined ? {} : { authorization },
      });
      if (answer.statusCode !== 401) open.push(path);
      else assert.match(String(answer.headers['www-authenticate']), /^Bearer/, path);
    }
  }
  assert.deepEqual([...new Set(open)], ['/healthz', '/readyz']);
});

test('each role reaches exactly the routes of its permissions', async (t) => {
  const { app, tokenOf } = await apiHarness(t);
  const routes = (await allRoutes()).filter(({ permission }) => permission !== undefined);
  assert.ok(routes.length > 35);
  for (const role of ROLES) {
    const token = await tokenOf(role);
    for (const { method, path, permission } of routes) {
      const answer = await app.inject({ method, url: path, headers: { authorization: `Bearer ${token}` } });
      const allowed = permission !== undefined && ROLE_PERMISSIONS[role].has(permission);
      assert.equal(answer.statusCode !== 403, allowed, `${role}: ${method} ${path} answered ${answer.statusCode}`);
      assert.notEqual(answer.statusCode, 401, path);
      assert.ok(answer.statusCode < 500, `${role}: ${method} ${path} answered ${answer.body}`);
    }
  }
});

test('a route that names no permission stops the server from starting', async () => {
  const app = Fastify();
  app.addHook('onRoute', refuseUndeclared);
  assert.throws(() => app.get('/forgotten', async () => 'open'), /GET \/forgotten names no permission/);
  await app.close();
});

test('a worker has no permission here, and a viewer may change nothing', () => {
  assert.deepEqual([...ROLE_PERMISSIONS.worker], []);
  assert.deepEqual(
    [...ROLE_PERMISSIONS.viewer].filter((permission) => !permission.endsWith(':read')),
    [],
  );
});

test('a revoked token is refused', async (t) => {
  const { app, call, store } = await apiHarness(t);
  const made = await call('POST', '/api/v1/tokens', { name: 'ci', role: 'viewer' });
  assert.equal(made.statusCode, 201);
  const { id, token } = made.json<{ id: string; token: string }>();
  assert.equal((await call('DELETE', `/api/v1/tokens/${id}`)).statusCode, 204);
  assert.equal((await call('DELETE', `/api/v1/tokens/${id}`)).json().code, 'unknown-token');
  assert.equal((await app.inject({ url: '/api/v1', headers: { authorization: `Bearer ${token}` } })).statusCode, 401);
  const listed = (await call('GET', '/api/v1/tokens')).json<{ items: { id: string; revokedAt: string | null }[] }>();
  assert.notEqual(listed.items.find((item) => item.id === id)?.revokedAt, null);
  assert.doesNotMatch(JSON.stringify(await store.tokens.list()), new RegExp(token));
});
