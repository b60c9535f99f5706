import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Node } from '@keelson/protocol';
import { startDevProcess, temporaryFolder, waitForDeath, endProcess } from './support/dev-process.ts';
import type { DevProcess } from './support/dev-process.ts';
import { publishAndStart, waitForEnd } from './support/instances.ts';
import { KEELSON, runToEnd } from './support/processes.ts';
import { SECRET_KEY, freePorts, serveDatabase } from './support/served.ts';
import { waitFor } from './support/wait-for.ts';

const pidsOf = (nodes: readonly Node[], kind: Node['kind']): number[] =>
  nodes.filter((node) => node.kind === kind).map(({ pid }) => pid);

async function clusterOf(t: TestContext, servers: number, workers: number): Promise<DevProcess> {
  const dev = await startDevProcess(t, { args: ['--masters', String(servers), '--workers', String(workers)] });
  await waitFor('every process in nodes', async () => {
    const { items } = await dev.client.listNodes();
    return pidsOf(items, 'server').length === servers && pidsOf(items, 'worker').length === workers ? true : undefined;
  });
  return dev;
}

test('dev runs servers and workers as processes of their own, and starts again whichever is killed', async (t) => {
  const dev = await clusterOf(t, 2, 2);
  const before = (await dev.client.listNodes()).items;
  const [servers, workers] = [pidsOf(before, 'server'), pidsOf(before, 'worker')];
  assert.equal(new Set([dev.pid, ...servers, ...workers]).size, 5);
  for (const pid of [servers[0], workers[0]]) process.kill(pid ?? assert.fail(), 'SIGKILL');
  const killed = new Set([servers[0], workers[0]]);
  await waitFor('two new processes', async () => {
    // The printed URL may be the one that was killed.
    const nodes = await dev.client.listNodes().catch(() => undefined);
    const alive = nodes?.items.filter(({ pid }) => !killed.has(pid)) ?? [];
    return pidsOf(alive, 'server').length === 2 && pidsOf(alive, 'worker').length === 2 ? true : undefined;
  });
  const id = await publishAndStart(dev, { name: 'after', tasks: { a: { run: 'echo a' } } });
  assert.equal((await waitForEnd(dev.client, id)).state, 'succeeded');
  const { code, stderr } = await dev.end('SIGTERM');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /server \d ended by itself \(signal SIGKILL\); it is started again/);
  assert.match(stderr, /worker dev-\d is up again/);
});

test('what dev has started never outlives it', async (t) => {
  const dev = await clusterOf(t, 2, 2);
  const { items } = await dev.client.listNodes();
  // A stopped process does not see that its channel has closed.
  process.kill(pidsOf(items, 'server')[1] ?? assert.fail(), 'SIGSTOP');
  process.kill(dev.pid, 'SIGKILL');
  await dev.end('SIGKILL');
  for (const { pid } of items) await waitForDeath(pid);
});

test('a worker whose token is wrong or is revoked says so and ends with exit code 4', async (t) => {
  const served = await serveDatabase(t);
  const folder = await temporaryFolder(t);
  const [port = 0] = await freePorts(1);
  await served.serve(port);
  const url = `http://127.0.0.1:${port}`;
  const args = ['worker', '--server', url, '--data', `${folder}/wrong`];
  const wrong = await runToEnd(KEELSON, args, { env: { KEELSON_TOKEN: `kls_${'x'.repeat(43)}` } });
  assert.equal(wrong.code, 4);
  assert.match(
    wrong.stderr,
    /refuses to register this worker: 401 unauthenticated the join token is unknown, expired or revoked/,
  );
  const worker = await served.work('w', [url], folder);
  const client = served.client(port);
  const joined = (await client.listTokens()).items.find(({ name }) => name === 'workers');
  await client.revokeToken(joined?.id ?? assert.fail());
  const { code, stderr } = await worker.ended;
  assert.equal(code, 4, stderr);
  assert.match(stderr, /the lease is lost/);
  assert.match(stderr, /error: the server refuses to register this worker: 401/);
});

test('a server at a schema that is newer than it knows: refused if that breaks it, else started', async (t) => {
  const served = await serveDatabase(t);
  const [port = 0] = await freePorts(1);
  const { default: pg } = await import('pg');
  const database = new pg.Client({ connectionString: served.databaseUrl, options: '-c search_path=keelson' });
  await database.connect();
  t.after(() => database.end());
  await database.query(
    "insert into migration (version, name, compatible_from) values (9998, '9998_from_the_future.sql', 9998)",
  );
  const env = { KEELSON_DATABASE_URL: served.databaseUrl, KEELSON_SECRET_KEY: SECRET_KEY };
  const refused = await runToEnd(KEELSON, ['serve', '--listen', `127.0.0.1:${port}`], { env });
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /schema is at version 9998, this release knows \d+ and does not work with 9998_from_the_future\.sql: use a newer release/,
  );
  await database.query('update migration set compatible_from = 1 where version = 9998');
  const server = await served.serve(port);
  assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
  assert.equal((await endProcess(server)).code, 0);
});
