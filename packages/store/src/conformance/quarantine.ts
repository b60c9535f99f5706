import assert from 'node:assert/strict';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { claimAll, only, openBench } from './bench.ts';
import type { Cases } from './subject.ts';

const TWO = workflowOf([taskOf('a'), taskOf('b')]);

/** What is done about what cannot be applied. */
export const QUARANTINE: Cases = {
  'tries are counted, and what is put off is not due': async (t, subject) => {
    const it = await openBench(t, subject, TWO);
    const id = await it.start();
    assert.deepEqual(await it.engine.dueInstances(10), [id]);
    const counted = only(await it.engine.countTry([id]));
    assert.deepEqual([counted.instanceId, counted.tries], [id, 1]);
    assert.equal(only(await it.engine.countTry([id])).tries, 2);
    await it.engine.forgiveTry(id);
    assert.equal(only(await it.engine.countTry([id])).tries, 2, 'a try that was no fault of its own');
    await it.engine.putOff([counted.id], 60_000, 'not now');
    assert.deepEqual(await it.engine.dueInstances(10), []);
    assert.deepEqual(await it.engine.countTry([id]), []);
    assert.deepEqual((await it.commands()).decided, []);
    assert.deepEqual(await it.texts('command', 'tries', 'last_error'), ['2 not now']);
    await it.engine.putOff([counted.id], -1, 'now');
    assert.deepEqual((await it.commands()).decided, [id]);
  },

  'a report that was kept as a command is applied once': async (t, subject) => {
    const it = await openBench(t, subject, TWO);
    await it.start();
    await it.commands();
    const a = only(await claimAll(it, 1));
    await it.engine.deferReports([a, { ...a, nonce: 'forged' }], 'later');
    assert.equal((await it.rows('command')).length, 2);
    await it.commands();
    assert.deepEqual(await it.texts('finished_task', 'task', 'state'), ['a succeeded']);
    assert.deepEqual(await it.rows('command'), []);
  },

  'parking ends an instance that cannot be moved, with its reason': async (t, subject) => {
    const it = await openBench(t, subject, TWO);
    const id = await it.start();
    await it.commands();
    await claimAll(it, 1);
    assert.equal(await it.stop(id), 'requested');
    const reason = { code: 'command-parked', message: 'broken' };
    assert.equal(await it.engine.park(id, reason), true);
    assert.equal(await it.engine.park(id, reason), false);
    assert.deepEqual(await it.texts('command_error', 'kind', 'error'), ['stop broken']);
    assert.deepEqual(await it.texts('instance_end', 'state'), ['failed']);
    assert.deepEqual(await it.texts('alert', 'kind'), ['command-parked']);
    for (const table of ['command', 'live_instance', 'ready', 'active']) assert.deepEqual(await it.rows(table), []);
  },
};
