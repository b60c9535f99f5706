import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { createAdmission } from '../postgres/engine/admission.ts';
import { createEngine } from '../postgres/engine/engine.ts';
import { assertNothingHot, blocked, claimAll, only, openBench } from './bench.ts';
import type { Bench } from './bench.ts';
import { holder } from './held.ts';
import type { Cases, Subject } from './subject.ts';

const ONE = workflowOf([taskOf('a')]);

/** An admission and an engine whose transactions can be stopped before their COMMIT. */
function slowly(t: TestContext, subject: Subject) {
  const slow = holder(subject.open);
  const admission = createAdmission(slow.open);
  const engine = createEngine(slow.open, 2);
  t.after(() => Promise.all([admission.close(), engine.close()]));
  return { admission, engine, hold: slow.hold };
}

/** Admits, and applies the commands that this wrote. Answers who was admitted. */
async function admit(it: Bench): Promise<readonly string[]> {
  const { admitted } = await it.admission.admit();
  await it.commands();
  return admitted;
}

/** Runs all that is in line to its end, one step after the other. Answers what the steps left to follow. */
async function runAll(it: Bench): Promise<readonly string[]> {
  const left: string[] = [];
  for (const report of await claimAll(it)) left.push(...(await it.report([report])).followups);
  return left;
}

const states = (it: Bench): Promise<string[]> => it.texts('live_instance', 'id', 'state');

