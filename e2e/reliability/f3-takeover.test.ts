/**
 * F3: a master is killed at a step of what it does, the next one that takes over is killed at the same step, and then the cluster is whole
 * again. Nothing stays in any in-between state: everything ends within ten seconds, the doctor finds nothing, the sweeper had nothing to do.
 * The steps are not a list that somebody keeps: they are the places between two awaits that a recording run comes by.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { testDatabase } from '@keelson/store/testing';
import { createRandom } from '../../chaos/random.ts';
import type { Failpoint } from '../../simulation/plants/failpoint.ts';
import { openCluster } from '../support/cluster.ts';
import type { Cluster, ServerNode, WorkerNode } from '../support/cluster.ts';
import { databaseViolations, ledgerViolations } from '../support/verdict.ts';
import { waitFor } from '../support/wait-for.ts';
import { TRIALS, sayResult } from './result.ts';
import { allEnded, chain, needsOf, publish, startOnce } from './workload.ts';

const TRIALS_BY_DEFAULT = 3;
const SEED = Number(process.env['KEELSON_SCENARIO_SEED'] ?? 1);
const CONVERGED_WITHIN_MS = 10_000;
/** How long a master may live before it counts as one that does not come by the place. */
const REACHED_WITHIN_MS = 10_000;
/** Shorter than the product allows: a trial waits for it. */
const LEASE_MS = 3000;

const MASTER = 'packages/server/src/master';
const STORE = 'packages/store/src/postgres';
const MASTER_FILES =
  'claims commands due handover assignment outcome plans report-step reports renewals kills master gateway/register gateway/authenticate gateway/poll gateway/reconcile gateway/report gateway/talk gateway/routes';
const STORE_FILES =
  'engine/step/step engine/step/read-commands engine/step/read-reports engine/claim engine/engine engine/timers workers/workers connection/session';
const FILES = [
  ...MASTER_FILES.split(' ').map((name) => `${MASTER}/${name}.ts`),
  ...STORE_FILES.split(' ').map((name) => `${STORE}/${name}.ts`),
];

interface Stage {
  readonly cluster: Cluster;
  readonly api: ServerNode;
  readonly masters: readonly ServerNode[];
  readonly workers: readonly WorkerNode[];
  /** What the masters that start from now on do at which place. */
  order(points: readonly Failpoint[]): Promise<void>;
  journal(): Promise<string[]>;
}

