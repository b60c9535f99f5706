import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addWorker, openWorld } from '../../testing/world.ts';
import { createWorkers } from './workers.ts';

test('a renewal that was acknowledged is committed, whatever an expiry on the same connection does', async (t) => {
  const world = await openWorld(t);
  const workers = createWorkers(world.open);
  t.after(() => workers.close());
  const id = await addWorker(world, 'w1', { leaseMs: 20_000 });
  await workers.renew([]);
  const [renewed] = await Promise.all([workers.renew([]), workers.expire(1e9), workers.renew([id])]).then(
    ([, , answer]) => answer,
  );
  assert.equal(renewed?.id, id, 'the worker is told that it holds a lease of a minute from now');
  const [row] = await world.sql(
    'select extract(epoch from lease_until - clock_timestamp())::int as left from worker_incarnation where id = $1',
    [id],
  );
  assert.ok(row?.left > 30, `the database gives it ${row?.left} s`);
});
