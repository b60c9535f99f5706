import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { apiHarness, DAILY, YAML } from '../testing/harness.ts';

const STARTS = '/api/v1/projects/demo/workflows/daily/instances';
const JSON_BODY = { 'content-type': 'application/json' };

test('what no table can hold is refused with its place, and nothing is started', async (t) => {
  const { call } = await apiHarness(t);
  await call('PUT', '/api/v1/projects/demo/workflows/daily', DAILY, YAML);
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const cases = [
    ['body.params.day', 'bad-text', await call('POST', STARTS, String.raw`{"params":{"day":"a\u0000"}}`, JSON_BODY)],
    ['body.params.x.0', 'bad-text', await call('POST', STARTS, String.raw`{"params":{"x":["\ud800"]}}`, JSON_BODY)],
    ['body.params', 'bad-text', await call('POST', STARTS, String.raw`{"params":{"a\u0000":1}}`, JSON_BODY)],
    ['query.search', 'bad-text', await call('GET', '/api/v1/projects/demo/workflows?search=%00')],
    ['params.id', 'bad-text', await call('GET', '/api/v1/instances/1%00')],
  ] as const;
  for (const [path, code, answer] of cases) {
    assert.equal(answer.statusCode, 422, answer.body);
    assert.deepEqual(
      answer.json().errors.map((error: { path: string; code: string }) => [error.path, error.code]),
      [[path, code]],
    );
  }
  const bottomless = await call('POST', STARTS, `{"params":{"x":${deep}}}`, JSON_BODY);
  assert.equal(bottomless.statusCode, 422, bottomless.body);
  assert.equal(bottomless.json().errors[0].code, 'too-deep');
  assert.equal((await call('GET', '/api/v1/instances')).json().items.length, 0);
});

test('a body is UTF-8 or refused, and its error quotes nothing of it', async (t) => {
  const { call } = await apiHarness(t);
  const secret = '/api/v1/projects/demo/secrets/KEY';
  const latin = await call('PUT', secret, Buffer.from('{"value":"caf\xe9"}', 'latin1'), JSON_BODY);
  assert.equal(latin.json().code, 'malformed-body');
  const cut = await call('PUT', secret, '{\n "value": hunter2', JSON_BODY);
  assert.equal(cut.json().code, 'malformed-body');
  assert.doesNotMatch(cut.body, /hunter2/);
  const source = Buffer.from(DAILY.replace('echo hello', 'echo caf\xe9'), 'latin1');
  const put = await call('PUT', '/api/v1/projects/demo/workflows/daily', source, YAML);
  assert.equal(put.json().code, 'malformed-body');
});

test('a time that PostgreSQL cannot hold is refused, the first and the last one are taken', async (t) => {
  const { call } = await apiHarness(t);
  await call('PUT', '/api/v1/projects/demo/workflows/daily', DAILY, YAML);
  const start = async (runTime: string): Promise<number> =>
    (await call('POST', STARTS, { runTime, params: { day: '2026-01-01' } })).statusCode;
  assert.equal(await start('0000-12-31T23:59:59Z'), 422);
  assert.equal(await start('0001-01-01T00:00:00+00:01'), 422);
  assert.equal(await start('9999-12-31T23:59:59-14:00'), 422);
  assert.equal(await start('0001-01-01T00:00:00Z'), 201);
  assert.equal(await start('9999-12-31T23:59:59Z'), 201);
});

test('limits and types are named in the refusal', async (t) => {
  const { call } = await apiHarness(t);
  const large = await call('POST', '/api/v1/lint', `"${'x'.repeat(40_000_000)}"`, JSON_BODY);
  assert.equal(large.statusCode, 413);
  assert.match(large.json().detail, /longer than \d+ bytes/);
  const typed = await call('PUT', `/api/v1/blobs/${'0'.repeat(64)}`, 'x', { 'content-type': 'text/plain' });
  assert.match(typed.json().detail, /application\/octet-stream/);
});

test('what is no HTTP, or has endless headers, is a problem+json too', async (t) => {
  const { app } = await apiHarness(t);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const answerTo = async (text: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(text);
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    return answer;
  };
  assert.match(await answerTo('GARBAGE\r\n\r\n'), /^HTTP\/1\.1 400 [^]*problem\+json[^]*"malformed-request"/);
  assert.match(
    await answerTo(`GET /healthz HTTP/1.1\r\nhost: k\r\nx-long: ${'a'.repeat(100_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 [^]*problem\+json[^]*"headers-too-large"/,
  );
});
