import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { bind, namedWorkflow, openWorld } from '../testing/world.ts';
import { createNodes } from './workers/nodes.ts';
import { createTokens } from './tokens.ts';
import { createWorkers } from './workers/workers.ts';

async function registry(t: TestContext) {
  const world = await openWorld(t);
  const workers = createWorkers(world.open);
  t.after(() => workers.close());
  const tokens = createTokens(world.pool);
  const join = (name: string, tokenId: string) =>
    workers.register({
      name,
      group: 'default',
      slots: 2,
      capabilities: ['shell'],
      credentialHash: `hash of ${name}`,
      host: 'h',
      pid: 1,
      version: '0.1.0',
      tokenId,
    });
  const tokenOf = async (name: string) => (await tokens.create({ name, role: 'worker' })).info.id;
  return { ...world, workers, tokens, join, tokenOf, nodes: createNodes(world.pool) };
}

test('revoking a join token ends the workers that joined with it, and nobody else', async (t) => {
  const { workers, tokens, join, tokenOf, nodes } = await registry(t);
  const [bad, good] = [await tokenOf('bad'), await tokenOf('good')];
  const [first, second, kept] = [await join('w1', bad), await join('w2', bad), await join('w3', good)];
  assert.deepEqual(await workers.renew([first.id, second.id, kept.id]).then((leases) => leases.length), 3);
  assert.deepEqual((await tokens.revoke(bad))?.workers.toSorted(), ['w1', 'w2']);
  assert.deepEqual(
    (await workers.renew([first.id, second.id, kept.id])).map(({ id }) => id),
    [kept.id],
  );
  assert.equal(await workers.authenticate(first.id, 'hash of w1'), undefined);
  assert.equal((await workers.authenticate(kept.id, 'hash of w3'))?.state, 'live');
  await assert.rejects(join('w4', bad), { name: 'StoreError', code: 'token-revoked' });
  assert.deepEqual(
    (await nodes.workers()).map(({ name, revoked, state }) => [name, revoked, state]),
    [
      ['w1', true, 'draining'],
      ['w2', true, 'draining'],
      ['w3', false, 'live'],
    ],
  );
});

test('what a revoked worker holds is lost when its lease has run out, and not before: it may still run', async (t) => {
  const world = await registry(t);
  const { workers, tokens, join, tokenOf, sql } = world;
  const token = await tokenOf('bad');
  const { id } = await join('w1', token);
  const instance = await world.start(await world.apply(namedWorkflow('demo', 'etl')));
  await bind(world, instance, 'a', id);
  await tokens.revoke(token);
  const commands = async () =>
    sql("select 1 from command where kind = 'attempt-ended' and instance_id = $1", [instance]);
  const certain = 3_600_000;
  assert.deepEqual(await workers.expire(certain), []);
  assert.equal((await commands()).length, 0);
  await sql("update worker_incarnation set lease_until = clock_timestamp() - interval '1 ms' where id = $1", [id]);
  // Nothing expires within a lease of the server's start.
  await sql(
    "create or replace function server_up_since() returns timestamptz language sql as $$ select '-infinity'::timestamptz $$",
  );
  assert.deepEqual(
    (await workers.expire(certain)).map(({ name }) => name),
    ['w1'],
  );
  assert.equal((await commands()).length, 1);
});

test('a worker that joins while its token is revoked is refused or ended, never forgotten', async (t) => {
  const { tokens, join, tokenOf, sql } = await registry(t);
  for (let round = 0; round < 10; round++) {
    const token = await tokenOf(`round ${round}`);
    const joins = Array.from({ length: 6 }, (_, index) => join(`w${round}-${index}`, token));
    await Promise.allSettled([...joins.slice(0, 3), tokens.revoke(token), ...joins.slice(3)]);
    assert.deepEqual(
      await sql('select name from worker_incarnation where token_id = $1 and revoked_at is null', [token]),
      [],
    );
  }
});

test('the lease of a group holds for workers that register from now on', async (t) => {
  const { nodes, join, tokenOf } = await registry(t);
  const token = await tokenOf('t');
  assert.equal((await join('w1', token)).leaseMs, 10_000);
  assert.deepEqual(await nodes.setLease('default', 30_000), { name: 'default', leaseMs: 30_000, workers: 1 });
  assert.equal((await join('w2', token)).leaseMs, 30_000);
  await nodes.setLease('gpu', 600_000);
  assert.deepEqual(await nodes.groups(), [
    { name: 'default', leaseMs: 30_000, workers: 2 },
    { name: 'gpu', leaseMs: 600_000, workers: 0 },
  ]);
  for (const bad of [9999, 600_001, 10_000.5, Number.NaN])
    await assert.rejects(nodes.setLease('default', bad), { code: 'invalid-lease' }, String(bad));
});

test('a revoked or dead worker that asks for work gets its name back from nobody', async (t) => {
  const { workers, tokens, join, tokenOf, sql } = await registry(t);
  const [good, bad] = [await tokenOf('good'), await tokenOf('bad')];
  const states = async () =>
    (await sql('select id, state from worker_incarnation order by id')).map(({ id, state }) => `${id} ${state}`);
  const alone = await join('alone', bad);
  const kept = await join('w1', good);
  const revoked = await join('w1', bad);
  await tokens.revoke(bad);
  assert.equal(await workers.supersede(alone.id), false);
  assert.equal(await workers.supersede(revoked.id), false);
  assert.deepEqual(await states(), [`${alone.id} draining`, `${kept.id} live`, `${revoked.id} draining`]);
  const late = await join('w1', good);
  await sql("update worker_incarnation set lease_until = clock_timestamp() - interval '1 ms' where id = $1", [late.id]);
  assert.equal(await workers.supersede(late.id), false, 'its lease is over');
  await workers.leave(late.id);
  assert.equal(await workers.supersede(late.id), false, 'it has left');
  assert.equal((await states())[1], `${kept.id} live`);
});
