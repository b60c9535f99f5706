import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { JsonObject } from '@keelson/core';
import { testContext, type TestContextOptions } from '../testing/context.ts';

// Read when the client is imported: a proxy of this machine must not stand between the test and its server.
process.env['NO_PROXY'] = '127.0.0.1,localhost';
const { run } = await import('./run.ts');

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;
const routes = new Map<string, Handler>();

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const handler = routes.get(new URL(request.url ?? '', 'http://x').pathname);
    if (handler === undefined) response.writeHead(404, { 'content-type': 'text/plain' }).end('nothing here');
    else handler(request, response, Buffer.concat(chunks).toString());
  });
});
let base = '';
/** The same server under another name: another host. */
let other = '';

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  base = `http://127.0.0.1:${port}`;
  other = `http://localhost:${port}`;
});
after(() => {
  server.close();
  server.closeAllConnections();
});

const redirect =
  (location: string, status = 302): Handler =>
  (_, response) =>
    response.writeHead(status, { location }).end();
const json =
  (value: unknown): Handler =>
  (_, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
const text =
  (body: string | Buffer, type = 'text/plain'): Handler =>
  (_, response) =>
    response.writeHead(200, { 'content-type': type }).end(body);
const echo: Handler = (request, response, body) =>
  json({ method: request.method, url: request.url, headers: request.headers, body })(request, response, body);

async function runHttp(input: JsonObject, options?: TestContextOptions) {
  const test = testContext(input, options);
  return { result: await run(test.context), log: test.log() };
}

async function outputs(input: JsonObject) {
  const { result } = await runHttp(input);
  assert.ok(result.outcome === 'succeeded', JSON.stringify(result));
  return result.outputs as Record<string, JsonObject | undefined>;
}

async function failure(input: JsonObject, options?: TestContextOptions) {
  const { result } = await runHttp(input, options);
  assert.ok(result.outcome === 'failed', 'expected a failure');
  return result.reason;
}

describe('http: the request', () => {
  it('sends method, headers, query and a JSON body', async () => {
    routes.set('/echo', echo);
    const { json: seen } = await outputs({
      url: `${base}/echo?a=1`,
      method: 'POST',
      headers: { 'X-Count': 3 },
      query: { day: '2026-01-31 &', tag: ['x', 'y'] },
      body: { n: [1, null] },
    });
    assert.ok(seen !== undefined);
    assert.equal(seen['method'], 'POST');
    assert.equal(seen['url'], '/echo?a=1&day=2026-01-31+%26&tag=x&tag=y');
    assert.equal(seen['body'], '{"n":[1,null]}');
    const headers = seen['headers'] as JsonObject;
    assert.equal(headers['x-count'], '3');
    assert.equal(headers['content-type'], 'application/json');
  });

  it('sends a text body as it is, and lets the author name its type', async () => {
    routes.set('/echo', echo);
    const { json: seen } = await outputs({
      url: `${base}/echo`,
      method: 'PUT',
      headers: { 'Content-Type': 'text/csv' },
      body: 'a,b\n',
    });
    assert.equal(seen?.['body'], 'a,b\n');
    assert.equal((seen['headers'] as JsonObject)['content-type'], 'text/csv');
  });

  it('logs one line without query and fails on credentials in the URL', async () => {
    routes.set('/echo', echo);
    const { log } = await runHttp({ url: `${base}/echo?token=s3cret` });
    assert.match(log, /^GET http:\/\/127\.0\.0\.1:\d+\/echo → 200 in \d+ ms\n$/);
    const reason = await failure({ url: 'http://me:s3cret@127.0.0.1/' });
    assert.equal(reason.code, 'bad-input');
    assert.doesNotMatch(reason.message, /s3cret/);
  });
});

describe('http: the answer', () => {
  it('gives status, headers, body and JSON', async () => {
    routes.set('/ok', json({ id: 7 }));
    const found = await outputs({ url: `${base}/ok` });
    assert.deepEqual([found['status'], found['body'], found['json']], [200, '{"id":7}', { id: 7 }]);
    assert.equal(found['headers']?.['content-type'], 'application/json');
  });

  it('fails on an unexpected status with the beginning of the body', async () => {
    const reason = await failure({ url: `${base}/nowhere` });
    assert.equal(reason.code, 'http-status');
    assert.match(reason.message, /404, expected 2xx.*nothing here/);
    assert.equal((await outputs({ url: `${base}/nowhere`, expectStatus: [200, '4xx'] }))['status'], 404);
    assert.equal((await outputs({ url: `${base}/nowhere`, expectStatus: '404' }))['status'], 404);
    routes.set('/ok', json({}));
    assert.match((await failure({ url: `${base}/ok`, expectStatus: 201 })).message, /expected 201/);
  });

  it('checks the body', async () => {
    routes.set('/job', json({ data: { items: [{ state: 'done' }] } }));
    const url = `${base}/job`;
    const at = (path: string, equals: JsonObject | string) => ({ url, expectBody: { jsonPath: { path, equals } } });
    await outputs({ url, expectBody: { contains: '"done"' } });
    await outputs(at('data.items[0].state', 'done'));
    await outputs(at('data.items[0]', { state: 'done' }));
    assert.match((await failure({ url, expectBody: { contains: 'ready' } })).message, /does not contain "ready"/);
    assert.match(
      (await failure(at('data.items[0].state', 'ready'))).message,
      /holds "done" at "data\.items\[0\]\.state", expected "ready"/,
    );
    assert.match((await failure(at('data.items[1].constructor', 'x'))).message, /holds nothing/);
    assert.equal((await failure(at('data..x', 'x'))).code, 'bad-input');
    routes.set('/job', text('plain'));
    assert.match((await failure(at('a', 'x'))).message, /needs a JSON body/);
  });

  it('keeps outputs within their limits, and says what it left out', async () => {
    routes.set('/big', text('é'.repeat(40_000)));
    const big = await runHttp({ url: `${base}/big` });
    assert.ok(big.result.outcome === 'succeeded');
    assert.equal(big.result.outputs['body'], 'é'.repeat(32_768));
    assert.match(big.log, /first 64 KiB only/);
    routes.set('/big', json({ x: 'y'.repeat(70_000) }));
    const large = await runHttp({
      url: `${base}/big`,
      expectBody: { jsonPath: { path: 'x', equals: 'y'.repeat(70_000) } },
    });
    assert.ok(large.result.outcome === 'succeeded');
    assert.equal('json' in large.result.outputs, false);
    assert.match(large.log, /no output "json".*64 KiB/);
  });

  it('reads no more than the cap of an endless body', async () => {
    let closed: (() => void) | undefined;
    const ended = new Promise<void>((resolve) => (closed = resolve));
    routes.set('/endless', (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      const more = () => {
        while (response.write('x'.repeat(65_536)));
        response.once('drain', more);
      };
      more();
      response.once('close', () => closed?.());
    });
    const { result, log } = await runHttp({ url: `${base}/endless` });
    assert.equal(result.outcome, 'succeeded');
    assert.match(log, /longer than 1024 KiB/);
    await ended;
  });

  it('keeps binary data out of the outputs, and reads other charsets', async () => {
    routes.set('/bytes', text(Buffer.from([0xff, 0x00, 0x01]), 'application/octet-stream'));
    const { result, log } = await runHttp({ url: `${base}/bytes` });
    assert.ok(result.outcome === 'succeeded');
    assert.equal('body' in result.outputs, false);
    assert.match(log, /no text/);
    routes.set('/latin', text(Buffer.from('\u00e9', 'latin1'), 'text/plain; charset=iso-8859-1'));
    assert.equal((await outputs({ url: `${base}/latin` }))['body'], 'é');
  });
});

describe('http: redirects', () => {
  it('follows one on the same host and logs each request', async () => {
    routes.set('/from', redirect('/echo'));
    routes.set('/echo', echo);
    const { result, log } = await runHttp({ url: `${base}/from`, method: 'POST', body: 'x' });
    assert.ok(result.outcome === 'succeeded');
    const seen = result.outputs['json'] as JsonObject;
    assert.deepEqual([seen['method'], seen['body']], ['GET', '']);
    assert.match(log, /POST .*\/from → 302.*\nGET .*\/echo → 200/);
  });

  it('repeats method and body on 307', async () => {
    routes.set('/from', redirect('/echo', 307));
    routes.set('/echo', echo);
    const { json: seen } = await outputs({ url: `${base}/from`, method: 'POST', body: 'x' });
    assert.deepEqual([seen?.['method'], seen?.['body']], ['POST', 'x']);
  });

  it('does not leave the host unless it may, and then without the headers of the task', async () => {
    let requests = 0;
    routes.set('/from', redirect(`${other}/echo`));
    routes.set('/echo', (...all) => {
      requests += 1;
      echo(...all);
    });
    const input = {
      url: `${base}/from`,
      headers: { 'X-Api-Key': 's3cret', Authorization: 's3cret', Accept: 'application/json' },
    };
    const reason = await failure(input);
    assert.equal(reason.code, 'redirect-refused');
    assert.match(reason.message, /another host, localhost:\d+/);
    assert.equal(requests, 0);
    const { json: seen } = await outputs({ ...input, followRedirects: 'any' });
    assert.doesNotMatch(JSON.stringify(seen), /s3cret/);
    assert.equal((seen?.['headers'] as JsonObject | undefined)?.['accept'], 'application/json');
  });

  it('takes the redirect for the answer when told so, and ends a loop', async () => {
    routes.set('/loop', redirect('/loop'));
    assert.equal((await outputs({ url: `${base}/loop`, followRedirects: 'none', expectStatus: '3xx' }))['status'], 302);
    assert.equal((await failure({ url: `${base}/loop` })).code, 'too-many-redirects');
  });
});

describe('http: what goes wrong on the way', () => {
  it('names a refused connection', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    const reason = await failure({ url: `http://127.0.0.1:${port}/x?token=s3cret` });
    assert.equal(reason.code, 'http-error');
    assert.match(reason.message, /ECONNREFUSED/);
    assert.doesNotMatch(reason.message, /s3cret/);
  });

  it('gives up after the timeout, also in the middle of the body', async () => {
    routes.set('/silent', () => {});
    assert.equal((await failure({ url: `${base}/silent`, timeout: '50ms' })).code, 'http-timeout');
    routes.set('/slow', (_, response) => void response.writeHead(200, { 'content-type': 'text/plain' }).write('begin'));
    assert.equal((await failure({ url: `${base}/slow`, timeout: '50ms' })).code, 'http-timeout');
  });

  it('ends when the attempt is stopped', async () => {
    const stop = new AbortController();
    routes.set('/silent', () => stop.abort());
    assert.equal((await failure({ url: `${base}/silent` }, { signal: stop.signal })).code, 'aborted');
  });

  it('refuses an input that does not fit, with the path', async () => {
    for (const [input, path] of [
      [{ url: 'ftp://x/' }, 'with.url'],
      [{ url: '${{' }, 'with.url'],
      [{ url: 'http://x/', timeout: 'soon' }, 'with.timeout'],
      [{ url: 'http://x/', timeout: '0s' }, 'with.timeout'],
      [{ url: 'http://x/', timeout: '30d' }, 'with.timeout'],
      [{ url: 'http://x/', expectStatus: 'ok' }, 'with.expectStatus'],
      [{ url: 'http://x/', headers: { 'a b': 'x' } }, 'with.headers'],
    ] as const) {
      const reason = await failure(input);
      assert.equal(reason.code, 'bad-input');
      assert.ok(reason.message.includes(path), reason.message);
    }
  });
});
