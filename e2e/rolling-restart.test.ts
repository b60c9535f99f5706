import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { checkDatabase } from '@keelson/server';
import { endProcess, temporaryFolder } from './support/dev-process.ts';
import { waitForEnd } from './support/instances.ts';
import type { Running } from './support/processes.ts';
import { freePorts, serveDatabase } from './support/served.ts';
import type { Served } from './support/served.ts';
import { waitFor } from './support/wait-for.ts';

interface Entry {
  readonly instance: string;
  readonly task: string;
  readonly attempt: number;
  readonly word: 'start' | 'end';
}

/** What the tasks wrote outside of the system. */
async function entriesOf(ledger: string): Promise<Entry[]> {
  const lines = (await readFile(ledger, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [instance = '', task = '', attempt, word] = line.split(' ');
    return { instance, task, attempt: Number(attempt), word: word === 'start' ? 'start' : 'end' };
  });
}

const SAY = 'echo "$KEELSON_INSTANCE_ID $KEELSON_TASK $KEELSON_ATTEMPT';
const run = `${SAY} start" >> "$LEDGER"; sleep 0.3; ${SAY} end" >> "$LEDGER"`;

async function publish({ token }: Served, port: number, name: string, tasks: object): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/projects/default/workflows/${name}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name, tasks }),
  });
  assert.ok(response.ok, await response.clone().text());
}

/** Starts one instance after the other, at whatever server answers, each under a key of its own, until it is told to stop. */
function openLoad({ client }: Served, ports: readonly number[], name: string) {
  const clients = ports.map(client);
  const ids: string[] = [];
  let over = false;
  let turn = 0;
  const startOne = async (key: string): Promise<string> =>
    waitFor(`a server that starts ${key}`, async () => {
      try {
        const answer = await clients[turn++ % clients.length]?.start('default', name, { idempotencyKey: key });
        return answer?.id;
      } catch {
        return undefined;
      }
    });
  const loading = (async () => {
    for (let number = 0; !over; number++) {
      ids.push(await startOne(`load-${number}`));
      await waitFor('the pace', () => (Date.now() % 100 < 40 ? true : undefined));
    }
  })();
  return {
    ids,
    stop: async () => {
      over = true;
      await loading;
      return ids;
    },
  };
}

async function drained(running: Running): Promise<void> {
  const { code, signal, stderr, stdout } = await endProcess(running, 'SIGTERM');
  assert.deepEqual([code, signal], [0, null], stdout.slice(-2000) + stderr.slice(-2000));
}

test('every server and every worker is restarted under load: nothing is lost, nothing runs twice', async (t: TestContext) => {
  const served = await serveDatabase(t);
  const folder = await temporaryFolder(t);
  const ledger = join(folder, 'ledger');
  const ports = await freePorts(3);
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const servers = await Promise.all(ports.map((port) => served.serve(port)));
  const rotated = (by: number) => [...urls.slice(by), ...urls.slice(0, by)];
  const workers = await Promise.all(
    [0, 1, 2].map((by) => served.work(`w${by}`, rotated(by), folder, ['--slots', '4', '--grace', '60'])),
  );
  const env = { LEDGER: ledger };
  await publish(served, ports[0] ?? 0, 'steps', { a: { run, env }, b: { run, env, needs: ['a'] } });
  const load = openLoad(served, ports, 'steps');
  const progress = async (): Promise<void> => {
    const before = (await entriesOf(ledger)).length;
    await waitFor('progress', async () => ((await entriesOf(ledger)).length >= before + 6 ? true : undefined));
  };
  await progress();
  for (const [index, port] of ports.entries()) {
    await drained(servers[index] ?? assert.fail());
    await progress();
    servers[index] = await served.serve(port);
  }
  for (const [index] of workers.entries()) {
    await drained(workers[index] ?? assert.fail());
    await progress();
    workers[index] = await served.work(`w${index}`, rotated(index), folder, ['--slots', '4']);
  }
  const ids = await load.stop();
  const client = served.client(ports[0] ?? 0);
  for (const id of ids) assert.equal((await waitForEnd(client, id)).state, 'succeeded');
  assert.equal(new Set(ids).size, ids.length);
  const listed = (await entriesOf(ledger)).map(
    ({ instance, task, attempt, word }) => `${instance}/${task} ${attempt} ${word}`,
  );
  const expected = ids.flatMap((id) =>
    ['a', 'b'].flatMap((task) => ['start', 'end'].map((word) => `${id}/${task} 1 ${word}`)),
  );
  assert.deepEqual(listed.toSorted(), expected.toSorted(), 'each task ran once, as attempt 1');
  assert.deepEqual(
    (await checkDatabase(served.databaseUrl)).flatMap(({ name, rows }) => (rows.length === 0 ? [] : [name])),
    [],
  );
  await Promise.all([...servers, ...workers].map(drained));
});

test('a draining server says so at once, and commits what is under way', async (t: TestContext) => {
  const served = await serveDatabase(t);
  const folder = await temporaryFolder(t);
  const [port = 0] = await freePorts(1);
  const server = await served.serve(port, ['--grace', '20']);
  const worker = await served.work('w', [`http://127.0.0.1:${port}`], folder);
  // An upload whose end does not come holds the server in its grace time.
  const held = new AbortController();
  const upload = fetch(`http://127.0.0.1:${port}/api/v1/blobs/${'0'.repeat(64)}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${served.token}`, 'content-type': 'application/octet-stream' },
    body: new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(10)) }),
    duplex: 'half',
    signal: held.signal,
  }).catch(() => undefined);
  await waitFor('readiness', async () => ((await fetch(`http://127.0.0.1:${port}/readyz`)).ok ? true : undefined));
  const keptOpen = await fetch(`http://127.0.0.1:${port}/readyz`);
  assert.equal(keptOpen.status, 200);
  server.child.kill('SIGTERM');
  await waitFor('its drain', () => (/"msg":"draining"/.test(server.said().stdout) ? true : undefined));
  const status = await fetch(`http://127.0.0.1:${port}/readyz`).then(
    (response) => response.status,
    () => 'closed',
  );
  assert.ok(status === 503 || status === 'closed', String(status));
  held.abort();
  await upload;
  assert.equal((await server.ended).code, 0);
  assert.equal((await endProcess(worker)).code, 0);
});

test('what a draining worker cannot finish within its grace time is handed back, runs elsewhere, and costs the task nothing', async (t: TestContext) => {
  const served = await serveDatabase(t);
  const folder = await temporaryFolder(t);
  const ledger = join(folder, 'ledger');
  const [port = 0] = await freePorts(1);
  await served.serve(port);
  const url = [`http://127.0.0.1:${port}`];
  const client = served.client(port);
  const long = `${SAY} start" >> "$LEDGER"; if [ "$KEELSON_ATTEMPT" -lt 6 ]; then sleep 600; fi`;
  await publish(served, port, 'long', { a: { run: long, env: { LEDGER: ledger }, retry: { max: 0 } } });
  const { id } = await client.start('default', 'long');
  for (let attempt = 1; attempt <= 6; attempt++) {
    const worker = await served.work(`w${attempt}`, url, folder, ['--grace', '0']);
    await waitFor(`attempt ${attempt}`, async () => ((await entriesOf(ledger)).length === attempt ? true : undefined));
    if (attempt < 6) await drained(worker);
  }
  assert.equal((await waitForEnd(client, id)).state, 'succeeded');
  const { attempts } = await client.getTask(id, 'a');
  assert.deepEqual(
    attempts.map(({ state }) => state),
    ['lost', 'lost', 'lost', 'lost', 'lost', 'succeeded'],
  );
});
