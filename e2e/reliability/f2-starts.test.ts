/**
 * F2: very many start requests at once, with and without idempotency keys, while masters and apis are killed and PostgreSQL restarts. Every
 * acknowledged id has exactly one instance that ends, every other call none or one, and no refusal is silent.
 */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startPostgres } from '../../chaos/cluster/postgres.ts';
import type { Postgres } from '../../chaos/cluster/postgres.ts';
import { openCluster } from '../support/cluster.ts';
import type { Cluster, ServerNode } from '../support/cluster.ts';
import { databaseViolations } from '../support/verdict.ts';
import { waitFor } from '../support/wait-for.ts';
import { TRIALS, sayResult } from './result.ts';
import { allEnded, publish, startOnce } from './workload.ts';

const CALLS = 2000;
const CLIENT_PATIENCE_MS = 120_000;

/** Its one task is skipped: what is tried here is whether an instance begins and ends, not what a worker does. */
const WORKFLOW = {
  name: 'begun',
  params: { call: { type: 'integer' } },
  tasks: { nothing: { if: 'false', run: 'true', env: {} } },
};

async function openPostgres(t: TestContext): Promise<Postgres> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-f2-'));
  await chmod(folder, 0o755);
  const postgres = await startPostgres(folder);
  t.after(async () => {
    await postgres.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  return postgres;
}

/** One start call of a client, and what became of it. */
interface Call {
  readonly number: number;
  readonly key: string | undefined;
  id: string | undefined;
}

interface Refusal {
  readonly server: ServerNode;
  readonly life: number;
}

/** Kills a process and starts it again; what was refused before is counted in another life of it. */
function killer(lives: Map<string, number>): (server: ServerNode) => Promise<void> {
  return async (server) => {
    lives.set(server.name, (lives.get(server.name) ?? 0) + 1);
    server.process.expectEnd();
    server.process.signal('SIGKILL');
    await server.process.exited();
    await server.process.start();
  };
}

async function restartPostgres(postgres: Postgres): Promise<void> {
  await postgres.stopImmediately();
  await postgres.start();
}

/**
 * One kind of client repeats its call under its key until it is answered; one has a key and gives up at the first trouble; one has no key,
 * and may not repeat anything.
 */
async function storm(cluster: Cluster, apis: readonly ServerNode[], lives: Map<string, number>, plan: Plan) {
  const refusals: Refusal[] = [];
  const calls: Call[] = [];
  let settled = 0;
  const due = plan.faults.map(([at, fault]) => ({ at: at * plan.calls, fault }));
  const faults: Promise<void>[] = [];
  const one = async (number: number): Promise<void> => {
    const key = number % 3 === 0 ? undefined : `key-${number}`;
    const call: Call = { number, key, id: undefined };
    calls.push(call);
    const until = Date.now() + (number % 3 === 1 ? CLIENT_PATIENCE_MS : 0);
    for (let turn = number; ; turn++) {
      const server = apis[turn % apis.length] as ServerNode;
      const life = lives.get(server.name) ?? 0;
      const answer = await startOnce(cluster, server.url, WORKFLOW.name, {
        params: { call: number },
        ...(key !== undefined && { key }),
        timeoutMs: 30_000,
      });
      if ('id' in answer) call.id = answer.id;
      else if (answer.status > 0) refusals.push({ server, life });
      if (call.id !== undefined || Date.now() >= until) break;
      await pause(50);
    }
    settled++;
    while (due[0] !== undefined && settled >= due[0].at) faults.push(due.shift()?.fault() ?? Promise.resolve());
  };
  await Promise.all(Array.from({ length: plan.calls }, (_, number) => one(number)));
  await Promise.all(faults);
  return { calls, refusals, faults: faults.length };
}

interface Plan {
  readonly calls: number;
  /** When this share of the calls is settled, this happens. */
  readonly faults: readonly (readonly [share: number, fault: () => Promise<void>])[];
}

async function startViolations(cluster: Cluster, calls: readonly Call[]): Promise<string[]> {
  const rows = await cluster.rows(
    `select i.id::text, (i.params->>'call')::int as call, (select count(*)::int from instance_end e where e.instance_id = i.id) as ends
       from workflow_instance i`,
  );
  const made = Map.groupBy(
    rows.map(({ id, call, ends }) => ({ id: String(id), call: Number(call), ends: Number(ends) })),
    ({ call }) => call,
  );
  const found: string[] = [];
  for (const { number, key, id } of calls) {
    const ofCall = made.get(number) ?? [];
    if (ofCall.length > 1) found.push(`call ${number} (${key ?? 'no key'}) made ${ofCall.length} instances`);
    if (id !== undefined && ofCall[0]?.id !== id)
      found.push(`call ${number} was acknowledged with ${id}, and there is ${ofCall[0]?.id ?? 'nothing'}`);
    for (const { ends } of ofCall) if (ends !== 1) found.push(`the instance of call ${number} has ${ends} ends`);
  }
  return found;
}

/** Of a process's life that has not ended: what its clients saw refused is in its log and in its counter. */
async function silentRefusals(apis: readonly ServerNode[], refusals: readonly Refusal[], lives: Map<string, number>) {
  const found: string[] = [];
  for (const server of apis) {
    const seen = refusals.filter(
      (each) => each.server === server && each.life === (lives.get(server.name) ?? 0),
    ).length;
    const lines = await server.logLines();
    const lastReady = lines.findLastIndex((line) => line.includes('"msg":"ready"'));
    const logged = lines.slice(lastReady).filter((line) => line.includes('"msg":"a start was refused"')).length;
    const counted = await server.metric('keelson_starts_refused_total');
    if (logged < seen || counted < seen)
      found.push(`${server.name} refused ${seen} starts, logged ${logged} and counted ${counted}`);
  }
  return found;
}

test(`F2: ${CALLS} starts at once while masters, apis and PostgreSQL go down`, async (t) => {
  const postgres = await openPostgres(t);
  const cluster = await openCluster(t, postgres.url);
  const apis = [
    await cluster.server({ name: 'a1', roles: ['api'] }),
    await cluster.server({ name: 'a2', roles: ['api'] }),
  ];
  const masters = [
    await cluster.server({ name: 'm1', roles: ['master'] }),
    await cluster.server({ name: 'm2', roles: ['master'] }),
  ];
  const [a1, a2] = apis as [ServerNode, ServerNode];
  const [m1, m2] = masters as [ServerNode, ServerNode];
  await Promise.all([...apis, ...masters].map(({ process }) => process.start()));
  await publish(cluster, a1, WORKFLOW);

  const violations: string[] = [];
  let faultCount = 0;
  for (let trial = 0; trial < TRIALS; trial++) {
    const lives = new Map<string, number>();
    const kill = killer(lives);
    const began = Date.now();
    const { calls, refusals, faults } = await storm(cluster, apis, lives, {
      calls: CALLS,
      faults: [
        [0.02, () => kill(a1)],
        [0.2, () => kill(m1)],
        [0.3, () => restartPostgres(postgres)],
        [0.6, () => kill(a2)],
        [0.7, () => kill(m2)],
        [0.8, () => restartPostgres(postgres)],
      ],
    });
    faultCount += faults;
    const stormed = Date.now() - began;
    // One that is surely refused: the counter and the log line are there in any case.
    for (const server of apis) {
      const refused = await startOnce(cluster, server.url, 'no-such-workflow');
      assert.ok('status' in refused && refused.status === 404, JSON.stringify(refused));
      refusals.push({ server, life: lives.get(server.name) ?? 0 });
    }
    if (!(await allEnded(cluster, 60_000))) violations.push('some instances never ended');
    violations.push(...(await startViolations(cluster, calls)), ...(await silentRefusals(apis, refusals, lives)));
    const unanswered = calls.filter(({ key, id, number }) => key !== undefined && number % 3 === 1 && id === undefined);
    if (unanswered.length > 0) violations.push(`${unanswered.length} calls were never answered in two minutes`);
    t.diagnostic(
      `${calls.filter(({ id }) => id !== undefined).length} acknowledged, ${refusals.length} refused in ${stormed} ms; all ended ${Date.now() - began - stormed} ms later`,
    );
    await cluster.rows('truncate workflow_instance, instance_end, finished_task, history, start_key');
  }
  violations.push(...(await databaseViolations(cluster)));
  sayResult(t, { scenario: 'F2', trials: CALLS * TRIALS, unit: 'start calls', faults: faultCount, violations });
  assert.deepEqual(violations, []);
});

test('F2 reports the plant start-answered-before-its-commit', async (t) => {
  const postgres = await openPostgres(t);
  const cluster = await openCluster(t, postgres.url);
  const api = await cluster.server({ name: 'a1', roles: ['api'], plant: 'start-answered-before-its-commit' });
  await api.process.start();
  await publish(cluster, api, WORKFLOW);
  // While this is held no start can be committed; what is answered meanwhile was not stored.
  const holder = await postgres.session();
  await holder.query('begin; lock table keelson.command in access exclusive mode');
  const calls: Call[] = [];
  const asking = Promise.all(
    Array.from({ length: 10 }, async (_, number) => {
      const answer = await startOnce(cluster, api.url, WORKFLOW.name, { params: { call: number } });
      calls.push({ number, key: undefined, id: 'id' in answer ? answer.id : undefined });
    }),
  );
  const answered = async () => (calls.some(({ id }) => id !== undefined) ? true : undefined);
  await waitFor('an answer before the commit', answered);
  api.process.expectEnd();
  api.process.signal('SIGKILL');
  await postgres.stopImmediately();
  await asking;
  await postgres.start();
  assert.match((await startViolations(cluster, calls)).join('\n'), /was acknowledged with \d+, and there is nothing/);
});
