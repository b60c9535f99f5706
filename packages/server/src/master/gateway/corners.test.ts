import assert from 'node:assert/strict';
import { test } from 'node:test';
import { taskOf } from '@keelson/core/testing';
import { openGatewayHouse, until } from '../testing/gateway-house.ts';

test('an assignment whose attempt is gone before the worker asked is not handed over any more', async (t) => {
  const house = await openGatewayHouse(t);
  const worker = await house.join('w1');
  await worker.call('poll', { held: [], waitMs: 0, draining: false });
  await house.start('w', [taskOf('a')]);
  const session = house.master.gateway.context.sessions.get(worker.id) ?? assert.fail();
  await until('it waits in the outbox', () => session.outbox.length === 1);
  // As when its instance was parked by another master.
  await house.sql('delete from active');
  await worker.call('renew', { held: [] });
  await until('it is forgotten', () => session.outbox.length === 0 && session.held.size === 0);
  const { body } = await worker.call('poll', { held: [], waitMs: 0, draining: false });
  assert.deepEqual(body['assignments'], []);
});

test('what was bound and never received is sent again, the same token to the same worker; what is held and not active is to be killed', async (t) => {
  const house = await openGatewayHouse(t);
  const worker = await house.join('w1');
  await house.start('w', [taskOf('a')]);
  const token = await worker.take();
  // The answer was lost: the worker goes on listing nothing.
  assert.equal(await worker.take(), token);
  const { body } = await worker.call('renew', { held: [token, `1.a.1.1.999.${worker.id}.nonce`] });
  assert.deepEqual(body['kill'], [], 'a renewal waits for no comparison');
  const { body: next } = await worker.call('poll', { held: [token], waitMs: 10_000, draining: false });
  assert.deepEqual(next['kill'], [{ token: `1.a.1.1.999.${worker.id}.nonce`, reason: 'not-active' }]);
});

test('a log that cannot be stored never fails its task', async (t) => {
  const house = await openGatewayHouse(t);
  const worker = await house.join('w1');
  const instance = await house.start('w', [taskOf('a')]);
  const token = await worker.take();
  await house.sql('alter table log_chunk rename to log_chunk_away');
  const log = { offset: 0, data: Buffer.from('a line\n').toString('base64') };
  const { status } = await worker.call('report', { reports: [worker.ended(token, { log })] });
  assert.equal(status, 200);
  const rows = await house.sql('select state from finished_task where instance_id = $1', [instance]);
  assert.deepEqual(rows, [{ state: 'succeeded' }]);
});

test('a worker whose poll broke off is given nothing until it asks again', async (t) => {
  const house = await openGatewayHouse(t);
  const worker = await house.join('w1');
  const session = house.master.gateway.context.sessions.get(worker.id) ?? assert.fail();
  const dying = new AbortController();
  const request = { held: [], waitMs: 60_000, draining: false };
  const poll = house.call('poll', worker.credential, request, { signal: dying.signal });
  await until('the poll is open', () => session.polls === 1);
  dying.abort();
  await assert.rejects(poll);
  await until('the gateway noticed', () => session.absent);
  const instance = await house.start('w', [taskOf('a')]);
  const inLine = async () =>
    (await house.sql('select task from ready where instance_id = $1', [instance])).length === 1;
  await until('its task stands in line', inLine);
  assert.deepEqual(await house.sql('select task from active'), []);
  assert.match(await worker.take(), new RegExp(`\\.${worker.id}\\.`));
});

test('a worker is there again although its older poll breaks off only while the newer one is being looked at', async (t) => {
  const house = await openGatewayHouse(t);
  const worker = await house.join('w1');
  const session = house.master.gateway.context.sessions.get(worker.id) ?? assert.fail();
  const request = { held: [], waitMs: 60_000, draining: false };
  const older = new AbortController();
  const first = house.call('poll', worker.credential, request, { signal: older.signal });
  await until('the older poll is open', () => session.polls === 1);
  session.stale = true;
  const free = await house.hold('lock table active in access exclusive mode');
  const newer = new AbortController();
  const second = house.call('poll', worker.credential, request, { signal: newer.signal });
  await until('the newer one is being looked at', () => !session.stale);
  older.abort();
  await assert.rejects(first);
  await until('the older one broke off', () => session.polls === 0);
  await free();
  await until('the newer one is open', () => session.polls === 1);
  assert.equal(session.absent, false);
  newer.abort();
  await assert.rejects(second);
});
