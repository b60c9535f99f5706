import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startProxy } from './proxy.ts';

/** An echo behind a proxy, and a client of it. */
async function echo(t: TestContext) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => socket.write(data));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const target = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  const proxy = await startProxy({ name: 'edge', target });
  t.after(async () => {
    await proxy.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const dial = async (): Promise<{ socket: Socket; heard: () => string; broke: Promise<unknown> }> => {
    const socket = connect(proxy.port, proxy.host);
    let text = '';
    socket.setEncoding('utf8').on('data', (data: string) => (text += data));
    const broke = new Promise((resolve) => {
      socket.on('error', resolve);
      socket.on('close', resolve);
    });
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    return { socket, heard: () => text, broke };
  };
  return { proxy, dial };
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !condition() && Date.now() < end;) await delay(5);
  assert.ok(condition());
}

for (const direction of ['up', 'down'] as const) {
  test(`what is held on its way ${direction} arrives late, in order`, async (t) => {
    const { proxy, dial } = await echo(t);
    const { socket, heard } = await dial();
    socket.write('one ');
    await until(() => heard() === 'one ');
    proxy.hold([direction]);
    socket.write('two ');
    const other = await dial();
    other.socket.write('new');
    await delay(100);
    assert.equal(heard() + other.heard(), 'one ');
    const proof = proxy.heal('late');
    assert.equal(proof.heldBytes, 7);
    await until(() => heard() === 'one two ' && other.heard() === 'new');
  });
}

test('what is held and never arrives breaks its connection, and no other', async (t) => {
  const { proxy, dial } = await echo(t);
  const [busy, idle] = [await dial(), await dial()];
  proxy.hold(['up', 'down']);
  busy.socket.write('lost');
  await until(() => busy.socket.writableLength === 0);
  await delay(50);
  proxy.heal('never');
  await busy.broke;
  idle.socket.write('still here');
  await until(() => idle.heard() === 'still here');
  assert.equal(busy.heard(), '');
});

test('a reset breaks what is open and what comes, until it heals', async (t) => {
  const { proxy, dial } = await echo(t);
  const first = await dial();
  proxy.reset();
  await first.broke;
  const second = await dial().catch((error: unknown) => error);
  if (!(second instanceof Error)) await (second as Awaited<ReturnType<typeof dial>>).broke;
  assert.ok(proxy.heal('never').refused >= 1);
  const third = await dial();
  third.socket.write('again');
  await until(() => third.heard() === 'again');
});
