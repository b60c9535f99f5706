import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { makeProblem } from '@keelson/protocol';
import type { KeelsonClient } from './client.ts';
import { KeelsonApiError, KeelsonConnectionError, allItems, createClient } from './client.ts';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

type Answer = (seen: Seen, response: ServerResponse, count: number) => void;

/** A server that writes down what it is asked; `count` is 1 for the first request. */
async function serve(
  context: TestContext,
  answer: Answer,
): Promise<{ client: KeelsonClient; seen: Seen[]; url: string }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => (body += part));
    request.on('end', () => {
      const one = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
      seen.push(one);
      answer(one, response, seen.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { client: createClient({ url, token: 'tk' }), seen, url };
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

const STARTED = {
  id: '7',
  project: 'demo',
  workflow: 'a',
  version: 1,
  runTime: '2026-01-01T00:00:00Z',
  priority: 0,
  params: {},
};

test('sends the token, and a start under a key of its own', async (context) => {
  const { client, seen } = await serve(context, (_seen, response) => json(response, 201, STARTED));
  const started = await client.start('demo', 'a', { params: { day: '2026-01-01' } });
  assert.equal(started.id, '7');
  assert.equal(started.repeated, false);
  assert.equal(seen[0]?.url, '/api/v1/projects/demo/workflows/a/instances');
  assert.equal(seen[0]?.headers.authorization, 'Bearer tk');
  assert.equal(seen[0]?.headers['idempotency-key'], started.idempotencyKey);
  assert.deepEqual(JSON.parse(seen[0]?.body ?? ''), { params: { day: '2026-01-01' } });
});

test('a start whose answer is lost is sent again with the same key and body', async (context) => {
  const { client, seen } = await serve(context, (_seen, response, count) => {
    if (count === 1) response.destroy();
    else if (count === 2) json(response, 503, makeProblem('database-unavailable'));
    else json(response, 200, STARTED);
  });
  const started = await client.start('demo', 'a', { priority: 3 });
  assert.equal(started.repeated, true);
  assert.equal(seen.length, 3);
  assert.deepEqual(new Set(seen.map(({ headers, body }) => `${String(headers['idempotency-key'])} ${body}`)).size, 1);
});

test('a call that is not repeatable is sent once; its outcome is said to be unknown', async (context) => {
  const { client, seen } = await serve(context, (_seen, response) => response.destroy());
  await assert.rejects(client.createToken({ name: 'x', role: 'viewer' }), {
    name: 'KeelsonConnectionError',
    kind: 'interrupted',
  });
  assert.equal(seen.length, 1);
});

test('an operation whose answer is lost is asked for again, unless that could begin two generations', async (context) => {
  const answer = { id: '7', operation: 'stop', outcome: 'already' };
  const lossy = () =>
    serve(context, (_seen, response, count) => (count === 1 ? response.destroy() : json(response, 202, answer)));
  for (const ask of [
    (client: KeelsonClient) => client.pauseInstance('7'),
    (client: KeelsonClient) => client.skipTask('7', 'a'),
    (client: KeelsonClient) => client.rerunInstance('7', { generation: 2 }),
    (client: KeelsonClient) => client.operateInstances({ operation: 'stop', filter: { state: 'running' } }),
  ]) {
    const { client, seen } = await lossy();
    await ask(client);
    assert.equal(seen.length, 2);
    assert.equal(seen[0]?.body, seen[1]?.body);
  }
  for (const ask of [
    (client: KeelsonClient) => client.rerunInstance('7', { from: 'a' }),
    (client: KeelsonClient) => client.recoverInstance('7'),
    (client: KeelsonClient) => client.operateInstances({ operation: 'recover', filter: { state: 'failed' } }),
  ]) {
    const { client, seen } = await lossy();
    await assert.rejects(ask(client), { kind: 'interrupted' });
    assert.equal(seen.length, 1);
  }
});

test('a refusal carries the code, the words and the issues of the problem', async (context) => {
  const issue = {
    severity: 'error' as const,
    code: 'cycle',
    message: 'a needs b needs a',
    path: 'tasks.a.needs[0]',
    line: 3,
    column: 5,
    file: 'a.yaml',
  };
  const { client } = await serve(context, (_seen, response) =>
    json(response, 422, makeProblem('invalid-definition', 'one error', { issues: [issue] })),
  );
  const error = await client.lint({ source: '' }).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof KeelsonApiError);
  assert.deepEqual([error.status, error.code, error.detail], [422, 'invalid-definition', 'one error']);
  assert.deepEqual(error.issues, [issue]);
});

test('nothing listens: one plain sentence, at once', async (context) => {
  const { url } = await serve(context, (_seen, response) => json(response, 200, {}));
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  await new Promise((resolve) => other.close(resolve));
  assert.notEqual(url, '');
  const error = await createClient({ url: `http://127.0.0.1:${port}`, token: 't' })
    .start('p', 'w')
    .catch((thrown: unknown) => thrown);
  assert.ok(error instanceof KeelsonConnectionError);
  assert.equal(error.kind, 'unreachable');
  assert.equal(error.message, `cannot reach Keelson at http://127.0.0.1:${port}: nothing listens there`);
});

test('something else than a Keelson is recognised', async (context) => {
  const { client } = await serve(context, (seen, response) => {
    response.writeHead(seen.url.endsWith('/nodes') ? 404 : 200, { 'content-type': 'text/html' }).end('<html>');
  });
  await assert.rejects(client.listNodes(), { kind: 'not-keelson', message: /answered 404, and not as a Keelson does/ });
  await assert.rejects(client.getServerInfo(), { kind: 'not-keelson', message: /not JSON/ });
  assert.throws(() => createClient({ url: 'localhost', token: '' }), {
    name: 'TypeError',
    message: /"localhost" is no URL/,
  });
});

test('a redirect is not followed: it would carry the token away', async (context) => {
  const { client, seen } = await serve(context, (_seen, response) =>
    response.writeHead(302, { location: '/elsewhere' }).end(),
  );
  await assert.rejects(client.createToken({ name: 'x', role: 'viewer' }), { name: 'KeelsonConnectionError' });
  assert.equal(seen.length, 1);
});

test('a URL with a path keeps it; names are escaped', async (context) => {
  const { url, seen } = await serve(context, (_seen, response) => json(response, 200, { items: [], next: null }));
  await createClient({ url: `${url}/keelson`, token: 't' }).listWorkflows('a/../b');
  assert.equal(seen[0]?.url, '/keelson/api/v1/projects/a%2F..%2Fb/workflows');
});

test('walks a list to its last page', async (context) => {
  const { client } = await serve(context, (seen, response) =>
    json(response, 200, seen.url.includes('cursor=c') ? { items: [2], next: null } : { items: [1], next: 'c' }),
  );
  const items: unknown[] = [];
  for await (const item of allItems((cursor) => client.listProjects({ cursor }))) items.push(item);
  assert.deepEqual(items, [1, 2]);
});

test('an instance is watched to its end, over a stream that breaks', async (context) => {
  const { client, seen } = await serve(context, (_seen, response, count) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('event: snapshot\ndata: {"id":"7"}\n\n', () => {
      if (count === 1) response.destroy();
      else response.end('event: end\ndata: {"id":"7","state":"succeeded"}\n\n');
    });
  });
  const interruptions: string[] = [];
  const events: string[] = [];
  for await (const { event } of client.watchInstance('7', { onInterrupted: (error) => interruptions.push(error.name) }))
    events.push(event);
  assert.deepEqual(events, ['snapshot', 'snapshot', 'end']);
  assert.deepEqual(interruptions, ['KeelsonConnectionError']);
  assert.equal(seen.length, 2);
});

test('a followed log goes on where it broke', async (context) => {
  const { client, seen } = await serve(context, (_seen, response, count) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (count === 1) response.end('event: log\nid: 1:2\ndata: {"attempt":1,"from":0,"next":2,"text":"ab"}\n\n');
    else
      response.end(
        'event: log\nid: 1:3\ndata: {"attempt":1,"from":2,"next":3,"text":"c"}\n\nevent: end\ndata: {"attempt":1,"state":"succeeded"}\n\n',
      );
  });
  let text = '';
  for await (const entry of client.followLog('7.1.a')) if (entry.event === 'log') text += entry.data.text;
  assert.equal(text, 'abc');
  assert.equal(seen[0]?.url, '/api/v1/task-instances/7.1.a/log?follow=true');
  assert.equal(seen[1]?.headers['last-event-id'], '1:2');
});

test('an unknown instance is refused, not waited for', async (context) => {
  const { client, seen } = await serve(context, (_seen, response) =>
    json(response, 404, makeProblem('unknown-instance')),
  );
  await assert.rejects(client.watchInstance('7').next(), { name: 'KeelsonApiError', code: 'unknown-instance' });
  assert.equal(seen.length, 1);
});

test('a blob that is not there, and a token that is not good', async (context) => {
  const { client } = await serve(context, (seen, response) =>
    response.writeHead(seen.url.endsWith('a') ? 404 : 401).end(),
  );
  assert.equal(await client.hasBlob('a'), false);
  await assert.rejects(client.hasBlob('b'), { status: 401 });
});
