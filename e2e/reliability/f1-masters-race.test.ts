/**
 * F1: masters race for the same commands while another joins and leaves, and every commit path of the apply fails once, in every way in
 * which a database fails. No instance fails for it, none is made twice, no task ends without a worker and a reason.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { testDatabase } from '@keelson/store/testing';
import type { Failpoint, Fault } from '../../simulation/plants/failpoint.ts';
import { openCluster } from '../support/cluster.ts';
import type { Cluster, ServerNode } from '../support/cluster.ts';
import { databaseViolations, ledgerViolations } from '../support/verdict.ts';
import { TRIALS, sayResult } from './result.ts';
import { allEnded, chain, needsOf, publish, startOnce } from './workload.ts';
import type { Definition } from './workload.ts';

/** A statement of each transaction that a master commits while it applies commands and reports, and the start itself. */
const COMMIT_PATHS = [
  'start',
  'delete-commands',
  'write-release',
  'write-earlier',
  'write-delayed',
  'write-counters',
  'write-bind',
  'write-ready',
  'delete-live',
  'withdraw-ready',
  'operate-steer',
  'claim',
  'started',
  'timer-release',
];
const FAULTS: readonly Fault[] = ['deadlock', 'lock-timeout', 'cut-before', 'cut-after'];

interface Race {
  readonly plant?: string;
  readonly paths: readonly string[];
  readonly faults: readonly Fault[];
  readonly rounds: number;
  /** A third master joins and leaves, and a workflow is stopped in every round. */
  readonly whole: boolean;
}

interface Outcome {
  readonly violations: string[];
  /** `<at> <fault>` */
  readonly fired: string[];
  readonly started: number;
}

function definitions(cluster: Cluster): { ordinary: Definition[]; endless: Definition } {
  const quick = cluster.task(0);
  const retrying = { ...cluster.task(0, { code: 3, failures: 1 }), retry: { max: 3, delay: '100ms' } };
  const join = { name: 'join', tasks: { j1: quick, j2: quick, j3: { needs: ['j1', 'j2'], ...quick } } };
  return {
    ordinary: [
      chain('row', 3, quick),
      join,
      { name: 'again', tasks: { r1: retrying, r2: { needs: ['r1'], ...quick } } },
    ],
    endless: { name: 'endless', tasks: { e1: cluster.task(60), e2: cluster.task(60), e3: cluster.task(60) } },
  };
}

