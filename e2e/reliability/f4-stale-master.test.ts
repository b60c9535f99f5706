/**
 * F4: a master goes on while it is cut off from the database (both ways, or so that only the answers are lost) or stopped, with tasks in
 * flight whose successors are ready; another master goes on with the same instances. Then it comes back, with what was held arriving late or
 * never. And a worker is cut off from one master and not from the other. No successor runs twice.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { testDatabase } from '@keelson/store/testing';
import type { Proxy } from '../../chaos/cluster/proxy.ts';
import type { FailpointOrders } from '../../simulation/plants/failpoint.ts';
import { openCluster } from '../support/cluster.ts';
import type { Cluster, ServerNode, WorkerNode } from '../support/cluster.ts';
import { databaseViolations, ledgerViolations } from '../support/verdict.ts';
import { waitFor } from '../support/wait-for.ts';
import { TRIALS, sayResult } from './result.ts';
import { allEnded, chain, needsOf, publish, startOnce } from './workload.ts';

const INSTANCES = 8;
const LENGTH = 5;

interface Stage {
  readonly cluster: Cluster;
  readonly masters: readonly [ServerNode, ServerNode];
  readonly workers: readonly [WorkerNode, WorkerNode];
}

async function openStage(
  t: TestContext,
  plant?: string,
  failpoints?: (folder: string) => FailpointOrders,
): Promise<Stage> {
  const { url } = await testDatabase(t);
  const cluster = await openCluster(t, url);
  const orders = failpoints?.(cluster.folder);
  const masters = [
    await cluster.server({ name: 'm1', plant, failpoints: orders }),
    await cluster.server({ name: 'm2', plant }),
  ] as const;
  await Promise.all(masters.map(({ process }) => process.start()));
  const workers = [
    await cluster.worker({ name: 'w1', servers: masters }),
    await cluster.worker({ name: 'w2', servers: masters.toReversed() }),
  ] as const;
  await Promise.all(workers.map(({ process }) => process.start()));
  await publish(cluster, masters[1], chain('row', LENGTH, cluster.task(0.4)));
  await publish(cluster, masters[1], chain('long', 1, cluster.task(12)));
  return { cluster, masters, workers };
}

/** What is done to the cluster while tasks are in flight, and how it is undone. */
interface Cut {
  readonly name: string;
  begin(stage: Stage): void;
  /** Answers whether it had any effect. */
  heal(stage: Stage): boolean;
}

const databaseOf = ({ masters: [first] }: Stage): Proxy => first.database;
const edge = ({ workers: [first] }: Stage): Proxy => first.servers.get('m1') as Proxy;

function hold(
  name: string,
  proxyOf: (stage: Stage) => Proxy,
  directions: readonly ('up' | 'down')[],
  held: 'late' | 'never',
): Cut {
  return {
    name: `${name}, what was held comes ${held}`,
    begin: (stage) => proxyOf(stage).hold(directions),
    heal: (stage) => {
      const { heldBytes, connectionsHit } = proxyOf(stage).heal(held);
      return heldBytes > 0 || connectionsHit > 0;
    },
  };
}

const CUTS: readonly Cut[] = [
  hold('a master and the database cut off from each other', databaseOf, ['up', 'down'], 'late'),
  hold('a master and the database cut off from each other', databaseOf, ['up', 'down'], 'never'),
  hold('the answers of the database lost to a master', databaseOf, ['down'], 'late'),
  hold('the answers of the database lost to a master', databaseOf, ['down'], 'never'),
  {
    name: 'a master stopped',
    begin: ({ masters: [first] }) => void first.process.signal('SIGSTOP'),
    heal: ({ masters: [first] }) => first.process.signal('SIGCONT'),
  },
  hold('a worker and one of two masters cut off from each other', edge, ['up', 'down'], 'late'),
  hold('the answers of one of two masters lost to a worker', edge, ['down'], 'never'),
];

