import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namedWorkflow, openWorld } from '../testing/world.ts';
import { createAlerts } from './alerts.ts';

test('an alert is claimed by one sender at a time, and comes again until it is delivered', async (t) => {
  const { pool, sql, apply, start } = await openWorld(t);
  const alerts = createAlerts(pool);
  assert.equal(await alerts.msUntilDue(), undefined);
  const instanceId = await start(await apply(namedWorkflow('demo', 'etl')));
  await sql(
    'insert into alert (kind, instance_id, payload) select \'instance-failed\', $1, \'{"task": "a"}\' from generate_series(1, 20)',
    [instanceId],
  );
  assert.equal(await alerts.msUntilDue(), 0);
  const claims = await Promise.all(Array.from({ length: 4 }, () => alerts.claim({ limit: 5, leaseMs: 60_000 })));
  const claimed = claims.flat();
  assert.equal(new Set(claimed.map(({ id }) => id)).size, claimed.length, 'nobody else got the same one');
  const [first, ...others] = [...claimed, ...(await alerts.claim({ limit: 20, leaseMs: 60_000 }))];
  assert.equal(others.length, 19);
  assert.deepEqual(
    [first?.project, first?.workflow, first?.instanceId, first?.payload, first?.tries],
    ['demo', 'etl', instanceId, { task: 'a' }, 1],
  );
  assert.deepEqual(await alerts.claim({ limit: 20, leaseMs: 60_000 }), []);
  const wait = await alerts.msUntilDue();
  assert.ok(wait !== undefined && wait > 0 && wait <= 60_000);
  await sql("update alert set next_try_at = now() - interval '1 second'");
  await alerts.delivered(first?.id ?? '');
  const again = await alerts.claim({ limit: 100, leaseMs: 60_000 });
  assert.deepEqual([again.length, again[0]?.tries], [19, 2], 'its sender died: it comes again');
});

test('a failed delivery is put off longer each time, up to an hour, and says why', async (t) => {
  const { pool, sql } = await openWorld(t);
  const alerts = createAlerts(pool);
  await sql("insert into alert (kind, payload) values ('instance-failed', '{}')");
  const waits: number[] = [];
  for (let round = 1; round <= 12; round++) {
    const [due] = await alerts.claim({ limit: 1, leaseMs: 1000 });
    assert.ok(due);
    await alerts.failed(due.id, `round ${round}`);
    const [row] = await sql(
      'select round(extract(epoch from next_try_at - clock_timestamp()))::int as wait from alert',
    );
    waits.push(row?.wait);
    await sql('update alert set next_try_at = now()');
  }
  assert.deepEqual(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
  const [item] = (await alerts.list({ undelivered: true }, { limit: 10 })).items;
  assert.deepEqual([item?.lastError, item?.tries, item?.deliveredAt], ['round 12', 12, null]);
  await alerts.delivered(item?.id ?? '');
  assert.deepEqual((await alerts.list({ undelivered: true }, { limit: 10 })).items, []);
  assert.equal((await alerts.list({}, { limit: 10 })).items.length, 1);
  assert.equal(await alerts.msUntilDue(), undefined);
});
