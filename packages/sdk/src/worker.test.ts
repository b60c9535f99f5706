import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { runWorker } from './worker.ts';

it('asks for a server and a token', async () => {
  await assert.rejects(runWorker({ processors: {}, server: '', token: 'x' }), /which server/);
  await assert.rejects(runWorker({ processors: {}, server: 'http://127.0.0.1:1', token: '' }), /needs a token/);
});

/** The least of a server: it registers workers, gives each one task, and keeps what it is told. */
async function startServer() {
  const seen: { route: string; body: string }[] = [];
  const task = {
    token: 'one',
    fencingToken: '1',
    instanceId: 'i',
    workflow: 'w',
    project: 'p',
    version: 1,
    task: 't',
    generation: 1,
    attempt: 1,
    runTime: '2026-01-02T03:04:05Z',
    uses: 'processor',
    input: { processor: 'add', args: [2, 3] },
    env: {},
    secrets: [],
    files: [],
    inputs: [],
  };
  let given = false;
  const answers: Record<string, () => object> = {
    register: () => ({ incarnation: 'i', credential: 'c', leaseMs: 60_000, renewEveryMs: 20_000 }),
    renew: () => ({ leaseMs: 60_000, kill: [] }),
    poll: () => ({ kill: [], assignments: given ? [] : [((given = true), task)] }),
    report: () => ({ acknowledged: ['one'], assignments: [] }),
    leave: () => ({}),
  };
  const server = createServer((request, response) => {
    const route = (request.url ?? '').replace('/worker/v1/', '');
    void request.toArray().then((parts) => {
      seen.push({ route, body: Buffer.concat(parts).toString() });
      const answer = JSON.stringify(answers[route]?.() ?? {});
      return response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.closeAllConnections() ?? server.close(),
  };
}

it('runs a processor, and leaves at SIGTERM without a word from the program', async (t) => {
  const server = await startServer();
  const dataDir = mkdtempSync(join(tmpdir(), 'keelson-sdk-'));
  t.after(() => {
    server.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const program = `
    import { runWorker } from ${JSON.stringify(new URL('./worker.ts', import.meta.url).href)};
    await runWorker({ server: '${server.url}', token: 'join', dataDir: '${dataDir}', processors: { add: ({ args }) => ({ sum: args[0] + args[1] }) } });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const giveUpAt = performance.now() + 20_000;
  while (!server.seen.some(({ route }) => route === 'report') && performance.now() < giveUpAt)
    await new Promise((resolve) => setTimeout(resolve, 10));
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  assert.match(
    server.seen.find(({ route }) => route === 'report')?.body ?? '',
    /"end":"succeeded".*"outputs":\{"sum":5\}/,
  );
  assert.equal(server.seen.at(-1)?.route, 'leave');
});
