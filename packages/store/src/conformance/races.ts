import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { createEngine } from '../postgres/engine/engine.ts';
import { isUniqueViolation, outcomeOf } from '../postgres/connection/errors.ts';
import { createTimers } from '../postgres/engine/timers.ts';
import { blocked, claimAll, only, openBench } from './bench.ts';
import { holder } from './held.ts';
import type { Cases, Subject } from './subject.ts';

const TWO = workflowOf([taskOf('a'), taskOf('b')]);

/** An engine whose transactions can be stopped before their COMMIT. */
function slowEngine(t: TestContext, subject: Subject) {
  const slow = holder(subject.open);
  const engine = createEngine(slow.open, 2);
  t.after(() => engine.close());
  return { engine, hold: slow.hold };
}

/** What two do at the same moment: who waits, who passes by, and what each sees afterwards. */
export const RACES: Cases = {
  'many engines never apply the same command': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a')]));
    for (let index = 0; index < 30; index++) await it.start();
    const outcomes = await Promise.all([it.commands(), it.commands(), it.commands(), it.commands()]);
    const decided = outcomes.flatMap(({ decided: ids }) => ids);
    assert.equal(new Set(decided).size, decided.length);
    while ((await it.commands()).decided.length > 0);
    assert.equal((await it.rows('ready')).length, 30);
  },

  'an instance that a step holds is left alone by others: its commands wait, its reports are handed back': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, TWO);
    const id = await it.start();
    await it.commands();
    const [a, b] = await claimAll(it);
    assert.ok(a !== undefined && b !== undefined);
    await it.stop(id);
    const { engine, hold } = slowEngine(t, subject);
    const held = hold('write-live');
    const first = it.report([a], engine);
    await held.reached;
    assert.deepEqual(
      (await it.report([b])).postponed.map(({ task }) => task),
      ['b'],
    );
    assert.deepEqual((await it.commands()).decided, []);
    assert.deepEqual(await it.engine.countTry([id]), [], 'held by another: not a try');
    held.release();
    assert.deepEqual((await first).killing, [id], 'the stop went along with the report');
    assert.deepEqual((await it.report([b])).ended, [id]);
  },

  'claims pass by what others are taking': async (t, subject) => {
    const it = await openBench(t, subject, TWO);
    await it.start();
    await it.commands();
    const { engine, hold } = slowEngine(t, subject);
    const held = hold('claim');
    const slots = [it.incarnationId];
    const first = engine.claim({ workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'x' });
    await held.reached;
    assert.deepEqual(
      (await claimAll(it)).map(({ task }) => task),
      ['b'],
    );
    held.refuse(new Error('rolled back'));
    await assert.rejects(first, /rolled back/);
    assert.deepEqual(
      (await claimAll(it)).map(({ task }) => task),
      ['a'],
      'it is in line again',
    );
  },

  'a stop waits for a claim in flight, and then kills what that bound': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a')]));
    const id = await it.start();
    await it.commands();
    const { engine, hold } = slowEngine(t, subject);
    const held = hold('claim');
    const slots = [it.incarnationId];
    const claim = engine.claim({ workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'x' });
    await held.reached;
    await it.stop(id);
    const stop = it.commands();
    await blocked(subject, 1);
    held.release();
    const bound = only((await claim).bound);
    assert.deepEqual((await stop).killing, [id]);
    assert.deepEqual(await it.texts('active', 'task', 'kill_reason'), ['a stop']);
    await it.commands();
    assert.deepEqual((await it.report([{ ...bound, end: 'stopped', startedAgoMs: 1, endedAgoMs: 0 }])).ended, [id]);
  },

  'a claim waits for no withdrawal, and gets nothing of it': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a')]));
    const id = await it.start();
    await it.commands();
    await it.stop(id);
    const { engine, hold } = slowEngine(t, subject);
    const held = hold('withdraw-ready');
    const stop = it.commands(engine);
    await held.reached;
    assert.deepEqual(await claimAll(it), []);
    held.release();
    await stop;
    assert.deepEqual(await it.rows('active'), []);
    assert.deepEqual((await it.commands()).ended, [id]);
  },

  'what a timer moves on while a withdrawal waits for it is withdrawn from the line': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('d', [], { delayMs: 60_000 })]));
    const id = await it.start();
    await it.commands();
    await subject.endDelays();
    const slow = holder(subject.open);
    const timers = createTimers(slow.open);
    t.after(() => timers.close());
    const held = slow.hold('timer-release');
    const released = timers.releaseDelayed(10);
    await held.reached;
    assert.deepEqual(await it.timers.releaseDelayed(10), [], 'another timer passes by');
    await it.stop(id);
    const stop = it.commands();
    await blocked(subject, 1);
    held.release();
    await released;
    await stop;
    assert.deepEqual([await it.rows('ready'), await it.rows('delayed')], [[], []]);
    const withdrawn = { tasks: [{ task: 'd', attempt: 1, from: 'ready' }] };
    assert.deepEqual(await it.rows('command', 'kind', 'payload'), [
      { kind: 'settle', payload: {} },
      { kind: 'withdrawn', payload: withdrawn },
    ]);
    assert.deepEqual((await it.commands()).ended, [id]);
  },

  'who wants to leave a command for an instance that is ending waits, and leaves none': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a')]));
    const id = await it.start();
    await it.commands();
    const a = only(await claimAll(it));
    const { engine, hold } = slowEngine(t, subject);
    const held = hold('delete-live');
    const ending = it.report([a], engine);
    await held.reached;
    const deferred = it.engine.deferReports([a], 'later');
    const stop = it.stop(id);
    await blocked(subject, 2);
    held.release();
    assert.deepEqual((await ending).ended, [id]);
    await deferred;
    assert.equal(await stop, 'ended');
    assert.deepEqual(await it.rows('command'), []);
  },

  'a command can be left for an instance while a step holds it': async (t, subject) => {
    const it = await openBench(t, subject, TWO);
    const id = await it.start();
    await it.commands();
    const a = only(await claimAll(it, 1));
    const { engine, hold } = slowEngine(t, subject);
    const held = hold('write-live');
    const step = it.report([a], engine);
    await held.reached;
    assert.equal(await it.stop(id), 'requested');
    held.release();
    await step;
    assert.deepEqual(await it.texts('command', 'kind'), ['stop']);
  },

  'a second active attempt of a task is refused, and the refusal undoes the whole step': async (t, subject) => {
    const it = await openBench(t, subject, TWO);
    await it.start();
    it.state.offers = 2;
    await it.commands();
    const a = only(await it.engine.activeOf([it.incarnationId]));
    const twice = {
      ...it.mind,
      decide: (loaded: Parameters<typeof it.mind.decide>[0]) => {
        const decision = it.mind.decide(loaded);
        if (decision.kind !== 'decided') return decision;
        return { ...decision, changes: { ...decision.changes, ready: [{ task: 'b', attempt: 2, losses: 0 }] } };
      },
    };
    it.state.offers = 1;
    const report = { ...a, end: 'succeeded' as const, startedAgoMs: 1, endedAgoMs: 0 };
    const failure: unknown = await it.engine
      .step({ reports: [report], demand: [], commandLimit: 0 }, twice)
      .catch((error: unknown) => error);
    assert.ok(isUniqueViolation(failure), String(failure));
    assert.equal(outcomeOf(failure), 'application');
    assert.deepEqual(await it.texts('active', 'task', 'attempt'), ['a 1', 'b 1']);
    assert.deepEqual(await it.rows('finished_task'), []);
    assert.equal((await it.report([report])).decided.length, 1, 'and its locks are free again');
  },

  'a step that throws in its decision gives its locks back': async (t, subject) => {
    const it = await openBench(t, subject, TWO);
    const id = await it.start();
    const broken = {
      ...it.mind,
      decide: () => {
        throw new Error('a bug of the core');
      },
    };
    const input = { reports: [], demand: [], commandLimit: 10 };
    await assert.rejects(it.engine.step(input, broken), /a bug of the core/);
    assert.deepEqual((await it.commands()).decided, [id]);
  },

  'a withdrawal and the note of a start do not lock each other out': async (t, subject) => {
    // The attempts' ids are in the order of the line: who goes by anything but the id meets the others head-on.
    const it = await openBench(t, subject, workflowOf([taskOf('b'), taskOf('a')]));
    const id = await it.start();
    await it.commands();
    const [b, a] = await claimAll(it);
    assert.ok(a?.task === 'a' && b?.task === 'b');
    const { engine, hold } = slowEngine(t, subject);
    const held = hold('started');
    const first = engine.started([a]);
    await held.reached;
    await it.stop(id);
    const stop = it.commands();
    await blocked(subject, 1);
    const second = it.engine.started([b, a]);
    await blocked(subject, 2);
    held.release();
    await Promise.all([first, stop, second]);
    assert.deepEqual(await it.texts('active', 'task', 'state', 'kill_reason'), ['a running stop', 'b running stop']);
    assert.equal(
      (await it.rows('history')).filter(({ events }) => JSON.stringify(events).includes('task-running')).length,
      2,
    );
  },
};
