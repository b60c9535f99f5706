import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { createEngine } from '../postgres/engine/engine.ts';
import { createWorkers } from '../postgres/workers/workers.ts';
import { blocked, claimAll, only, openBench } from './bench.ts';
import { holder } from './held.ts';
import type { Cases, Subject } from './subject.ts';

const ONE = workflowOf([taskOf('a')]);
/** No doubt about the clock for so long. */
const CERTAIN_MS = 1e9;

function slowWorkers(t: TestContext, subject: Subject) {
  const slow = holder(subject.open);
  const workers = createWorkers(slow.open);
  const engine = createEngine(slow.open, 1);
  t.after(() => Promise.all([workers.close(), engine.close()]).then(() => undefined));
  return { workers, engine, hold: slow.hold };
}

/** Expires until the server has been up for long enough. */
async function expired(workers: { expire(ms: number): Promise<readonly { id: string }[]> }): Promise<string[]> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const ids = (await workers.expire(CERTAIN_MS)).map(({ id }) => id);
    if (ids.length > 0) return ids;
    assert.ok(performance.now() < deadline, 'the lease expires');
  }
}

/** Incarnations: who is alive, and what becomes of what they hold. */
export const LEASES: Cases = {
  'an expired lease loses its attempts, which run again elsewhere under new tokens': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.start();
    await it.commands();
    const a = only(await claimAll(it));
    await subject.endLease(it.incarnationId);
    assert.deepEqual(await it.workers.renew([it.incarnationId]), [], 'a lease that is over cannot be renewed');
    assert.equal(await it.workers.authenticate(it.incarnationId, 'x'), undefined);
    assert.deepEqual(await expired(it.workers), [it.incarnationId]);
    assert.deepEqual(await it.workers.expire(CERTAIN_MS), [], 'it dies once');
    await it.commands();
    assert.deepEqual(await it.texts('ready', 'task', 'attempt', 'losses'), ['a 2 1']);
    assert.equal((await it.report([a])).settled.length, 1, 'the old token is dead');
    assert.deepEqual(await claimAll(it), [], 'a dead incarnation is given nothing');
  },

  'nothing expires while there has been doubt about the clock for less than a lease': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await subject.endLease(it.incarnationId);
    assert.deepEqual(await it.workers.expire(0), []);
    assert.deepEqual(await expired(it.workers), [it.incarnationId]);
  },

  'nothing expires that was not over when the clock was last believed': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await subject.endLease(it.incarnationId);
    assert.deepEqual(await it.workers.expire(CERTAIN_MS, 0), []);
    assert.deepEqual(await expired(it.workers), [it.incarnationId]);
  },

  'a namesake that asks for work drains the one before it, which keeps its lease and is given nothing': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, ONE);
    await it.start();
    await it.commands();
    const second = await it.register('w1');
    assert.equal((await it.workers.authenticate(it.incarnationId, 'x'))?.state, 'live', 'the other may be a late echo');
    assert.equal((await it.workers.authenticate(second, 'x'))?.state, 'draining');
    assert.equal(await it.workers.supersede(it.incarnationId), true);
    assert.equal(await it.workers.supersede(second), true);
    assert.equal(await it.workers.supersede(it.incarnationId), false, 'a newer one is at work');
    assert.equal((await it.workers.authenticate(it.incarnationId, 'x'))?.state, 'draining');
    assert.equal(await it.workers.authenticate(it.incarnationId, 'y'), undefined, 'another one’s credential');
    assert.deepEqual((await it.workers.renew([it.incarnationId, second, '999'])).length, 2);
    assert.deepEqual(await claimAll(it), []);
    const slots = [it.incarnationId, second];
    const claim = { workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'c' };
    const { bound, liveSlots } = await it.engine.claim(claim);
    assert.deepEqual([only(bound).incarnationId, liveSlots], [second, 1]);
  },

  'a leave waits for a claim in flight, and loses what that bound': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.start();
    await it.commands();
    const { engine, hold } = slowWorkers(t, subject);
    const held = hold('claim');
    const slots = [it.incarnationId];
    const claim = engine.claim({ workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'x' });
    await held.reached;
    const leaving = it.workers.leave(it.incarnationId);
    await blocked(subject, 1);
    held.release();
    const bound = only((await claim).bound);
    await leaving;
    const [command] = await it.rows('command', 'kind', 'payload');
    const reason = { code: 'worker-lost', message: 'worker w1: left' };
    assert.deepEqual(command, { kind: 'attempt-ended', payload: { attemptId: bound.attemptId, end: 'lost', reason } });
  },

  'a claim waits for a leave in flight, and is given nothing by it': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.start();
    await it.commands();
    const { workers, hold } = slowWorkers(t, subject);
    const held = hold('worker-leave');
    const leaving = workers.leave(it.incarnationId);
    await held.reached;
    const claim = claimAll(it);
    await blocked(subject, 1);
    held.release();
    await leaving;
    assert.deepEqual(await claim, []);
    assert.deepEqual(await it.texts('ready', 'task'), ['a']);
  },

  'what a step offers to a worker that is dying goes in line instead': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.start();
    const { workers, hold } = slowWorkers(t, subject);
    const held = hold('worker-leave');
    const leaving = workers.leave(it.incarnationId);
    await held.reached;
    it.state.offers = 1;
    const step = it.commands();
    await blocked(subject, 1);
    held.release();
    await leaving;
    assert.deepEqual((await step).bound, []);
    assert.deepEqual(await it.texts('ready', 'task'), ['a']);
  },

  'an expiry passes by an incarnation that somebody binds to, and a renewal does not wait for that': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, ONE);
    await it.start();
    await it.commands();
    const { engine, hold } = slowWorkers(t, subject);
    const held = hold('claim');
    const slots = [it.incarnationId];
    const claim = engine.claim({ workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'x' });
    await held.reached;
    assert.equal((await it.workers.renew([it.incarnationId])).length, 1);
    await subject.endLease(it.incarnationId);
    assert.deepEqual(await it.workers.expire(CERTAIN_MS), []);
    held.release();
    assert.equal((await claim).bound.length, 1);
    assert.deepEqual(await expired(it.workers), [it.incarnationId]);
    assert.deepEqual(await it.texts('command', 'kind'), ['attempt-ended']);
  },

  'a renewal waits for an expiry, and is refused by it': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await subject.endLease(it.incarnationId);
    const { workers, hold } = slowWorkers(t, subject);
    const held = hold('worker-lose-attempts');
    const expiring = expired(workers);
    await held.reached;
    const leave = it.workers.leave(it.incarnationId);
    await blocked(subject, 1);
    held.release();
    assert.deepEqual(await expiring, [it.incarnationId]);
    await leave;
    assert.deepEqual(await it.texts('worker_incarnation', 'end_reason'), ['lease-expired'], 'it dies once');
    assert.deepEqual(await it.workers.renew([it.incarnationId]), []);
  },

  'progress is noted under the attempt’s own token only': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await it.start();
    await it.commands();
    const a = only(await claimAll(it));
    await it.workers.noteProgress([{ ...a, nonce: 'forged', fraction: 1 }]);
    assert.deepEqual(await it.rows('active', 'progress'), [{ progress: null }]);
    await it.workers.noteProgress([{ ...a, fraction: 0.5, message: 'half' }]);
    assert.deepEqual(await it.rows('active', 'progress'), [{ progress: { fraction: 0.5, message: 'half' } }]);
  },
};
