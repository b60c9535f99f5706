import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import Fastify from 'fastify';
import pino from 'pino';
import { taskTypes } from '@keelson/tasks';
import type { ApiDeps } from '../deps.ts';
import { apiRoutes } from '../routes.ts';
import { apiHarness } from '../testing/harness.ts';

const JSON_BODY = { 'content-type': 'application/json' };

test('what cannot be read is refused with a stable code', async (t) => {
  const { call } = await apiHarness(t);
  const cases = [
    [400, 'malformed-body', await call('POST', '/api/v1/lint', '{ "source": ', JSON_BODY)],
    [400, 'malformed-body', await call('POST', '/api/v1/lint', '{ "__proto__": { "a": 1 } }', JSON_BODY)],
    [400, 'malformed-request', await call('GET', '/api/v1/instances/%zz')],
    [404, 'unknown-route', await call('GET', '/api/v1/nothing')],
    [404, 'unknown-route', await call('GET', `/api/v1/instances/${'9'.repeat(400)}`)],
    [404, 'unknown-instance', await call('GET', '/api/v1/instances/none')],
    [404, 'unknown-task-instance', await call('GET', '/api/v1/task-instances/none')],
    [404, 'unknown-task-instance', await call('GET', '/api/v1/task-instances/1.1.a/log?follow=true')],
    [415, 'unsupported-media-type', await call('POST', '/api/v1/lint', 'source', { 'content-type': 'text/plain' })],
    [
      415,
      'unsupported-media-type',
      await call('PUT', '/api/v1/projects/a/workflows/b', 'x', { 'content-type': 'image/png' }),
    ],
    [422, 'invalid-request', await call('GET', '/api/v1/projects/NOT%20A%20NAME/workflows')],
  ] as const;
  for (const [status, code, answer] of cases) {
    assert.equal(answer.statusCode, status, answer.body);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    const problem = answer.json();
    assert.equal(problem.code, code);
    assert.equal(problem.status, status);
    assert.ok(problem.title !== '' && problem.advice !== '');
  }
});

/** Announces a large body, sends its first kilobyte, and answers with what comes back before anything more is sent. */
async function announce(port: number, head: string, length: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`${head}\r\nhost: keelson\r\ncontent-length: ${length}\r\n\r\n${' '.repeat(1024)}`);
  let answer = '';
  for await (const chunk of socket) {
    answer += String(chunk);
    if (answer.includes('\r\n\r\n')) break;
  }
  socket.destroy();
  return answer;
}

test('a body of 100 MB is refused by its announced length, before it is sent', async (t) => {
  const { app, token } = await apiHarness(t);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const head = (line: string, type: string) =>
    `${line} HTTP/1.1\r\nauthorization: Bearer ${token}\r\ncontent-type: ${type}`;
  const start = 'POST /api/v1/projects/demo/workflows/daily/instances';
  assert.match(
    await announce(port, head(start, 'application/json'), 100_000_000),
    /^HTTP\/1\.1 413 [^]*connection: close/i,
  );
  assert.match(
    await announce(port, head('PUT /api/v1/projects/demo/workflows/daily', 'application/yaml'), 100_000_000),
    /^HTTP\/1\.1 413/,
  );
  const blob = `PUT /api/v1/blobs/${'0'.repeat(64)}`;
  assert.match(await announce(port, head(blob, 'application/octet-stream'), 1_000_000_000), /^HTTP\/1\.1 413/);
  const unauthenticated = `${start} HTTP/1.1\r\ncontent-type: application/json`;
  assert.match(await announce(port, unauthenticated, 100_000_000), /^HTTP\/1\.1 401/);
});

test('a body that grows over the limit without announcing it is cut off', async (t) => {
  const { app, token } = await apiHarness(t);
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  let sent = 0;
  const endless = new ReadableStream({
    pull(controller) {
      sent += 65_536;
      controller.enqueue(new Uint8Array(65_536).fill(32));
    },
  });
  const answer = await fetch(`${url}/api/v1/lint`, {
    method: 'POST',
    body: endless,
    duplex: 'half',
    headers: { authorization: `Bearer ${token}`, ...JSON_BODY },
  }).then(
    ({ status }) => status,
    () => 413,
  );
  assert.equal(answer, 413);
  assert.ok(sent < 100_000_000);
});

