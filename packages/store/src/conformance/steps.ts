import assert from 'node:assert/strict';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type { StepOutcome } from '../engine.ts';
import { generationKey } from '../ids.ts';
import { assertNothingHot, claimAll, only, openBench } from './bench.ts';
import type { Cases } from './subject.ts';

/** What one step after the other does to the tables. */
export const STEPS: Cases = {
  'a chain runs from start to end, by claim and by direct hand-over': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a'), taskOf('b', ['a']), taskOf('c', ['b'])]));
    const id = await it.start();
    assert.deepEqual((await it.commands()).decided, [id]);
    assert.deepEqual((await it.commands()).decided, [], 'a command is applied once');
    const a = only(await claimAll(it));
    assert.equal(a.task, 'a');
    it.state.offers = 1;
    const outcome = await it.report([a]);
    const b = only(outcome.bound);
    assert.equal(b.task, 'b');
    await it.engine.started([{ ...b, startedAgoMs: 3 }]);
    assert.deepEqual(await it.texts('active', 'state'), ['running']);
    assert.deepEqual((await it.report([{ ...b, end: 'succeeded', startedAgoMs: 9, endedAgoMs: 0 }])).waiting, [
      { workerGroup: 'default', capability: 'processor' },
    ]);
    const c = only(await claimAll(it));
    assert.deepEqual((await it.report([{ ...c, outputs: { n: 1 } }])).ended, [id]);
    const ended = ['a succeeded 1', 'b succeeded 1', 'c succeeded 1'];
    assert.deepEqual(await it.texts('finished_task', 'task', 'state', 'attempt'), ended);
    assert.deepEqual(await it.rows('instance_end', 'state', 'reason'), [{ state: 'succeeded', reason: null }]);
    await assertNothingHot(it);
    const key = { instanceId: id, generation: 1, task: 'c' };
    const row = { ...key, state: 'succeeded', outputs: { n: 1 }, artifacts: [] };
    assert.deepEqual(await it.engine.results([key]), [row]);
    const first = { instanceId: id, generation: 1 };
    const facts = (await it.engine.facts([first, { ...first, instanceId: '999' }])).get(generationKey(id, 1));
    assert.deepEqual([facts?.workflowId, facts?.versionId, facts?.runTime], ['1', '1', '2026-01-02T03:04:05.000Z']);
  },

  'a report is applied once, whoever repeats it, and a wrong nonce is never applied': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a'), taskOf('b', ['a'])]));
    await it.start();
    await it.commands();
    const a = only(await claimAll(it));
    assert.equal((await it.report([{ ...a, nonce: 'forged' }])).settled.length, 1);
    assert.equal((await it.report([{ ...a, incarnationId: '999' }])).settled.length, 1);
    assert.equal((await it.report([a])).decided.length, 1);
    const again = await it.report([a]);
    assert.deepEqual([again.decided, again.settled.length], [[], 1]);
    assert.equal((await it.rows('ready')).length, 1, 'b stands in line once');
  },

  'a join waits for all of its needs, whatever batches they come in': async (t, subject) => {
    const tasks = [taskOf('a'), taskOf('b'), taskOf('c'), taskOf('j', ['a', 'b', 'c'])];
    const it = await openBench(t, subject, workflowOf(tasks));
    await it.start();
    await it.commands();
    const ends = await claimAll(it);
    assert.equal(ends.length, 3);
    await it.report(ends.slice(0, 1));
    assert.deepEqual(await it.texts('need_counter', 'task', 'met'), ['j 1']);
    await it.report(ends.slice(1));
    assert.deepEqual(await it.texts('ready', 'task'), ['j']);
    assert.deepEqual(await it.rows('need_counter'), []);
  },

  'a failure is retried, then fails its task and skips what needs it': async (t, subject) => {
    const retry = { max: 1, delayMs: 60_000, backoff: 'fixed', maxDelayMs: 60_000 } as const;
    const tasks = [taskOf('a', [], { retry }), taskOf('b', ['a']), taskOf('c', ['b']), taskOf('d', ['a', 'c'])];
    const it = await openBench(t, subject, workflowOf(tasks));
    const id = await it.start();
    await it.commands();
    const first = only(await claimAll(it));
    const reason = { code: 'exit-code', message: 'exit code 3', exitCode: 3 };
    assert.equal((await it.report([{ ...first, end: 'failed', reason }])).delayed, true);
    assert.deepEqual(await it.timers.releaseDelayed(10), [], 'not due yet');
    assert.ok(((await it.timers.nextDue()) ?? Infinity) <= 60_000);
    await subject.endDelays();
    assert.deepEqual(await it.timers.releaseDelayed(10), ['default']);
    const second = only(await claimAll(it));
    assert.deepEqual((await it.report([{ ...second, end: 'failed', reason }])).ended, [id]);
    const ended = ['a failed', 'b skipped', 'c skipped', 'd skipped'];
    assert.deepEqual(await it.texts('finished_task', 'task', 'state'), ended);
    assert.deepEqual(only(await it.rows('finished_task', 'task', 'reason')).reason, reason);
    assert.deepEqual(await it.texts('earlier_attempt', 'attempt', 'state'), ['1 failed']);
    assert.deepEqual(await it.texts('instance_end', 'state'), ['failed']);
    assert.deepEqual(await it.texts('alert', 'kind'), ['instance-failed']);
  },

  'what draining workers hand back uses up no loss': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a', [], { onLost: { retries: 1 } })]));
    const id = await it.start();
    await it.commands();
    const lose = async (code: string): Promise<StepOutcome> =>
      it.report([{ ...only(await claimAll(it)), end: 'lost', reason: { code, message: code } }]);
    await lose('worker-shutdown');
    await lose('worker-shutdown');
    assert.deepEqual((await lose('worker-lost')).ended, [], 'the first that died with its worker');
    await subject.endDelays();
    assert.deepEqual(await it.timers.releaseDelayed(10), ['default']);
    await lose('worker-shutdown');
    assert.deepEqual((await lose('worker-lost')).ended, [id], 'the second is one too many');
    assert.deepEqual(await it.texts('finished_task', 'task', 'state', 'attempt'), ['a failed 5']);
  },

  'onFailure: end withdraws the line, kills what runs and starts only what accepts the failure': async (t, subject) => {
    const notify = taskOf('notify', [], { needs: { a: ['failed'] } });
    const tasks = [taskOf('a'), taskOf('b'), taskOf('c'), taskOf('d', ['b']), notify];
    const it = await openBench(t, subject, workflowOf(tasks, { onFailure: 'end' }));
    const id = await it.start();
    await it.commands();
    const [a, b] = await claimAll(it, 2);
    assert.ok(a !== undefined && b !== undefined);
    await it.report([{ ...a, end: 'failed' }]);
    assert.deepEqual(await it.texts('active', 'task', 'kill_reason'), ['b stop']);
    assert.equal(only(await it.engine.activeOf([it.incarnationId], true)).task, 'b');
    await it.commands();
    assert.deepEqual(await it.texts('ready', 'task'), ['notify']);
    await it.report([{ ...b, end: 'stopped' }]);
    const last = only(await claimAll(it));
    assert.equal(last.task, 'notify');
    assert.deepEqual((await it.report([last])).ended, [id]);
    const ended = ['a failed', 'b stopped', 'c skipped', 'd skipped', 'notify succeeded'];
    assert.deepEqual(await it.texts('finished_task', 'task', 'state'), ended);
  },

  'stop withdraws, kills, waits for what runs and then ends every task': async (t, subject) => {
    const tasks = [taskOf('a'), taskOf('b'), taskOf('c', ['a', 'b']), taskOf('d', [], { delayMs: 60_000 })];
    const it = await openBench(t, subject, workflowOf(tasks));
    const id = await it.start();
    await it.commands();
    const a = only(await claimAll(it, 1));
    assert.equal(await it.stop(id), 'requested');
    assert.equal(await it.stop(id), 'already');
    assert.deepEqual((await it.commands()).killing, [id]);
    assert.deepEqual((await it.commands()).ended, [], 'an attempt still runs');
    assert.deepEqual((await it.report([a])).ended, [id], 'a success reported meanwhile is recorded');
    const ended = ['a succeeded', 'b stopped', 'c stopped', 'd stopped'];
    assert.deepEqual(await it.texts('finished_task', 'task', 'state'), ended);
    assert.equal(await it.stop(id), 'ended');
    assert.equal(await it.stop('999999'), 'unknown');
    await assertNothingHot(it);
  },

  'a claim takes the highest priority first, then who came first, of its group and capability': async (t, subject) => {
    const tasks = ['a', 'b', 'c'].map((name) => taskOf(name));
    const it = await openBench(t, subject, workflowOf(tasks));
    const mind = {
      ...it.mind,
      place: (instance: Parameters<typeof it.mind.place>[0], changes: Parameters<typeof it.mind.place>[1]) =>
        it.mind.place(instance, changes).map((one) => ({ ...one, priority: one.task === 'b' ? 5 : 0 })),
    };
    await it.start();
    await it.engine.step({ reports: [], demand: [], commandLimit: 10 }, mind);
    const other = { workerGroup: 'default', capabilities: ['shell'], slots: [it.incarnationId], nonce: 'x' };
    assert.deepEqual(await it.engine.claim(other), { bound: [], liveSlots: 1 });
    const names = (await claimAll(it, 2)).map(({ task }) => task);
    assert.deepEqual(names, ['b', 'a']);
    assert.deepEqual(await it.texts('ready', 'task'), ['c']);
  },

  'a timeout asks for the end or warns, once': async (t, subject) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a'), taskOf('b')]));
    await it.start();
    await it.commands();
    const [a, b] = await claimAll(it);
    assert.ok(a !== undefined && b !== undefined);
    await it.engine.started([
      { ...a, startedAgoMs: 9000, timeout: { afterMs: 1000, action: 'fail' } },
      { ...b, startedAgoMs: 2000, timeout: { afterMs: 1000, action: 'warn' } },
    ]);
    const struck = await it.timers.strikeTimeouts(10);
    assert.deepEqual(struck.map(({ task, action }) => `${task} ${action}`).toSorted(), ['a fail', 'b warn']);
    assert.deepEqual(await it.timers.strikeTimeouts(10), []);
    assert.deepEqual(await it.rows('active', 'task', 'kill_reason'), [
      { task: 'a', kill_reason: 'timeout' },
      { task: 'b', kill_reason: null },
    ]);
    assert.deepEqual(await it.rows('alert', 'kind', 'payload'), [
      { kind: 'task-timeout', payload: { task: 'b', attempt: 1 } },
    ]);
  },
};
