import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { createEngine } from '../postgres/engine/engine.ts';
import { createOperations } from '../postgres/engine/operations.ts';
import { createTimers } from '../postgres/engine/timers.ts';
import { blocked, claimAll, only, openBench } from './bench.ts';
import { holder } from './held.ts';
import { again, runAll, settleAll } from './operations.ts';
import type { Cases, Subject } from './subject.ts';

const ONE = workflowOf([taskOf('a'), taskOf('b', ['a'])]);
const DELAYED = workflowOf([taskOf('d', [], { delayMs: 60_000 })]);

function slow(t: TestContext, subject: Subject) {
  const held = holder(subject.open);
  const engine = createEngine(held.open, 2);
  const timers = createTimers(held.open);
  const session = held.open();
  t.after(() => Promise.all([engine.close(), timers.close(), session.close()]));
  return { engine, timers, operations: createOperations(session), hold: held.hold };
}

/** Operations at the same moment as claims, timers, ends and each other. */
export const OPERATION_RACES: Cases = {
  'a pause waits for a claim in flight, and what that bound runs on': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const id = await it.start();
    await it.commands();
    const { engine, hold } = slow(t, subject);
    const held = hold('claim');
    const slots = [it.incarnationId];
    const claim = engine.claim({ workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'x' });
    await held.reached;
    await it.ask(id, { type: 'pause' });
    const pause = it.commands();
    await blocked(subject, 1);
    held.release();
    const bound = only((await claim).bound);
    await pause;
    await settleAll(it);
    assert.deepEqual(await it.texts('live_instance', 'state'), ['pausing']);
    assert.deepEqual([await it.rows('held'), await it.texts('active', 'task', 'kill_reason')], [[], ['a ']]);
    await it.report([{ ...bound, end: 'succeeded', startedAgoMs: 1, endedAgoMs: 0 }]);
    assert.deepEqual([await it.texts('held', 'task'), await it.texts('live_instance', 'state')], [['b'], ['paused']]);
  },

  'a claim waits for no pause, and gets nothing of it': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const id = await it.start();
    await it.commands();
    await it.ask(id, { type: 'pause' });
    const { engine, hold } = slow(t, subject);
    const held = hold('hold-ready');
    const pause = it.commands(engine);
    await held.reached;
    assert.deepEqual(await claimAll(it), []);
    held.release();
    await pause;
    assert.deepEqual(await it.texts('held', 'task'), ['a']);
  },

  'what a timer moves on while a pause waits for it is held': async (t, subject) => {
    const it = await openBench(t, subject, DELAYED);
    const id = await it.start();
    await it.commands();
    await subject.endDelays();
    const { timers, hold } = slow(t, subject);
    const held = hold('timer-release');
    const released = timers.releaseDelayed(10);
    await held.reached;
    await it.ask(id, { type: 'pause' });
    const pause = it.commands();
    await blocked(subject, 1);
    held.release();
    await Promise.all([released, pause]);
    assert.deepEqual([await it.rows('ready'), await it.rows('delayed')], [[], []]);
    assert.deepEqual(await it.texts('held', 'task', 'cause'), ['d ']);
  },

  'a skip waits for a claim in flight, and leaves the task to it': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const id = await it.start();
    await it.commands();
    const { engine, hold } = slow(t, subject);
    const held = hold('claim');
    const slots = [it.incarnationId];
    const claim = engine.claim({ workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'x' });
    await held.reached;
    assert.equal(await it.ask(id, { type: 'skip-task', task: 'a' }), 'requested');
    const skip = it.commands();
    await blocked(subject, 1);
    held.release();
    const bound = only((await claim).bound);
    await skip;
    await settleAll(it);
    assert.deepEqual(await it.rows('finished_task'), []);
    const refused = (await it.rows('history')).filter(({ events }) => JSON.stringify(events).includes('task-running'));
    assert.equal(refused.length, 1, 'refused, with its reason');
    await it.report([{ ...bound, end: 'succeeded', startedAgoMs: 1, endedAgoMs: 0 }]);
    assert.deepEqual(await it.texts('finished_task', 'task', 'state'), ['a succeeded']);
  },

  'a claim that comes after a skip gets the successor': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const id = await it.start();
    await it.commands();
    await it.ask(id, { type: 'skip-task', task: 'a' });
    const { engine, hold } = slow(t, subject);
    const held = hold('take-back-ready');
    const skip = it.commands(engine);
    await held.reached;
    assert.deepEqual(await claimAll(it), []);
    held.release();
    await skip;
    await settleAll(it);
    assert.deepEqual(
      (await claimAll(it)).map(({ task }) => task),
      ['b'],
    );
  },

  'a task that a timer moves on while its priority changes has the new one': async (t, subject) => {
    const it = await openBench(t, subject, DELAYED);
    const id = await it.start();
    await it.commands();
    await subject.endDelays();
    const { timers, hold } = slow(t, subject);
    const held = hold('timer-release');
    const released = timers.releaseDelayed(10);
    await held.reached;
    await it.ask(id, { type: 'set-priority', priority: 9 });
    const set = it.commands();
    await blocked(subject, 1);
    held.release();
    await Promise.all([released, set]);
    assert.deepEqual(await it.texts('ready', 'task', 'priority'), ['d 9']);
  },

  'who asks something of an instance that is ending waits, and is told that it has ended': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a')]));
    const id = await it.start();
    await it.commands();
    const a = only(await claimAll(it));
    const { engine, hold } = slow(t, subject);
    const held = hold('delete-live');
    const ending = it.report([a], engine);
    await held.reached;
    const asked = [
      it.ask(id, { type: 'pause' }),
      it.ask(id, { type: 'skip-task', task: 'a' }),
      it.ask(id, { type: 'set-priority', priority: 3 }),
    ];
    await blocked(subject, 1);
    const other = slow(t, subject).operations;
    assert.equal((await other.beginGeneration(again(it, id, 'rerun'))).kind, 'live', 'not before it has ended');
    held.release();
    await ending;
    assert.deepEqual(await Promise.all(asked), ['ended', 'ended', 'ended']);
    assert.deepEqual(await it.rows('command'), []);
  },

  'two that begin a generation: the second waits, and begins none': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const id = await it.start();
    await runAll(it, ['b']);
    const { operations, hold } = slow(t, subject);
    const held = hold('begin-generation');
    const first = operations.beginGeneration(again(it, id, 'rerun'));
    await held.reached;
    const second = it.operations.beginGeneration(again(it, id, 'from', 'b'));
    await blocked(subject, 1);
    held.release();
    assert.deepEqual([(await first).kind, (await second).kind], ['begun', 'live']);
    assert.deepEqual(await it.texts('instance_generation', 'generation', 'mode'), ['2 rerun']);
    assert.deepEqual(await runAll(it), ['a', 'b']);
  },

  'a generation that was not begun after all leaves the next one free to': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const id = await it.start();
    await runAll(it, ['b']);
    const { operations, hold } = slow(t, subject);
    const held = hold('begin-generation');
    const first = operations.beginGeneration(again(it, id, 'rerun'));
    await held.reached;
    const second = it.operations.beginGeneration(again(it, id, 'from', 'b'));
    await blocked(subject, 1);
    held.refuse(Object.assign(new Error('refused'), { code: '23514' }));
    await assert.rejects(first, /refused/);
    assert.equal((await second).kind, 'begun');
    assert.deepEqual(await runAll(it), ['b']);
  },
};
