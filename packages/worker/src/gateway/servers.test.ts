import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '@keelson/core/system';
import { openGateway } from './client.ts';

/** A server that answers what `status` says; without one it never answers. Resolves `asked` with the first request. */
async function serve(t: TestContext, statuses: Readonly<Record<string, number>>) {
  const asked = Promise.withResolvers<string>();
  const server = createServer((request, response) => {
    const call = request.url?.split('/').at(-1) ?? '';
    asked.resolve(call);
    const status = statuses[call];
    if (status === undefined) return;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(status === 200 ? JSON.stringify({ assignments: [], kill: [] }) : '{"code":"internal"}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: asked.promise };
}

test('a poll does not stay with a server that the other calls have left, though it still answers', async (t) => {
  const first = await serve(t, { renew: 500 });
  const second = await serve(t, { poll: 200 });
  const gateway = openGateway([first.url, second.url], systemClock);
  t.after(() => gateway.close());
  const own = gateway.as('1.secret', new AbortController().signal);
  const poll = { held: [], waitMs: 600_000, draining: false };
  const waiting = own.poll(poll, new AbortController().signal);
  assert.equal(await first.asked, 'poll');
  assert.equal((await own.renew({ held: [] }, 60_000)).kind, 'failed');
  assert.equal((await waiting).kind, 'failed');
  assert.equal((await own.poll(poll, new AbortController().signal)).kind, 'ok');
});
