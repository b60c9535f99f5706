import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { WorkflowDefinition } from '@keelson/core';
import { taskOf } from '@keelson/core/testing';
import { claimAll, only, openBench } from '../../conformance/bench.ts';
import { again, runAll, settleAll } from '../../conformance/operations.ts';
import type { Subject } from '../../conformance/subject.ts';
import { draftOf, namedWorkflow, openWorld } from '../../testing/world.ts';
import { createInstances } from '../instances/instances.ts';
import { ensurePartition, instanceIds } from '../schema/partitions.ts';
import { openSession, poolRunner } from '../connection/session.ts';

const RETRIED = { retry: { max: 1, delayMs: 0, backoff: 'fixed', maxDelayMs: 1000 } } as const;
const FAILED = { end: 'failed', reason: { code: 'exit-code', message: 'exit code 1' } } as const;
const CHAIN = namedWorkflow('demo', 'etl', [taskOf('a', [], RETRIED), taskOf('b', ['a']), taskOf('c', ['b'])]);

async function house(t: TestContext, definition: WorkflowDefinition) {
  const world = await openWorld(t);
  await world.apply(definition);
  const { pool, settings } = world;
  const nextId = instanceIds(poolRunner(pool), (index) => ensurePartition(pool, index));
  const open = () => openSession(settings);
  const bench = await openBench(t, { open, nextId } as unknown as Subject, definition);
  return { world, it: bench, instances: createInstances(pool) };
}

test('a carried task is shown with the generation it ended in, its attempts and its log', async (t) => {
  const { it, instances } = await house(t, CHAIN);
  const id = await it.start();
  await it.commands();
  await it.report([{ ...only(await claimAll(it)), ...FAILED }]);
  assert.deepEqual(await runAll(it, ['b']), ['a', 'b']);
  await it.operations.beginGeneration(again(it, id, 'recover'));
  await settleAll(it);
  const tasks = await instances.tasks(id);
  assert.deepEqual(
    tasks.map(({ id: key, state, attempt, carriedFrom }) => [key, state, attempt, carriedFrom]),
    [
      [`${id}.2.a`, 'succeeded', 2, 1],
      [`${id}.2.b`, 'ready', 0, undefined],
      [`${id}.2.c`, 'waiting', 0, undefined],
    ],
  );
  const key = (generation: number) => ({ instanceId: id, generation, task: 'a' });
  const attempts = await instances.attempts(key(2));
  assert.deepEqual(
    attempts.map(({ attempt, state }) => [attempt, state]),
    [
      [1, 'failed'],
      [2, 'succeeded'],
    ],
  );
  assert.deepEqual(attempts, await instances.attempts(key(1)));
  assert.equal((await instances.task(key(2)))?.attemptId, (await instances.task(key(1)))?.attemptId);
  const [, b] = await instances.tasks(id, { generation: 1 });
  assert.deepEqual([b?.generation, b?.state], [1, 'failed'], 'the one before is as it was');
  assert.deepEqual(await instances.tasks(id, { generation: 3 }), []);
  const { generation, state, counts } = (await instances.get(id)) ?? assert.fail();
  assert.deepEqual([generation, state, counts], [2, 'running', { succeeded: 1, ready: 1, waiting: 1 }]);
});

test('an instance shows the version and the params of its generation; an earlier one keeps its own', async (t) => {
  const { world, it, instances } = await house(t, CHAIN);
  const id = await it.start();
  await runAll(it);
  const next = namedWorkflow('demo', 'etl', [taskOf('a'), taskOf('z', ['a'])]);
  const [applied] = await world.definitions.apply([draftOf(next)]);
  const request = {
    ...again(it, id, 'rerun'),
    versionId: applied?.versionId ?? '',
    taskCount: 2,
    params: { day: 'x' },
  };
  assert.equal((await it.operations.beginGeneration(request)).kind, 'begun');
  const names = async (generation?: number) =>
    (await instances.tasks(id, generation === undefined ? {} : { generation })).map(({ task }) => task);
  const seen = async () => {
    const { version, params, taskCount } = (await instances.get(id)) ?? assert.fail();
    return [version, params, taskCount];
  };
  assert.deepEqual(await seen(), [2, { day: 'x' }, 2]);
  assert.deepEqual(
    [await names(), await names(1)],
    [
      ['a', 'z'],
      ['a', 'b', 'c'],
    ],
  );
  assert.equal((await instances.task({ instanceId: id, generation: 1, task: 'c' }))?.state, 'succeeded');
  await world.end(id, 'stopped');
  assert.deepEqual(await seen(), [2, { day: 'x' }, 2], 'also when it has ended');
  const [first, second] = await instances.generations(id);
  assert.deepEqual([first?.mode, first?.version, first?.state], ['first', 1, 'succeeded']);
  assert.deepEqual([second?.mode, second?.version, second?.createdBy, second?.state], ['rerun', 2, 'me', 'stopped']);
});

test('what a pause holds is shown as held, and counted where it would be', async (t) => {
  const tasks = [taskOf('a'), taskOf('d', [], { delayMs: 3_600_000 }), taskOf('z', ['a'])];
  const { it, instances } = await house(t, namedWorkflow('demo', 'etl', tasks));
  const id = await it.start();
  await it.commands();
  await it.ask(id, { type: 'pause' });
  await settleAll(it);
  assert.deepEqual(
    (await instances.tasks(id)).map(({ task, state, held, dueAt }) => [task, state, held, dueAt]),
    [
      ['a', 'ready', true, null],
      ['d', 'delayed', true, null],
      ['z', 'waiting', undefined, null],
    ],
  );
  const { state, counts } = (await instances.get(id)) ?? assert.fail();
  assert.deepEqual([state, counts], ['paused', { ready: 1, delayed: 1, waiting: 1 }]);
  const listed = await instances.list({ state: 'paused' }, { limit: 10 });
  assert.deepEqual(
    listed.items.map((one) => one.id),
    [id],
  );
});

test('a broadcast that is carried keeps its subtasks', async (t) => {
  const spread = taskOf('f', [], { broadcast: { parallel: 2, maxFailed: 0 } });
  const { it, instances } = await house(t, namedWorkflow('demo', 'etl', [spread, taskOf('g', ['f'])]));
  const id = await it.start();
  await it.commands();
  const bound = await it.engine.activeOf([it.incarnationId]);
  await it.report(bound.map((one) => ({ ...one, end: 'succeeded', startedAgoMs: 2, endedAgoMs: 1 })));
  assert.deepEqual(await runAll(it, ['g']), ['g']);
  await it.operations.beginGeneration(again(it, id, 'recover'));
  await settleAll(it);
  const [f] = await instances.tasks(id);
  assert.deepEqual([f?.state, f?.carriedFrom, f?.broadcast?.succeeded], ['succeeded', 1, 1]);
  const of = (generation: number) => ({ instanceId: id, generation, task: 'f' });
  assert.deepEqual(await instances.subtasks(of(2)), await instances.subtasks(of(1)));
  assert.equal((await instances.subtaskAttempts(of(2), 'w1')).length, 1);
});
