import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { WORKER_HEADERS } from '@keelson/protocol';
import { migrate, openStore } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import Fastify from 'fastify';
import pino from 'pino';
import { startMaster } from '../master.ts';

async function gateway(t: TestContext) {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'joining-test', secretKey: randomBytes(32) });
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const master = startMaster({ store, signals: store.signals, log });
  const app = Fastify();
  await app.register(master.routes, { prefix: '/worker/v1' });
  t.after(async () => {
    await master.stop();
    await app.close();
    await store.close();
  });
  const call = async (path: string, bearer: string, payload: object, headers: Record<string, string> = {}) => {
    const answer = await app.inject({
      method: 'POST',
      url: `/worker/v1/${path}`,
      headers: { authorization: `Bearer ${bearer}`, ...headers },
      payload,
    });
    const body = answer.body === '' ? {} : answer.json<Record<string, unknown>>();
    return { status: answer.statusCode, code: body['code'], body, headers: answer.headers };
  };
  const worker = (name: string, more: object = {}) => ({
    protocol: 1,
    name,
    group: 'default',
    slots: 2,
    capabilities: ['shell'],
    host: 'box',
    pid: 7,
    version: '0.1.0',
    ...more,
  });
  const tokenOf = (role: 'worker' | 'viewer') => store.tokens.create({ name: `a ${role}`, role });
  return { store, master, lines, call, worker, tokenOf };
}

test('a wrong, a foreign and a revoked token: each is refused with its reason', async (t) => {
  const { store, call, worker, tokenOf } = await gateway(t);
  const [viewer, revoked] = [await tokenOf('viewer'), await tokenOf('worker')];
  await store.tokens.revoke(revoked.info.id);
  const answers = await Promise.all(
    ['', 'nonsense', `kls_${'x'.repeat(43)}`, revoked.token, viewer.token].map((token) =>
      call('register', token, worker('w')),
    ),
  );
  assert.deepEqual(
    answers.map(({ status, code }) => [status, code]),
    [...answers.slice(1).map(() => [401, 'unauthenticated']), [403, 'forbidden']],
  );
  assert.deepEqual(await store.nodes.workers(), []);
});

test('a protocol that the server does not speak is refused with those that it does, before anything else of the body is read', async (t) => {
  const { store, call, worker, tokenOf } = await gateway(t);
  const { token } = await tokenOf('worker');
  const { status, code, body, headers } = await call('register', token, {
    protocol: 2,
    whatever: 'the next release says',
  });
  assert.deepEqual([status, code], [422, 'unsupported-protocol']);
  assert.match(String(body['detail']), /speaks protocol 2, this server \(release .*\) speaks 1/);
  assert.equal(headers[WORKER_HEADERS.protocols], '1');
  assert.equal((await call('register', token, worker('w', { protocol: 'x' }))).code, 'invalid-request');
  assert.deepEqual(await store.nodes.workers(), []);
});

test('two workers of one name: the newer one works, the older one is told, and which calls last does not matter', async (t) => {
  const { store, lines, call, worker, tokenOf } = await gateway(t);
  const { token } = await tokenOf('worker');
  const older = (await call('register', token, worker('twin'))).body;
  const newer = (await call('register', token, worker('twin', { host: 'another-box', pid: 8 }))).body;
  // Its first call shows that it lives.
  await call('poll', String(newer['credential']), { held: [], waitMs: 0, draining: false });
  const renewal = async (credential: unknown) =>
    (await call('renew', String(credential), { held: [] }, { [WORKER_HEADERS.load]: '0.25' })).headers[
      WORKER_HEADERS.superseded
    ];
  assert.deepEqual(
    [await renewal(newer['credential']), await renewal(older['credential']), await renewal(newer['credential'])],
    [undefined, '1', undefined],
  );
  assert.deepEqual(
    (await store.nodes.workers()).map(({ incarnation, host, state }) => [incarnation, host, state]),
    [
      [older['incarnation'], 'box', 'draining'],
      [newer['incarnation'], 'another-box', 'live'],
    ],
  );
  assert.equal(lines.filter(({ msg }) => String(msg).includes('under the name')).length, 1);
});

test('a revoked worker is refused at its next renewal, wherever its session is, and so is its next registration', async (t) => {
  const { store, call, worker, tokenOf } = await gateway(t);
  const { token, info } = await tokenOf('worker');
  const { credential } = (await call('register', token, worker('w'))).body;
  assert.equal((await call('renew', String(credential), { held: [] })).status, 200);
  assert.deepEqual(await store.tokens.revoke(info.id), { workers: ['w'] });
  assert.equal((await call('renew', String(credential), { held: [] })).code, 'lease-expired');
  assert.equal(
    (await call('poll', String(credential), { held: [], waitMs: 0, draining: false })).code,
    'unknown-incarnation',
  );
  assert.equal((await call('register', token, worker('w'))).code, 'unauthenticated');
});

test('a master that ends sends workers elsewhere, and still takes what they report and renew', async (t) => {
  const { master, call, worker, tokenOf } = await gateway(t);
  const { token } = await tokenOf('worker');
  master.tellGateways(['http://a:1', 'http://b:2']);
  const joined = await call('register', token, worker('w'));
  assert.equal(joined.headers[WORKER_HEADERS.servers], 'http://a:1,http://b:2');
  const credential = String(joined.body['credential']);
  const open = call('poll', credential, { held: [], waitMs: 60_000, draining: false });
  await call('renew', credential, { held: [] });
  const stopping = master.stop();
  assert.equal((await open).code, 'draining');
  await stopping;
  const poll = { held: [], waitMs: 60_000, draining: false };
  assert.deepEqual(
    [(await call('poll', credential, poll)).status, (await call('register', token, worker('w2'))).code],
    [503, 'draining'],
  );
  assert.equal((await call('renew', credential, { held: [] })).status, 200);
  const report = { reports: [{ kind: 'started', token: 'of nobody', startedAgoMs: 1 }] };
  assert.equal((await call('report', credential, report)).status, 200);
});

test('a worker that drains is known to do so once its poll is answered, and shows its load', async (t) => {
  const { store, master, call, worker, tokenOf } = await gateway(t);
  const { token } = await tokenOf('worker');
  const { credential, incarnation } = (await call('register', token, worker('w'))).body;
  await call('renew', String(credential), { held: [] }, { [WORKER_HEADERS.load]: '1.50' });
  assert.equal(master.contacts().get(String(incarnation))?.load, 1.5);
  await call('renew', String(credential), { held: [] }, { [WORKER_HEADERS.load]: 'much' });
  assert.equal(master.contacts().get(String(incarnation))?.load, 1.5);
  await call('poll', String(credential), { held: [], waitMs: 0, draining: true });
  assert.equal((await store.nodes.workers())[0]?.state, 'draining');
});