async function openStage(t: TestContext, plant?: string): Promise<Stage> {
  const { url } = await testDatabase(t);
  const cluster = await openCluster(t, url);
  const [ordersFile, journalFile] = [join(cluster.folder, 'orders'), join(cluster.folder, 'journal')];
  const order = (points: readonly Failpoint[]) =>
    writeFile(ordersFile, JSON.stringify({ points, journal: journalFile }));
  await order([]);
  await cluster.rows(`alter table worker_group drop constraint worker_group_lease_ms_check`);
  await cluster.rows(
    `insert into worker_group (name, lease_ms) values ('default', $1)
                      on conflict (name) do update set lease_ms = excluded.lease_ms`,
    [LEASE_MS],
  );
  const api = await cluster.server({ name: 'api', roles: ['api'] });
  const failpoints = `@${ordersFile}` as const;
  const master = (name: string) => cluster.server({ name, roles: ['api', 'master'], plant, failpoints });
  const masters = [await master('m1'), await master('m2')];
  const workers = [
    await cluster.worker({ name: 'w1', servers: masters }),
    await cluster.worker({ name: 'w2', servers: masters.toReversed() }),
  ];
  await Promise.all([api, ...masters, ...workers].map(({ process }) => process.start()));
  await publish(cluster, api, chain('quick', 4, cluster.task(0.1)));
  await publish(cluster, api, chain('slow', 2, cluster.task(1)));
  const journal = async () => (await readFile(journalFile, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  return { cluster, api, masters, workers, order, journal };
}

async function kill({ process }: { readonly process: ServerNode['process'] }): Promise<void> {
  process.expectEnd();
  process.signal('SIGKILL');
  await process.exited();
}

/** Starts it without waiting for it: it may be dead before it is ready. */
async function startDoomed(server: ServerNode): Promise<void> {
  await server.process.start(0).catch(() => undefined);
}

/** Tasks run, and the worker that has some of them dies: a master that comes finds them on a worker that will never answer. */
async function loseWorker({ cluster, api, workers }: Stage): Promise<void> {
  const [, second] = workers as [WorkerNode, WorkerNode];
  const before = (await cluster.ledger()).length;
  await Promise.all(Array.from({ length: 6 }, () => startOnce(cluster, api.url, 'slow')));
  await waitFor('a task on the worker that is to die', async () => {
    const mine = (await cluster.ledger()).slice(before).filter(({ worker }) => worker === second.name);
    const ended = new Set(mine.filter(({ kind }) => kind === 'E').map(({ token }) => token));
    return mine.some(({ token }) => !ended.has(token)) ? true : undefined;
  });
  await kill(second);
}

/** New instances, and the dead worker comes back. */
async function moreWork({ cluster, api, workers }: Stage): Promise<void> {
  await Promise.all(Array.from({ length: 2 }, () => startOnce(cluster, api.url, 'quick')));
  // It is ready only when some master lets it join.
  workers[1]?.process.start().catch(() => undefined);
}

/** Which places a master comes by while it starts, works, and takes over from a dead worker. */
async function placesOf(stage: Stage): Promise<string[]> {
  const { cluster, masters, order, journal } = stage;
  await loseWorker(stage);
  await Promise.all(masters.map(kill));
  await order(FILES.map((file) => ({ at: `await:${file}:*`, fault: 'note' })));
  const [first] = masters as [ServerNode];
  await first.process.start();
  await moreWork(stage);
  await allEnded(cluster, 60_000);
  return (await journal()).filter((line) => line.endsWith(' note')).map((line) => line.split(' ')[1] ?? '');
}

interface Trial {
  readonly kills: number;
  readonly violations: string[];
}

/** Two masters, one after the other, die at the place; then both run undisturbed. */
async function takeOver(stage: Stage, place: string): Promise<Trial> {
  const { cluster, masters, order, journal } = stage;
  await loseWorker(stage);
  await Promise.all(masters.map(kill));
  await order([{ at: place, fault: 'kill' }]);
  const before = (await journal()).length;
  await moreWork(stage);
  for (const master of masters) {
    await startDoomed(master);
    await waitFor(
      `the end of ${master.name}`,
      () => (master.process.isUp() ? undefined : true),
      REACHED_WITHIN_MS,
    ).catch(() => kill(master));
  }
  const kills = (await journal()).length - before;
  await order([]);
  await Promise.all(masters.map(({ process }) => process.start()));
  const converged = await allEnded(cluster, CONVERGED_WITHIN_MS);
  const violations = converged ? [] : [`not everything had ended ${CONVERGED_WITHIN_MS} ms after the heal`];
  if (!converged) await allEnded(cluster, 30_000);
  for (const { name, metric } of masters)
    if ((await metric('keelson_sweeper_redrives_total')) > 0) violations.push(`the sweeper of ${name} had to help`);
  violations.push(...(await databaseViolations(cluster)));
  violations.push(...ledgerViolations(await cluster.ledger(), needsOf(chain('quick', 4, cluster.task(0)))));
  return { kills, violations: violations.map((violation) => `${place}: ${violation}`) };
}

test('F3: a master dies at each step of taking over, and the next one too', async (t) => {
  const stage = await openStage(t);
  const places = await placesOf(stage);
  assert.ok(places.length > 40, `the recording run came by ${places.length} places only: ${places.join(' ')}`);
  const only = process.env['KEELSON_SCENARIO_PLACE'];
  const chosen =
    only !== undefined
      ? [only]
      : createRandom(SEED)
          .shuffled(places)
          .slice(0, TRIALS_BY_DEFAULT * TRIALS);
  const violations: string[] = [];
  let kills = 0;
  for (const place of chosen) {
    const trial = await takeOver(stage, place);
    kills += trial.kills;
    violations.push(...trial.violations);
    t.diagnostic(`${place}: ${trial.kills} kills`);
  }
  const unit = `of ${places.length} places, two masters each`;
  sayResult(t, { scenario: 'F3', trials: chosen.length, unit, faults: kills, violations });
  assert.deepEqual(violations, []);
  assert.ok(kills >= chosen.length, `only ${kills} masters died at ${chosen.length} places`);
});

test('F3 reports the plant failover-set-first-and-handled-later', async (t) => {
  const stage = await openStage(t, 'failover-set-first-and-handled-later');
  const { violations, kills } = await takeOver(stage, `await:${STORE}/workers/workers.ts:expire:2`);
  assert.ok(kills > 0, 'no master died between the two transactions');
  assert.match(violations.join('\n'), /not everything had ended|had to help/);
});
