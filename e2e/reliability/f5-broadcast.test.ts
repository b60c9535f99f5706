/**
 * F5: a broadcast over four workers: one is killed before it has got its subtask, one after it began, one is stopped cleanly, and one joins
 * late. Each survivor runs it exactly once, the dead are lost and nobody does it in their place, and the step `after` is told exactly that.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { testDatabase } from '@keelson/store/testing';
import type { Entry } from '../../chaos/ledger/entry.ts';
import { openCluster } from '../support/cluster.ts';
import type { Cluster, ServerNode, WorkerNode } from '../support/cluster.ts';
import { databaseViolations } from '../support/verdict.ts';
import { waitFor } from '../support/wait-for.ts';
import { TRIALS, sayResult } from './result.ts';
import { allEnded, publish, startOnce } from './workload.ts';

/** Shorter than the product allows: a trial waits for it. */
const LEASE_MS = 5000;
const SUBTASK_SECONDS = 2;

interface Stage {
  readonly cluster: Cluster;
  readonly masters: readonly [ServerNode, ServerNode];
  worker(name: string): Promise<WorkerNode>;
}

async function openStage(t: TestContext, plant?: string): Promise<Stage> {
  const { url } = await testDatabase(t);
  const cluster = await openCluster(t, url);
  await cluster.rows('alter table worker_group drop constraint worker_group_lease_ms_check');
  await cluster.rows(
    `insert into worker_group (name, lease_ms) values ('default', $1) on conflict (name) do update set lease_ms = excluded.lease_ms`,
    [LEASE_MS],
  );
  const masters = [await cluster.server({ name: 'm1', plant }), await cluster.server({ name: 'm2', plant })] as const;
  await Promise.all(masters.map(({ process }) => process.start()));
  const subtask = cluster.task(SUBTASK_SECONDS);
  await publish(cluster, masters[0], {
    name: 'everywhere',
    tasks: {
      each: {
        ...subtask,
        mode: 'broadcast',
        broadcast: { maxFailed: 4, after: { run: `cp "$KEELSON_BROADCAST_RESULTS" "$RESULTS-$KEELSON_INSTANCE_ID"` } },
        env: { ...subtask.env, RESULTS: join(cluster.folder, 'results') },
      },
    },
  });
  let turn = 0;
  const worker = async (name: string): Promise<WorkerNode> => {
    const made = await cluster.worker({ name, servers: turn++ % 2 === 0 ? masters : masters.toReversed() });
    await made.process.start();
    return made;
  };
  return { cluster, masters, worker };
}

function end({ process }: WorkerNode, signal: NodeJS.Signals): void {
  process.expectEnd();
  process.signal(signal);
}

interface Told {
  readonly worker: string;
  readonly state: string;
}

/** One broadcast under all that F5 names; answers what is wrong with how it went. */
async function trial({ cluster, masters, worker }: Stage, round: number): Promise<string[]> {
  const names = ['deaf', 'killed', 'stopped', 'whole'].map((name) => `${name}-${round}`);
  const workers = await Promise.all(names.map(worker));
  const [deaf, killed, stopped, whole] = workers as [WorkerNode, WorkerNode, WorkerNode, WorkerNode];
  // What is said to it from now on it does not hear.
  for (const proxy of deaf.servers.values()) proxy.hold(['down']);
  const started = await startOnce(cluster, masters[0].url, 'everywhere');
  assert.ok('id' in started, JSON.stringify(started));
  const { id } = started;
  const entries = async (): Promise<Entry[]> => (await cluster.ledger()).filter(({ instance }) => instance === id);
  const begun = async ({ name }: WorkerNode) =>
    (await entries()).some((entry) => entry.worker === name) ? true : undefined;
  await Promise.all([killed, stopped, whole].map((each) => waitFor(`${each.name} at work`, () => begun(each))));
  end(killed, 'SIGKILL');
  end(stopped, 'SIGTERM');
  end(deaf, 'SIGKILL');
  const late = await worker(`late-${round}`);
  await allEnded(cluster, 60_000);
  const found = await outcomeViolations(cluster, id, await entries(), { names, late: late.name });
  for (const each of [whole, late]) {
    end(each, 'SIGTERM');
    await each.process.exited();
  }
  return found.map((violation) => `broadcast ${round}: ${violation}`);
}

async function outcomeViolations(
  cluster: Cluster,
  id: string,
  entries: readonly Entry[],
  { names, late }: { readonly names: readonly string[]; readonly late: string },
): Promise<string[]> {
  const [deaf = '', killed = '', stopped = '', whole = ''] = names;
  const found: string[] = [];
  const expectRuns = (name: string, starts: number, ends: number): void => {
    const mine = entries.filter(({ worker }) => worker === name);
    const count = (kind: Entry['kind']): number => mine.filter((entry) => entry.kind === kind).length;
    if (count('S') !== starts || count('E') !== ends)
      found.push(`${name} began ${count('S')} and ended ${count('E')} subtasks instead of ${starts} and ${ends}`);
  };
  expectRuns(deaf, 0, 0);
  expectRuns(killed, 1, 0);
  expectRuns(stopped, 1, 1);
  expectRuns(whole, 1, 1);
  expectRuns(late, 0, 0);
  const wanted = [`${deaf} lost`, `${killed} lost`, `${stopped} succeeded`, `${whole} succeeded`].toSorted().join(', ');
  const say = (told: readonly Told[]): string =>
    told
      .map(({ worker, state }) => `${worker} ${state}`)
      .toSorted()
      .join(', ');
  const stored = await cluster.rows('select worker, state from finished_subtask where instance_id = $1', [id]);
  if (say(stored as unknown as Told[]) !== wanted) found.push(`stored: ${say(stored as unknown as Told[])}`);
  const after = await readFile(join(cluster.folder, `results-${id}`), 'utf8').catch(() => '[]');
  if (say(JSON.parse(after) as Told[]) !== wanted) found.push(`after was told: ${say(JSON.parse(after) as Told[])}`);
  return found;
}

test('F5: a broadcast whose workers are killed, stopped and join in the middle', async (t) => {
  const stage = await openStage(t);
  const violations: string[] = [];
  for (let round = 1; round <= TRIALS; round++) violations.push(...(await trial(stage, round)));
  violations.push(...(await databaseViolations(stage.cluster)));
  for (const { name, metric } of stage.masters)
    if ((await metric('keelson_sweeper_redrives_total')) > 0) violations.push(`the sweeper of ${name} had to help`);
  sayResult(t, { scenario: 'F5', trials: TRIALS, unit: 'broadcasts over 4 workers', faults: 4 * TRIALS, violations });
  assert.deepEqual(violations, []);
});

test('F5 reports the plant broadcast-address-reset', async (t) => {
  const stage = await openStage(t, 'broadcast-address-reset');
  assert.match(
    (await trial(stage, 1)).join('\n'),
    /began (?:2|1 and ended 1) .*instead of|began 1 and ended 1 subtasks instead of 0 and 0/,
  );
});