/** A worker stays with the server that it has found: a new process of it begins with the first one again. */
async function backToFirstMaster({ workers: [first], masters }: Stage): Promise<void> {
  first.process.expectEnd();
  first.process.signal('SIGKILL');
  await first.process.exited();
  await first.process.start();
  const lines = await masters[0].logLines();
  assert.ok(lines.some((line) => line.includes('a worker joined') && line.includes('w1')));
}

/** Cuts in the middle of the work, waits until the others have gone on, heals; answers whether the cut had any effect. */
async function underCut(stage: Stage, cut: Cut): Promise<boolean> {
  const { cluster, masters } = stage;
  await backToFirstMaster(stage);
  const before = (await cluster.ledger()).length;
  await Promise.all(Array.from({ length: INSTANCES }, () => startOnce(cluster, masters[1].url, 'row')));
  const seen = async (task: string, count: number) => {
    const news = (await cluster.ledger()).slice(before);
    return news.filter((entry) => entry.kind === 'S' && entry.task === task).length >= count ? true : undefined;
  };
  await waitFor('tasks in flight', () => seen('t2', 2));
  cut.begin(stage);
  // All came to their ends without the one that is cut off, those too whose tasks it had handed out.
  await waitFor('successors elsewhere', () => seen(`t${LENGTH}`, INSTANCES));
  return cut.heal(stage);
}

async function violationsOf({ cluster }: Stage, withinMs = 60_000): Promise<string[]> {
  const ended = await allEnded(cluster, withinMs);
  return [
    ...(ended ? [] : [`not everything ended within ${withinMs} ms`]),
    ...ledgerViolations(await cluster.ledger(), needsOf(chain('row', LENGTH, cluster.task(0)))),
    ...(await databaseViolations(cluster)),
  ];
}

test('F4: a master or a worker is cut off or stopped with successors ready, and comes back', async (t) => {
  const stage = await openStage(t);
  let faults = 0;
  const idle: string[] = [];
  for (let trial = 0; trial < TRIALS; trial++)
    for (const cut of CUTS) {
      const began = Date.now();
      if (await underCut(stage, cut)) faults++;
      else idle.push(cut.name);
      await allEnded(stage.cluster, 60_000);
      t.diagnostic(`${cut.name}: ${Date.now() - began} ms`);
    }
  const violations = await violationsOf(stage);
  sayResult(t, { scenario: 'F4', trials: CUTS.length * TRIALS, unit: 'cuts', faults, violations });
  assert.deepEqual(violations, []);
  assert.deepEqual(idle, [], 'cuts without effect prove nothing');
});

test('F4 reports the plant undecided-successors-handed-over', async (t) => {
  // Its connection breaks as it commits: nothing of it is stored.
  const stage = await openStage(t, 'undecided-successors-handed-over', (folder) => ({
    journal: join(folder, 'journal'),
    points: [{ at: 'sql:write-bind', fault: 'cut-before', hit: 2 }],
  }));
  const { cluster, masters } = stage;
  // Reports reach the first master only from workers that talk to it.
  for (const worker of stage.workers) worker.servers.get('m2')?.hold(['up', 'down']);
  await Promise.all(Array.from({ length: INSTANCES }, () => startOnce(cluster, masters[0].url, 'row')));
  const violations = await violationsOf(stage, 10_000);
  assert.match(await readFile(join(cluster.folder, 'journal'), 'utf8'), /cut-before/);
  assert.match(violations.join('\n'), /the database knows nothing of it|started while|started after/);
});

test('F4 reports the plant lease-ended-early', async (t) => {
  const { cluster, masters, workers } = await openStage(t, 'lease-ended-early');
  await Promise.all(Array.from({ length: 6 }, () => startOnce(cluster, masters[0].url, 'long')));
  await waitFor('a long task on the worker that is to be cut off', async () =>
    (await cluster.ledger()).some(({ kind, worker }) => kind === 'S' && worker === 'w1') ? true : undefined,
  );
  for (const proxy of workers[0].servers.values()) proxy.hold(['up', 'down']);
  await waitFor('attempts that overlap', async () =>
    ledgerViolations(await cluster.ledger()).some((found) => /started while .* ran/.test(found)) ? true : undefined,
  );
});