test('an error of the inside shows only its id, which the log has with the cause', async (t) => {
  const lines: string[] = [];
  const projects = { list: async () => Promise.reject(new Error('select secret from api_token')) };
  const tokens = { verify: async () => ({ id: '1', name: 'x', role: 'admin' as const }) };
  const app = Fastify({ logger: false });
  t.after(() => app.close());
  const store = { tokens, projects } as unknown as ApiDeps['store'];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  await apiRoutes(app, {
    store,
    log,
    wake: { command: () => undefined, followup: () => undefined },
    version: '0',
    taskTypes,
  });
  const answer = await app.inject({
    url: '/api/v1/projects?limit=5',
    headers: { authorization: 'Bearer very-private' },
  });
  assert.equal(answer.statusCode, 500);
  assert.doesNotMatch(answer.body, /select|at /);
  const { errorId } = answer.json();
  assert.ok(lines.some((line) => line.includes(errorId) && line.includes('select secret')));
  assert.ok(lines.every((line) => !line.includes('very-private') && !line.includes('limit=5')));
});

test('a database that is away is a 503 that says so, and readyz knows', async (t) => {
  const { app, store, token, call } = await apiHarness(t);
  assert.equal((await call('GET', '/readyz')).statusCode, 200);
  const gone = async () => Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
  t.mock.method(store.projects, 'list', gone);
  const answer = await app.inject({ url: '/api/v1/projects', headers: { authorization: `Bearer ${token}` } });
  assert.equal(answer.statusCode, 503);
  assert.equal(answer.json().code, 'database-unavailable');
});

test('each request is one line of the log, without query and token', async (t) => {
  const { call, lines, token } = await apiHarness(t);
  await call('GET', '/api/v1/instances?project=demo');
  await call('PUT', '/api/v1/projects/demo/secrets/PASSWORD', { value: 'hunter2-hunter2' });
  const requests = lines.filter(({ msg }) => msg === 'request');
  assert.deepEqual(
    requests.map(({ path, status, by }) => [path, status, by]),
    [
      ['/api/v1/instances', 200, 'test admin'],
      ['/api/v1/projects/demo/secrets/PASSWORD', 204, 'test admin'],
    ],
  );
  assert.ok(!JSON.stringify(lines).includes(token) && !JSON.stringify(lines).includes('hunter2'));
});

test('secrets and datasources are never given out', async (t) => {
  const { call } = await apiHarness(t);
  await call('PUT', '/api/v1/projects/demo/secrets/KEY', { value: 'hunter2' });
  const source = { kind: 'postgresql', host: '127.0.0.1', port: 1, database: 'd', user: 'u', password: 'hunter2' };
  assert.equal((await call('PUT', '/api/v1/projects/demo/datasources/warehouse', source)).statusCode, 204);
  const trial = await call('POST', '/api/v1/projects/demo/datasources/warehouse/test');
  assert.equal(trial.json().ok, false);
  assert.match(trial.json().error.message, /ECONNREFUSED/);
  const read = [
    await call('GET', '/api/v1/projects/demo/secrets'),
    await call('GET', '/api/v1/projects/demo/datasources'),
    await call('GET', '/api/v1/projects/demo/datasources/warehouse'),
  ];
  for (const answer of [trial, ...read]) assert.doesNotMatch(answer.body, /hunter2/);
  assert.equal(read[2]?.json().hasPassword, true);
  assert.equal((await call('DELETE', '/api/v1/projects/demo/secrets/KEY')).statusCode, 204);
  assert.equal((await call('DELETE', '/api/v1/projects/demo/secrets/KEY')).json().code, 'unknown-secret');
  assert.equal((await call('DELETE', '/api/v1/projects/demo/datasources/none')).json().code, 'unknown-datasource');
});

test('a datasource that is up is reached with its password', async (t) => {
  const { call, url } = await apiHarness(t);
  const { hostname, port, pathname, username, password } = new URL(url);
  const source = {
    kind: 'postgresql',
    host: hostname,
    port: Number(port),
    database: pathname.slice(1),
    user: username,
    password,
  };
  await call('PUT', '/api/v1/projects/demo/datasources/own', source);
  const trial = (await call('POST', '/api/v1/projects/demo/datasources/own/test')).json();
  assert.equal(trial.ok, true, JSON.stringify(trial));
  assert.match(trial.serverVersion, /^PostgreSQL/);
});
