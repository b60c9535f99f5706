import assert from 'node:assert/strict';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type { BroadcastDefinition, WorkflowDefinition } from '@keelson/core';
import type { BoundAttempt, ReportedEnd } from '../engine.ts';
import { createEngine } from '../postgres/engine/engine.ts';
import { createWorkers } from '../postgres/workers/workers.ts';
import { assertNothingHot, blocked, claimAll, only, openBench } from './bench.ts';
import { holder } from './held.ts';
import type { Cases } from './subject.ts';

const STEP = { uses: 'shell', with: { script: 'true' }, env: {} };
const CERTAIN_MS = 1e9;

function broadcastOf(broadcast: BroadcastDefinition, retries = 0): WorkflowDefinition {
  const retry = { max: retries, delayMs: 60_000, backoff: 'fixed', maxDelayMs: 60_000 } as const;
  return workflowOf([taskOf('a', [], { broadcast, retry }), taskOf('b', ['a'])]);
}

const done = (attempt: BoundAttempt, end: ReportedEnd['end'] = 'succeeded'): ReportedEnd => ({
  ...attempt,
  end,
  startedAgoMs: 2,
  endedAgoMs: 1,
});

/** Tasks that run on every worker. */
export const BROADCASTS: Cases = {
  'a broadcast: before, each worker once as places come free, after, and then what needs it': async (t, subject) => {
    const it = await openBench(t, subject, broadcastOf({ before: STEP, after: STEP, parallel: 1, maxFailed: 0 }));
    const second = await it.register('w2');
    await it.start();
    await it.commands();
    const before = only(await claimAll(it));
    assert.deepEqual(await it.texts('broadcast', 'task', 'phase'), ['a before']);
    const fan = await it.report([{ ...before, outputs: { n: 1 } }]);
    const one = only(fan.subtasks);
    assert.deepEqual([one.incarnationId, one.subtaskIndex], [it.incarnationId, 0]);
    assert.deepEqual(await it.texts('active', 'state', 'subtask', 'subtask_index'), [
      `bound ${second} 1`,
      `dispatched ${it.incarnationId} 0`,
    ]);
    assert.deepEqual((await it.engine.activeOf([second])).length, 0, 'what is bound only is nobody’s yet');
    const two = only((await it.report([{ ...done(one), outputs: { n: 2 } }])).subtasks);
    assert.equal(two.incarnationId, second);
    await it.report([done(two)]);
    const after = only(await claimAll(it));
    const key = { instanceId: after.instanceId, generation: 1, task: 'a' };
    const row = only(await it.engine.broadcasts([key]));
    assert.deepEqual([row.phase, row.total, row.outputs], ['after', 2, { n: 1 }]);
    assert.equal(
      only(await it.engine.broadcasts([key], 5)).results,
      null,
      'more than was asked for is not read at all',
    );
    assert.deepEqual(
      row.results?.map(({ worker, state, outputs }) => ({ worker, state, outputs })),
      [
        { worker: 'w1', state: 'succeeded', outputs: { n: 2 } },
        { worker: 'w2', state: 'succeeded', outputs: {} },
      ],
    );
    await it.report([after]);
    const b = only(await claimAll(it));
    assert.equal(b.task, 'b');
    assert.equal((await it.report([b])).ended.length, 1);
    assert.deepEqual(await it.texts('finished_subtask', 'worker', 'state', 'attempt'), [
      'w1 succeeded 1',
      'w2 succeeded 1',
    ]);
    assert.deepEqual(
      [await it.rows('broadcast'), await it.texts('earlier_attempt', 'task', 'state')],
      [[], ['a succeeded']],
    );
    await assertNothingHot(it);
  },

  'a snapshot waits for a worker that is about to leave, and does without it': async (t, subject) => {
    const it = await openBench(t, subject, broadcastOf({ maxFailed: 1 }));
    const second = await it.register('w2');
    const slow = holder(subject.open);
    const workers = createWorkers(slow.open);
    t.after(() => workers.close());
    await it.start();
    const held = slow.hold('worker-leave');
    const leaving = workers.leave(second);
    await held.reached;
    const step = it.commands();
    await blocked(subject, 1);
    held.release();
    await leaving;
    assert.deepEqual(
      (await step).subtasks.map((one) => one.incarnationId),
      [it.incarnationId],
    );
    assert.equal((await it.rows('active')).length, 1);
  },

  'an expiry passes by a worker that a snapshot holds, and then loses what was bound to it for good': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, broadcastOf({ maxFailed: 1 }, 3));
    const second = await it.register('w2');
    const slow = holder(subject.open);
    const engine = createEngine(slow.open, 1);
    t.after(() => engine.close());
    await it.start();
    const held = slow.hold('write-subtasks');
    const step = it.commands(engine);
    await held.reached;
    await subject.endLease(second);
    assert.deepEqual(await it.workers.expire(CERTAIN_MS), []);
    held.release();
    assert.equal((await step).subtasks.length, 2);
    while ((await it.workers.expire(CERTAIN_MS)).length === 0);
    await it.register('w3');
    await it.commands();
    assert.deepEqual(await it.texts('finished_subtask', 'worker', 'state'), ['w2 lost']);
    const rest = only(await it.engine.activeOf([it.incarnationId]));
    await it.report([done(rest)]);
    assert.deepEqual(await it.texts('finished_task', 'task', 'state'), ['a succeeded']);
    assert.deepEqual(await it.texts('ready', 'task'), ['b']);
  },

  'a subtask is retried on its own worker, after the delay; if that is dead meanwhile, it is lost': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, broadcastOf({ maxFailed: 0 }, 2));
    const id = await it.start();
    const first = only((await it.commands()).subtasks);
    const second = only((await it.report([done(first, 'failed')])).subtasks);
    assert.deepEqual([second.incarnationId, second.attempt], [it.incarnationId, 2]);
    assert.ok((second.startAfterMs ?? 0) > 1000);
    assert.ok((only(await it.engine.activeOf([it.incarnationId])).startAfterMs ?? 0) > 1000);
    assert.deepEqual(await it.texts('earlier_attempt', 'attempt', 'subtask', 'state'), [
      `1 ${it.incarnationId} failed`,
    ]);
    await it.workers.leave(it.incarnationId);
    const outcome = await it.report([done(second, 'failed')]);
    assert.deepEqual(outcome.subtasks, [], 'nobody is there to be handed anything');
    for (let round = 0; round < 3; round++) await it.commands();
    assert.deepEqual(await it.texts('finished_subtask', 'state'), ['lost']);
    assert.deepEqual(await it.texts('instance_end', 'instance_id', 'state'), [`${id} failed`]);
    await assertNothingHot(it);
  },

  'a stop takes back what was only bound, and kills what was handed over': async (t, subject) => {
    const it = await openBench(t, subject, broadcastOf({ parallel: 1, maxFailed: 0 }));
    await it.register('w2');
    const id = await it.start();
    const one = only((await it.commands()).subtasks);
    await it.stop(id);
    await it.commands();
    await it.commands();
    assert.deepEqual(await it.texts('finished_subtask', 'worker', 'state'), ['w2 stopped']);
    assert.deepEqual(await it.texts('active', 'subtask_index', 'kill_reason'), ['0 stop']);
    await it.report([done(one, 'stopped')]);
    while ((await it.commands()).decided.length > 0);
    assert.deepEqual(await it.texts('instance_end', 'state'), ['stopped']);
    assert.deepEqual(await it.rows('broadcast'), []);
    await assertNothingHot(it);
  },

  'a broadcast whose delay is over is looked at in a decision': async (t, subject) => {
    const broadcast = { maxFailed: 0 };
    const it = await openBench(t, subject, workflowOf([taskOf('a', [], { broadcast, delayMs: 60_000 })]));
    await it.start();
    await it.commands();
    assert.deepEqual(await it.texts('delayed', 'task', 'fan_out'), ['a true']);
    await subject.endDelays();
    await it.timers.releaseDelayed(10);
    assert.deepEqual(await it.rows('command', 'kind', 'payload'), [{ kind: 'fan-out', payload: { task: 'a' } }]);
    assert.deepEqual(await it.rows('ready'), []);
    assert.equal((await it.commands()).subtasks.length, 1);
  },

  'parking ends subtasks too': async (t, subject) => {
    const it = await openBench(t, subject, broadcastOf({ parallel: 1, maxFailed: 0 }));
    await it.register('w2');
    const id = await it.start();
    await it.commands();
    assert.equal(await it.engine.park(id, { code: 'command-parked', message: 'broken' }), true);
    assert.deepEqual(await it.texts('finished_subtask', 'worker', 'state'), ['w1 stopped', 'w2 stopped']);
    assert.deepEqual(await it.rows('broadcast'), []);
    await assertNothingHot(it);
  },
};
