import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import pino from 'pino';
import { migrate, openStore } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import { startAlert } from './start.ts';

async function outbox(t: TestContext) {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'alert-test' });
  const client = new pg.Client({ connectionString: url, options: '-c search_path=keelson' });
  await client.connect();
  t.after(async () => {
    await client.end();
    await store.close();
  });
  const lines: Record<string, unknown>[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const write = async (kind: string): Promise<string> =>
    (await client.query('insert into alert (kind, payload) values ($1, $2) returning id', [kind, { task: 'load' }]))
      .rows[0].id;
  const again = async (): Promise<unknown> => client.query('update alert set next_try_at = now()');
  const all = async () => (await store.alerts.list({}, { limit: 100 })).items;
  return { store, log, lines, write, again, all };
}

/** Answers with the statuses given, the last one for ever, and keeps what it was sent. */
async function webhook(t: TestContext, ...statuses: number[]) {
  const received: { id: string; kind: string }[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    received.push((await json(request)) as (typeof received)[number]);
    response.writeHead((statuses.length > 1 ? statuses.shift() : statuses[0]) ?? 200).end('ok');
  };
  const server = createServer((request, response) => {
    void answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=private-key`, received };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, 'the condition did not come true');
    await sleep(20);
  }
}

test('an alert goes to every webhook and into the log, once it is written', async (t) => {
  const { store, log, lines, write, all } = await outbox(t);
  const hooks = [await webhook(t, 200), await webhook(t, 204)];
  const alert = startAlert({ store, log, webhooks: hooks.map(({ url }) => url) });
  t.after(() => alert.stop());
  const id = await write('instance-failed');
  store.signals.send('alert');
  await until(async () => (await all())[0]?.deliveredAt !== null);
  for (const { received } of hooks)
    assert.deepEqual(
      received.map((message) => [message.id, message.kind]),
      [[id, 'instance-failed']],
    );
  assert.ok(lines.some((line) => line['msg'] === 'alert' && line['alert'] === id));
});

test('an alert that a webhook refuses is sent again, with the reason in its row and no key of a URL anywhere', async (t) => {
  const { store, log, lines, write, again, all } = await outbox(t);
  const { url, received } = await webhook(t, 500, 200);
  const alert = startAlert({ store, log, webhooks: [url] });
  t.after(() => alert.stop());
  await write('instance-failed');
  await until(async () => (await all())[0]?.lastError !== null);
  const [failed] = await all();
  assert.match(failed?.lastError ?? '', /answered 500$/);
  assert.equal(failed?.deliveredAt, null);
  await again();
  await until(async () => (await all())[0]?.deliveredAt !== null);
  assert.equal(received.length, 2);
  assert.equal(received[0]?.id, received[1]?.id);
  assert.doesNotMatch(JSON.stringify([lines, await all()]), /private-key/);
});

test('a webhook that is away is a reason too; without webhooks the log is enough', async (t) => {
  const { store, log, write, all } = await outbox(t);
  const away = startAlert({ store, log, webhooks: ['http://127.0.0.1:1/hook'] });
  await write('instance-failed');
  await until(async () => (await all())[0]?.lastError !== null);
  assert.match((await all())[0]?.lastError ?? '', /127\.0\.0\.1:1/);
  await away.stop();
  const logOnly = startAlert({ store, log, webhooks: [] });
  t.after(() => logOnly.stop());
  const id = await write('command-parked');
  await until(async () => (await all()).find((alert) => alert.id === id)?.deliveredAt !== null);
});

test('stop waits for what is being sent', async (t) => {
  const { store, log, write, all } = await outbox(t);
  const slow = Promise.withResolvers<void>();
  const server = createServer((_request, response) => void slow.promise.then(() => response.end()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const alert = startAlert({ store, log, webhooks: [`http://127.0.0.1:${(server.address() as AddressInfo).port}/`] });
  const asked = once(server, 'request');
  await write('instance-failed');
  await asked;
  const stopped = alert.stop();
  slow.resolve();
  await stopped;
  assert.notEqual((await all())[0]?.deliveredAt, null);
});