async function race(t: TestContext, { plant, paths, faults, rounds, whole }: Race): Promise<Outcome> {
  const { url } = await testDatabase(t);
  const cluster = await openCluster(t, url);
  const points: Failpoint[] = paths.flatMap((path) => faults.map((fault) => ({ at: `sql:${path}`, fault })));
  const armedBy = join(cluster.folder, 'armed');
  const journal = join(cluster.folder, 'journal');
  const master = (name: string) => cluster.server({ name, plant, failpoints: { points, journal, armedBy } });
  const masters = [await master('m1'), await master('m2')];
  const third = await master('m3');
  await Promise.all(masters.map(({ process }) => process.start()));
  const workers = await Promise.all(
    ['w1', 'w2'].map((name, index) => cluster.worker({ name, servers: index === 0 ? masters : masters.toReversed() })),
  );
  await Promise.all(workers.map(({ process }) => process.start()));
  const [first] = masters as [ServerNode];
  const { ordinary, endless } = definitions(cluster);
  for (const definition of [...ordinary, endless]) await publish(cluster, first, definition);
  await writeFile(armedBy, '');

  let loaded = false;
  const joining = whole ? joinAndLeave(third, () => loaded) : Promise.resolve();
  const names = [...ordinary.map(({ name }) => name), ...(whole ? [endless.name] : [])];
  const asked: { readonly tag: string; readonly id: string | undefined }[] = [];
  for (let round = 0; round < rounds; round++) {
    const server = masters[round % masters.length] as ServerNode;
    await Promise.all(
      names.map(async (name) => {
        const answer = await startOnce(cluster, server.url, name);
        asked.push({ tag: `${name} ${round}`, id: 'id' in answer ? answer.id : undefined });
        if ('id' in answer && name === endless.name) await stopIt(server, answer.id);
      }),
    );
  }
  loaded = true;
  await joining;
  await allEnded(cluster, plant === undefined ? 60_000 : 5000);
  const fired = (await readFile(journal, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  const violations = [
    ...ledgerViolations(await cluster.ledger(), needsOf(...ordinary)),
    ...(await databaseViolations(cluster, [endless.name])),
    ...(await startViolations(cluster, asked)),
  ];
  for (const { name, metric } of masters)
    if ((await metric('keelson_sweeper_redrives_total')) > 0) violations.push(`the sweeper of ${name} had to help`);
  return { violations, fired: fired.map((line) => line.slice(line.indexOf(' ') + 1)), started: asked.length };
}

/** Every start call has made at most one instance, and exactly one if it was acknowledged. */
async function startViolations(
  cluster: Cluster,
  asked: readonly { readonly tag: string; readonly id: string | undefined }[],
): Promise<string[]> {
  const made = new Set((await cluster.rows('select id::text from workflow_instance')).map(({ id }) => String(id)));
  const found: string[] = [];
  if (made.size > asked.length) found.push(`${asked.length} start calls made ${made.size} instances`);
  for (const { tag, id } of asked) {
    if (id !== undefined && !made.has(id)) found.push(`start ${tag} was acknowledged and there is no instance ${id}`);
  }
  return found;
}

/** A stop is asked for again until it is answered: asking twice is asking once. */
async function stopIt(server: ServerNode, id: string): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const answered = await server.client.stopInstance(id).then(
      () => true,
      () => false,
    );
    if (answered) return;
  }
}

/** Alternately as an operator and as a crash. */
async function joinAndLeave(server: ServerNode, done: () => boolean): Promise<void> {
  for (let turn = 0; !done() || turn < 2; turn++) {
    await server.process.start();
    server.process.expectEnd();
    server.process.signal(turn % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
    await server.process.exited();
  }
}

test('F1: two masters race, a third joins and leaves, every commit path fails once in every way', async (t) => {
  const plan = { paths: COMMIT_PATHS, faults: FAULTS, rounds: 40 * TRIALS, whole: true };
  const { violations, fired, started } = await race(t, plan);
  sayResult(t, { scenario: 'F1', trials: started, unit: 'instances started', faults: fired.length, violations });
  assert.deepEqual(violations, []);
  const lacking = COMMIT_PATHS.flatMap((path) => FAULTS.map((fault) => `sql:${path} ${fault}`)).filter(
    (each) => !fired.includes(each),
  );
  assert.deepEqual(lacking, [], 'faults that never happened prove nothing');
});

const PLANTED: readonly (Omit<Race, 'whole' | 'rounds'> & { readonly plant: string; readonly reported: RegExp })[] = [
  {
    plant: 'first-error-fails-the-instance',
    paths: ['delete-commands', 'write-live', 'write-history'],
    faults: ['deadlock', 'lock-timeout'],
    reported: /ended failed: .*command-parked/,
  },
  {
    plant: 'command-deleted-before-the-apply',
    paths: ['write-bind', 'write-ready', 'write-live'],
    faults: ['deadlock', 'lock-timeout'],
    reported: /is still running|instance-without-driver|had to help/,
  },
  {
    plant: 'unknown-commit-repeated-blindly',
    paths: ['start'],
    faults: ['cut-after'],
    reported: /start calls made \d+ instances/,
  },
];

for (const { reported, ...plan } of PLANTED) {
  test(`F1 reports the plant ${plan.plant}`, async (t) => {
    const { violations } = await race(t, { ...plan, rounds: 3, whole: false });
    assert.match(violations.join('\n'), reported);
  });
}
