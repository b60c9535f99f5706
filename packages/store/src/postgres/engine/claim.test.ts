import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { taskOf } from '@keelson/core/testing';
import { addWorker, lineUp, namedWorkflow, openWorld } from '../../testing/world.ts';
import { claimCall, claimedFrom } from './claim.ts';
import { clientConfig, INDEX_PLANS } from '../connection/connection.ts';
import { call } from '../connection/session.ts';

async function setup(t: TestContext) {
  const world = await openWorld(t);
  const instance = await world.start(await world.apply(namedWorkflow('p', 'w', [taskOf('a')])));
  const worker = await addWorker(world, 'w1', { slots: 100 });
  const session = world.open();
  t.after(() => session.close());
  let round = 0;
  const request = (slots: number, capabilities: readonly string[]) =>
    claimCall({ workerGroup: 'default', capabilities, slots: Array(slots).fill(worker), nonce: `n${round++}` });
  const claim = async (slots: number, capabilities: readonly string[]): Promise<string[]> => {
    const [rows = []] = await session.run([request(slots, capabilities)]);
    return claimedFrom(rows).bound.map(({ task }) => task);
  };
  return { world, instance, request, claim };
}

test('a claim takes the front of all kinds together: by priority, then by age', async (t) => {
  const { world, instance, claim } = await setup(t);
  for (const [task, capability, priority] of [
    ['s1', 'shell', 0],
    ['q1', 'sql', 0],
    ['s2', 'shell', 5],
    ['x1', 'unknown', 9],
    ['q2', 'sql', 5],
    ['s3', 'shell', 0],
  ] as const)
    await lineUp(world, instance, task, { capability, priority });
  assert.deepEqual(await claim(3, ['shell', 'sql']), ['s2', 'q2', 's1']);
  assert.deepEqual(await claim(9, ['sql', 'shell']), ['q1', 's3']);
  assert.deepEqual(await claim(1, ['sql']), []);
});

test('rows in front that another claim holds are passed over, and not waited for', async (t) => {
  const { world, instance, request, claim } = await setup(t);
  for (const task of ['a1', 'a2', 'a3']) await lineUp(world, instance, task);
  const other = new pg.Client({ connectionString: world.settings.url, options: '-c search_path=keelson' });
  await other.connect();
  t.after(() => other.end());
  const { statement, values } = request(2, ['shell']);
  await other.query('begin');
  await other.query(statement.text, [...values]);
  assert.deepEqual(await claim(5, ['shell']), ['a3']);
  await other.query('rollback');
  assert.deepEqual(await claim(5, ['shell']), ['a1', 'a2']);
});

interface PlanNode {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

function rowsRead(node: PlanNode): number {
  const own = (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];
  const below = (node.Plans ?? []).map(rowsRead);
  return Math.max(node['Relation Name'] === 'ready' ? own : 0, ...below);
}

test('tasks of a kind that nobody offers cost a claim nothing', async (t) => {
  const { world, instance, request } = await setup(t);
  await world.sql(
    `insert into ready (instance_id, task, generation, attempt, worker_group, capability, priority)
     select $1, 'x' || number, 1, 1, 'default', 'nobody', 1 from generate_series(1, 5000) number`,
    [instance],
  );
  for (const task of ['a1', 'a2', 'a3']) await lineUp(world, instance, task);
  const client = new pg.Client(clientConfig({ ...world.settings, settings: INDEX_PLANS }));
  await client.connect();
  t.after(() => client.end());
  const { statement, values } = request(2, ['shell', 'sql', 'processor:a']);
  const { text } = call(statement).statement;
  const { rows } = await client.query(`explain (analyze, format json) ${text}`, [...values]);
  const plan: PlanNode = rows[0]['QUERY PLAN'][0].Plan;
  const read = rowsRead(plan);
  assert.ok(read <= 10, `it read ${read} rows of the line`);
});

test('a worker that offers a kind twice is given each task once', async (t) => {
  const { world, instance, claim } = await setup(t);
  for (const task of ['a1', 'a2', 'a3']) await lineUp(world, instance, task);
  assert.deepEqual(await claim(2, ['shell', 'shell']), ['a1', 'a2']);
  assert.deepEqual(await claim(2, ['shell', 'sql', 'shell']), ['a3']);
});