/** Who may go when a workflow has a limit. */
export const ADMISSION: Cases = {
  'without a limit nothing waits and nothing follows': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('parallel', null);
    const outcome = await it.starts.start(it.request);
    assert.deepEqual(outcome, { kind: 'created', instanceId: '1', queued: false });
    await it.commands();
    assert.deepEqual(await runAll(it), []);
    for (const table of ['concurrency', 'slot', 'followup']) assert.deepEqual(await it.rows(table), [], table);
    await assertNothingHot(it);
  },

  'serial-wait: one after the other, in the order in which they came': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    const outcomes = [await it.starts.start(it.request), await it.starts.start(it.request)];
    assert.deepEqual(
      outcomes.map((one) => one.kind === 'created' && one.queued),
      [true, true],
    );
    await it.start();
    assert.deepEqual(await it.rows('command'), [], 'nothing begins without a slot');
    assert.deepEqual(await admit(it), ['1']);
    assert.deepEqual(await admit(it), [], 'nothing is free');
    for (const [ending, next] of [
      ['1', ['2']],
      ['2', ['3']],
      ['3', []],
    ] as const) {
      assert.deepEqual(await it.texts('slot', 'workflow_id', 'instance_id'), [`1 ${ending}`]);
      assert.deepEqual(await runAll(it), ['admission']);
      assert.deepEqual(await it.rows('slot'), [], 'given back in the transaction that ends it');
      assert.deepEqual(await it.texts('followup', 'kind', 'subject_id', 'instance_id'), [`admission 1 ${ending}`]);
      assert.deepEqual(await admit(it), next);
    }
    assert.deepEqual(await it.rows('followup'), []);
    await assertNothingHot(it);
  },

  'a limit of several; parallel with a limit holds back what is over it': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('parallel', 2);
    for (let index = 0; index < 5; index++) await it.start();
    assert.deepEqual(await admit(it), ['1', '2']);
    await runAll(it);
    assert.deepEqual(await admit(it), ['3', '4']);
    await runAll(it);
    assert.deepEqual(await admit(it), ['5']);
    await runAll(it);
    await assertNothingHot(it);
  },

  'serial-priority: the highest first, among equals the first to come; a changed priority counts': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-priority', 1);
    for (const priority of [0, -5, 7, 7, 0]) await it.starts.start({ ...it.request, priority });
    assert.deepEqual(await admit(it), ['3']);
    await it.ask('2', { type: 'set-priority', priority: 50 });
    await it.commands();
    const order = [];
    for (let index = 0; index < 4; index++) {
      await runAll(it);
      order.push(...(await admit(it)));
    }
    assert.deepEqual(order, ['2', '4', '1', '5']);
  },

  'serial-discard: what finds no slot ends as stopped, with the reason': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-discard', 1);
    for (let index = 0; index < 3; index++) await it.start();
    const { admitted, discarded } = await it.admission.admit();
    assert.deepEqual([admitted, discarded], [['1'], ['2', '3']]);
    assert.deepEqual(await it.texts('command', 'instance_id', 'kind'), ['1 start', '2 discard', '3 discard']);
    assert.deepEqual(await it.admission.admit(), { admitted: [], discarded: [], left: 'nothing' }, 'told once');
    const outcome = await it.commands();
    assert.deepEqual(outcome.ended, ['2', '3']);
    const ends = await it.rows('instance_end', 'instance_id', 'state', 'reason');
    assert.deepEqual(
      ends.map(({ instance_id, state }) => [instance_id, state]),
      [
        ['2', 'stopped'],
        ['3', 'stopped'],
      ],
    );
    assert.match(JSON.stringify(ends[0]?.['reason']), /"code":"discarded"/);
    await it.start();
    assert.deepEqual((await it.admission.admit()).discarded, ['4'], 'the slot is still held');
    await it.commands();
    await runAll(it);
    await it.start();
    assert.deepEqual(await admit(it), ['5']);
  },

  'a queued instance that is stopped leaves the line': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    for (let index = 0; index < 3; index++) await it.start();
    await admit(it);
    await it.stop('2');
    assert.deepEqual((await it.commands()).ended, ['2']);
    assert.deepEqual(await admit(it), []);
    await runAll(it);
    assert.deepEqual(await admit(it), ['3']);
  },

  'a stop and a slot at once: the slot is given back, and goes to the next': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    await it.start();
    await it.start();
    await it.stop('1');
    assert.deepEqual((await it.admission.admit()).admitted, ['1']);
    assert.deepEqual((await it.commands()).ended, ['1'], 'both commands are applied, the stop first');
    assert.deepEqual(await it.rows('slot'), []);
    assert.deepEqual(await admit(it), ['2']);
  },

  'a new generation of a limited workflow waits for a slot, behind those that came before': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    const first = await it.start();
    await admit(it);
    await runAll(it);
    await it.start();
    const again = {
      instanceId: first,
      after: 1,
      mode: 'rerun',
      versionId: '1',
      params: {},
      by: 'me',
      taskCount: 1,
    } as const;
    assert.deepEqual(await it.operations.beginGeneration(again), { kind: 'begun', generation: 2, state: 'queued' });
    assert.deepEqual(await admit(it), ['2'], 'its id is the lower one, and it came later');
    await runAll(it);
    assert.deepEqual((await it.admission.admit()).admitted, ['1']);
    assert.deepEqual(await it.rows('command', 'instance_id', 'kind', 'payload'), [
      { instance_id: '1', kind: 'begin', payload: { by: 'me', mode: 'rerun' } },
    ]);
    await it.commands();
    await runAll(it);
    assert.deepEqual(await it.texts('instance_end', 'instance_id', 'generation', 'state'), [
      '1 1 succeeded',
      '1 2 succeeded',
      '2 1 succeeded',
    ]);
    await assertNothingHot(it);
  },

  'a limit that is raised, taken away and set again': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    for (let index = 0; index < 6; index++) await it.start();
    assert.deepEqual(await admit(it), ['1']);
    await it.limit('serial-wait', 2);
    assert.deepEqual(await admit(it), ['2']);
    await it.limit('parallel', null);
    assert.deepEqual(await admit(it), ['3', '4', '5', '6'], 'all of them go');
    await it.start();
    assert.deepEqual((await states(it)).at(-1), '7 running', 'and new ones do not wait at all');
    await it.limit('serial-wait', 1);
    await it.start();
    assert.deepEqual(await admit(it), [], 'what runs already counts, also what never had a slot');
    assert.equal((await it.rows('slot')).length, 7);
    await runAll(it);
    assert.deepEqual(await it.rows('slot'), []);
    assert.deepEqual(await admit(it), ['8']);
  },

  'many admissions at once give each slot once': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 3);
    for (let index = 0; index < 10; index++) await it.start();
    const others = Array.from({ length: 5 }, () => createAdmission(subject.open));
    t.after(() => Promise.all(others.map((one) => one.close())));
    const outcomes = await Promise.all(others.map((one) => one.admit()));
    assert.deepEqual(
      outcomes.flatMap(({ admitted }) => admitted),
      ['1', '2', '3'],
    );
    assert.equal((await it.rows('slot')).length, 3);
    assert.equal((await it.rows('command')).length, 3);
  },

  'an end while an admission is under way is seen by the next one': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    await it.start();
    await admit(it);
    const report = only(await claimAll(it));
    await it.start();
    const { admission, hold } = slowly(t, subject);
    const held = hold('admission-write');
    const early = admission.admit();
    await held.reached;
    // It does not wait for the admission, nor for its limit.
    assert.deepEqual((await it.report([report])).followups, ['admission']);
    assert.deepEqual(await it.admission.admit(), { admitted: [], discarded: [], left: 'busy' });
    held.release();
    assert.deepEqual((await early).admitted, []);
    assert.deepEqual(await admit(it), ['2']);
  },

  'two that end at once: both slots are given': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 2);
    for (let index = 0; index < 4; index++) await it.start();
    await admit(it);
    const [a, b] = await claimAll(it);
    assert.ok(a !== undefined && b !== undefined);
    const { engine, hold } = slowly(t, subject);
    const held = hold('delete-live');
    const slow = it.report([a], engine);
    await held.reached;
    assert.deepEqual((await it.report([b])).followups, ['admission'], 'no end waits for another');
    assert.deepEqual(await admit(it), ['3']);
    held.release();
    await slow;
    assert.deepEqual(await admit(it), ['4']);
  },

  'a start while the last slot is given back: one of the two looks finds it': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    await it.start();
    await admit(it);
    const report = only(await claimAll(it));
    const { engine, hold } = slowly(t, subject);
    const held = hold('delete-live');
    const slow = it.report([report], engine);
    await held.reached;
    await it.start();
    assert.deepEqual(await it.admission.admit(), { admitted: [], discarded: [], left: 'nothing' });
    assert.deepEqual(await it.rows('followup'), [], 'its own follow-up is used up');
    held.release();
    await slow;
    assert.deepEqual(await admit(it), ['2']);
  },

  'an instance that a step holds is passed over, and looked at again': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    await it.start();
    await it.start();
    await it.stop('1');
    const { engine, hold } = slowly(t, subject);
    const held = hold('delete-live');
    const stopping = it.commands(engine);
    await held.reached;
    assert.deepEqual(await it.admission.admit(), { admitted: [], discarded: [], left: 'busy' });
    assert.deepEqual(await it.rows('slot'), []);
    assert.equal((await it.rows('followup')).length, 3, 'of the limit and of both starts; nothing is taken for done');
    held.release();
    await stopping;
    assert.deepEqual(await admit(it), ['2']);
  },

  'a step does not touch what an admission is about to let go': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    await it.start();
    const { admission, hold } = slowly(t, subject);
    const held = hold('admission-write');
    const admitting = admission.admit();
    await held.reached;
    await it.stop('1');
    assert.deepEqual((await it.commands()).decided, [], 'its commands wait');
    held.release();
    await admitting;
    while ((await it.commands()).decided.length > 0);
    assert.deepEqual(await it.texts('instance_end', 'instance_id', 'state'), ['1 stopped']);
    assert.deepEqual(await it.rows('slot'), []);
  },

  'a limit is set after the admission that is under way': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    await it.start();
    await it.start();
    const { admission, hold } = slowly(t, subject);
    const held = hold('admission-write');
    const admitting = admission.admit();
    await held.reached;
    const raised = it.limit('serial-wait', 2);
    await blocked(subject, 1);
    held.release();
    assert.deepEqual((await admitting).admitted, ['1']);
    await raised;
    assert.deepEqual(await admit(it), ['2']);
  },

  'an admission whose commit fails has given nothing': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    await it.start();
    const { admission, hold } = slowly(t, subject);
    const held = hold('admission-write');
    const lost = admission.admit();
    await held.reached;
    held.refuse(new Error('the connection was lost'));
    await assert.rejects(lost, /lost/);
    assert.deepEqual(await it.rows('slot'), []);
    assert.deepEqual(await admit(it), ['1']);
  },

  'parking gives the slot back, too': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    await it.start();
    await it.start();
    await it.admission.admit();
    assert.equal(await it.engine.park('1', { code: 'x', message: 'parked' }), true);
    assert.deepEqual(await it.rows('slot'), []);
    assert.deepEqual(await admit(it), ['2']);
  },

  'a paused instance keeps its slot': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    await it.start();
    await it.start();
    await admit(it);
    await it.ask('1', { type: 'pause' });
    while ((await it.commands()).decided.length > 0);
    assert.deepEqual(await states(it), ['1 paused', '2 queued']);
    assert.deepEqual(await admit(it), []);
    await it.ask('1', { type: 'resume' });
    await it.commands();
    await runAll(it);
    assert.deepEqual(await admit(it), ['2']);
  },

  'limits are apart from one another': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.limit('serial-wait', 1);
    const other = { ...it.request, workflowId: '2' };
    await it.start();
    await it.starts.start(other);
    await it.start();
    await it.commands();
    assert.deepEqual(await states(it), ['1 queued', '2 running', '3 queued']);
    assert.deepEqual(await admit(it), ['1']);
  },
};
