/**
 * A serial policy when masters die: the only master is killed at each step of an admission in turn, and comes back. Instances go one after the
 * other, in their order, and none is forgotten. The steps are those that a recording run comes by.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { testDatabase } from '@keelson/store/testing';
import type { Failpoint } from '../../simulation/plants/failpoint.ts';
import { openCluster } from '../support/cluster.ts';
import type { Cluster } from '../support/cluster.ts';
import { databaseViolations, ledgerViolations } from '../support/verdict.ts';
import { waitFor } from '../support/wait-for.ts';
import { allEnded, publish, startOnce } from './workload.ts';

const FILES = ['packages/server/src/master/admission.ts', 'packages/store/src/postgres/engine/admission.ts'];
const ENDED_WITHIN_MS = 30_000;

/**
 * Runs of two instances that overlap, and runs in another order than that of the starts. One that was lost with its lease runs again in its
 * own slot: that its attempts never overlap is the ledger's to say.
 */
async function outOfTurn(cluster: Cluster, started: readonly string[]): Promise<string[]> {
  const entries = (await cluster.ledger()).toSorted((one, other) => one.place - other.place);
  const found: string[] = [];
  let open: string | undefined;
  for (const { kind, instance } of entries) {
    if (kind === 'S' && open !== undefined && open !== instance)
      found.push(`instance ${instance} ran while instance ${open} did`);
    if (kind === 'S') open = instance;
    if (kind === 'E' && open === instance) open = undefined;
  }
  const ran = entries.filter(({ kind }) => kind === 'S').map(({ instance }) => instance);
  const inTurn = ran.filter((instance, place) => instance !== ran[place - 1]);
  if (JSON.stringify(inTurn) !== JSON.stringify(started)) found.push(`started ${started.join()}, ran ${ran.join()}`);
  return found;
}

test('a master that dies at any step of an admission gives no slot twice and forgets nobody', async (t) => {
  const { url } = await testDatabase(t);
  const cluster = await openCluster(t, url);
  const [ordersFile, journalFile] = [join(cluster.folder, 'orders'), join(cluster.folder, 'journal')];
  const order = (points: readonly Failpoint[]) =>
    writeFile(ordersFile, JSON.stringify({ points, journal: journalFile }));
  await order(FILES.map((file) => ({ at: `await:${file}:*`, fault: 'note' })));
  const api = await cluster.server({ name: 'api', roles: ['api'] });
  const master = await cluster.server({ name: 'm1', roles: ['api', 'master'], failpoints: `@${ordersFile}` });
  const worker = await cluster.worker({ name: 'w1', servers: [master] });
  await Promise.all([api, master, worker].map(({ process }) => process.start()));
  await publish(cluster, api, {
    name: 'one-by-one',
    concurrency: { policy: 'serial-wait' },
    tasks: { t1: cluster.task(0.05) },
  });
  const started: string[] = [];
  const start = async (count: number): Promise<void> => {
    for (let nr = 0; nr < count; nr++) {
      const outcome = await startOnce(cluster, api.url, 'one-by-one');
      assert.ok('id' in outcome, JSON.stringify(outcome));
      started.push(outcome.id);
    }
  };
  await start(3);
  assert.ok(await allEnded(cluster, ENDED_WITHIN_MS), 'all ends without a kill');
  const lines = (await readFile(journalFile, 'utf8')).split('\n').filter((line) => line.endsWith(' note'));
  const places = [...new Set(lines.map((line) => line.split(' ')[1] ?? ''))];
  assert.ok(places.length >= 4, `the places of an admission: ${places.join(', ')}`);

  for (const at of places) {
    await order([{ at, fault: 'kill' }]);
    master.process.expectEnd();
    master.process.signal('SIGKILL');
    await master.process.exited();
    // As if it had just been set: admissions look for those that run without a slot, too.
    await cluster.rows('update concurrency set settled = false, changed_at = clock_timestamp()');
    await start(3);
    await master.process.start(0).catch(() => undefined);
    await waitFor(`the master to die at ${at}`, () => (master.process.isUp() ? undefined : true));
    await order([]);
    await master.process.start();
    assert.ok(await allEnded(cluster, ENDED_WITHIN_MS), `all ends after a kill at ${at}`);
  }
  assert.deepEqual(await outOfTurn(cluster, started), []);
  assert.deepEqual([...ledgerViolations(await cluster.ledger()), ...(await databaseViolations(cluster))], []);
});
