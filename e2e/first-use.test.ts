import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDevProcess, temporaryFolder, waitForWords } from './support/dev-process.ts';
import { publishAndStart } from './support/instances.ts';
import { KEELSON, launch, processesOf, runToEnd } from './support/processes.ts';
import { waitFor } from './support/wait-for.ts';

const LINE = /^error: [^\n]+\n(?:help: [^\n]+\n)?$/;

test('Ctrl-C ends everything: no process is left, and the exit code is 0', async (t) => {
  const dev = await startDevProcess(t, { args: ['--workers', '2'] });
  await publishAndStart(dev, {
    name: 'long',
    tasks: { a: { run: 'sleep 0.3', env: { WHOSE: dev.dataDir } }, b: { needs: ['a'], run: 'true' } },
  });
  assert.notDeepEqual(processesOf(dev.dataDir), []);
  const { code, stderr } = await dev.end('SIGINT');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /running tasks may finish/);
  await waitFor('nothing of it runs', () => processesOf(dev.dataDir).length === 0 || undefined, 10_000).catch(() => {
    assert.deepEqual(processesOf(dev.dataDir), []);
  });
});

test('Ctrl-C while it starts is a clean end, too', async (t) => {
  const dataDir = join(await temporaryFolder(t), 'data');
  const dev = launch(KEELSON, ['dev', '--port', '0', '--data', dataDir]);
  await waitFor('its first process', () => processesOf(dataDir).length > 1 || undefined);
  dev.child.kill('SIGINT');
  const { code, stderr } = await dev.ended;
  assert.equal(code, 0, stderr);
  await waitFor('nothing of it runs', () => processesOf(dataDir).length === 0 || undefined);
});

test('a person is told the address, the token and what to do next', async (t) => {
  const dataDir = join(await temporaryFolder(t), 'data');
  const dev = launch(KEELSON, ['dev', '--port', '0', '--data', dataDir]);
  t.after(() => void dev.child.kill('SIGKILL'));
  await waitForWords(dev, /Ctrl-C stops everything/);
  const { stdout } = dev.said();
  assert.match(stdout, /Keelson is ready at http:\/\/127\.0\.0\.1:\d+\n/);
  assert.match(stdout, /token {2}kls_\S+ {2}\(admin/);
  assert.match(stdout, /npx keelson apply FILE/);
  const list = await runToEnd(KEELSON, ['workflows', '--data', dataDir]);
  assert.equal(list.code, 0, list.stderr);
  dev.child.kill('SIGTERM');
  assert.equal((await dev.ended).code, 0);
});

test('a port in use is one clear line', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.after(() => void other.close());
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as AddressInfo;
  const dataDir = join(await temporaryFolder(t), 'data');
  const { code, stderr, stdout } = await runToEnd(KEELSON, ['dev', '--port', String(port), '--data', dataDir]);
  assert.notEqual(code, 0);
  assert.match(stderr, LINE);
  assert.match(stderr, new RegExp(`${port}.*in use`));
  assert.equal(stdout, '');
  assert.deepEqual(processesOf(dataDir), []);
});

test('a data directory in use is one clear line that names the process', async (t) => {
  const dev = await startDevProcess(t);
  const { code, stderr } = await runToEnd(KEELSON, ['dev', '--port', '0', '--data', dev.dataDir]);
  assert.notEqual(code, 0);
  assert.match(stderr, LINE);
  assert.match(stderr, new RegExp(`in use by another Keelson \\(pid ${dev.pid}\\)`));
  assert.equal((await dev.keelson(['nodes'])).code, 0, 'the first one is unharmed');
});
