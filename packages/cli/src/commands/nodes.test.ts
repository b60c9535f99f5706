import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { runCli } from '../program.ts';
import type { Handler } from '../testing/test-api.ts';
import { testApi } from '../testing/test-api.ts';
import { testTerminal } from '../testing/test-terminal.ts';

async function keelson(context: TestContext, args: readonly string[], handlers: Readonly<Record<string, Handler>>) {
  const api = await testApi(context, handlers);
  const terminal = testTerminal({ env: api.env });
  return { code: await runCli(args, terminal), out: terminal.out(), err: terminal.err(), calls: api.calls };
}

const time = '2026-01-01T00:00:00Z';
const server = {
  kind: 'server',
  id: 's',
  roles: ['api', 'master'],
  host: 'h1',
  pid: 7,
  url: 'http://h1:7400',
  gatewayUrl: null,
  version: '0.1.0',
  schemaVersion: 3,
  startedAt: time,
  seenAt: time,
  seenUntil: time,
  alive: true,
  draining: false,
  load: { stepsPerSecond: 12.5, eventLoop: 0.034, workers: 1 },
};
const worker = {
  kind: 'worker',
  id: '17',
  name: 'w1',
  group: 'gpu',
  state: 'live',
  slots: 4,
  inUse: 1,
  capabilities: ['shell', 'processor:a'],
  host: 'h2',
  pid: 8,
  version: '0.1.0',
  registeredAt: time,
  leaseUntil: time,
  leaseOver: false,
  protocol: 1,
  revoked: false,
  gateway: 'http://h1:7400',
  load: 0.25,
  running: [
    {
      id: '7.1.a',
      instanceId: '7',
      generation: 1,
      task: 'a',
      project: 'p',
      workflow: 'w',
      attempt: 1,
      state: 'running',
      since: time,
    },
  ],
};

test('nodes: servers and workers', async (context) => {
  const items = [
    server,
    { ...server, url: null, host: 'h3', draining: true, roles: ['alert'], load: { eventLoop: 0 } },
    { ...server, url: 'http://h4:7400', alive: false, draining: true, schemaVersion: null, load: null },
    worker,
    { ...worker, name: 'w2', revoked: true, gateway: null, load: null, running: [] },
    { ...worker, name: 'w3', state: 'draining', running: [] },
    { ...worker, name: 'w4', leaseOver: true, running: [] },
  ];
  const { code, out } = await keelson(context, ['nodes'], { 'GET nodes': () => ({ items, next: null }) });
  assert.equal(code, 0);
  assert.match(
    out,
    /http:\/\/h1:7400 {2}api,master {2}h1:7 +alive +\S.* ago +\S.*12\.5 steps\/s 3% 1 worker {2}0\.1\.0 +3\n/,
  );
  assert.match(out, /h3 +alert +h3:7 +draining .* 0% +0\.1\.0 +3\n/);
  assert.match(out, /http:\/\/h4:7400 .*h1:7 +silent /);
  assert.match(out, /w1 +17 +gpu +live .* 1\/4 +0\.25 +0\.1\.0 p1 +http:\/\/h1:7400 +shell,processor:a {2}7\/a\n/);
  assert.match(out, /w2 .* revoked /);
  assert.match(out, /w3 .* draining /);
  assert.match(out, /w4 .* lease over /);
});

test('groups: leases are listed and set', async (context) => {
  const handlers = {
    'GET worker-groups': () => ({ items: [{ name: 'gpu', leaseMs: 120_000, workers: 2 }], next: null }),
    'PUT worker-groups/*': () => ({ name: 'gpu', leaseMs: 30_000, workers: 2 }),
  };
  const listed = await keelson(context, ['groups', 'list'], handlers);
  assert.match(listed.out, /gpu +2m 00s +2\n$/);
  const set = await keelson(context, ['groups', 'set', 'gpu', '--lease', '30s'], handlers);
  assert.deepEqual([set.code, set.calls[0]?.path, set.calls[0]?.body], [0, 'worker-groups/gpu', { lease: '30s' }]);
  assert.match(set.out, /have a lease of 30\.0s/);
  const bad = await keelson(context, ['groups', 'set', 'gpu', '--lease', 'soon'], handlers);
  assert.deepEqual([bad.code, bad.calls.length], [2, 0]);
});
