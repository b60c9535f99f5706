import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { outcomeOf, sqlState } from '../postgres/connection/errors.ts';
import { call } from '../postgres/connection/session.ts';
import type { Session } from '../postgres/connection/session.ts';
import { activeCount, lockInstances } from '../postgres/engine/step/read.ts';
import { blocked, claimAll, openBench } from './bench.ts';
import { holder } from './held.ts';
import type { Cases, Subject } from './subject.ts';

const ONE = workflowOf([taskOf('a')]);

function sessionOf(t: TestContext, subject: Subject): Session {
  const session = subject.open();
  t.after(() => session.close());
  return session;
}

/** The statement that locks an instance for parking: it waits where a step would pass by. */
async function waitingLock(t: TestContext, subject: Subject) {
  const recording = holder(subject.open);
  const it = await openBench(t, { ...subject, open: recording.open }, ONE);
  const none = it.engine.park('999', { code: 'command-parked', message: '' });
  assert.equal(await none, false);
  const statement = recording.used('park-lock');
  assert.ok(statement);
  return { it, lock: (id: string) => call(statement, id) };
}

/** Sessions: what a transaction sees, holds and gives back. */
export const SESSIONS: Cases = {
  'each statement of a transaction sees what was committed before it began': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const id = await it.start();
    await it.commands();
    const transaction = sessionOf(t, subject).begin();
    assert.deepEqual(await transaction.flight([activeCount([id])]), [[]]);
    await claimAll(it);
    assert.deepEqual(await transaction.flight([activeCount([id])]), [[{ instance_id: id, active: 1 }]]);
    await transaction.rollback();
  },

  'a row that is locked is skipped by those who skip, and free when the transaction has ended': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const id = await it.start();
    const [one, other] = [sessionOf(t, subject), sessionOf(t, subject)];
    const first = one.begin();
    assert.equal((await first.flight([lockInstances([id])]))[0]?.length, 1);
    assert.equal((await first.flight([lockInstances([id])]))[0]?.length, 1, 'its own lock is no hindrance');
    const second = other.begin();
    assert.deepEqual(await second.flight([lockInstances([id])]), [[]]);
    await first.rollback();
    assert.equal((await second.flight([lockInstances([id])]))[0]?.length, 1);
    await second.rollback();
  },

  'two that wait for each other: one of them is told, and may try again': async (t, subject) => {
    const { it, lock } = await waitingLock(t, subject);
    const [x, y] = [await it.start(), await it.start()];
    const transactions = [sessionOf(t, subject).begin(), sessionOf(t, subject).begin()] as const;
    await transactions[0].flight([lock(x)]);
    await transactions[1].flight([lock(y)]);
    const results = await Promise.allSettled([transactions[0].commit([lock(y)]), transactions[1].commit([lock(x)])]);
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    assert.deepEqual(failures.map(sqlState), ['40P01']);
    assert.deepEqual(failures.map(outcomeOf), ['retry']);
  },

  'who waits for a lock for too long is told, and has let go of its own': async (t, subject) => {
    const { it, lock } = await waitingLock(t, subject);
    const [x, y] = [await it.start(), await it.start()];
    const holding = sessionOf(t, subject).begin();
    await holding.flight([lock(x)]);
    const waiting = sessionOf(t, subject);
    const transaction = waiting.begin();
    await transaction.flight([lock(y)]);
    const failure: unknown = await transaction.flight([lock(x)]).catch((error: unknown) => error);
    assert.deepEqual([sqlState(failure), outcomeOf(failure)], ['55P03', 'retry']);
    const [free] = await sessionOf(t, subject).run([lockInstances([y])]);
    assert.equal(free?.length, 1);
    assert.equal((await waiting.run([lockInstances([y])]))[0]?.length, 1, 'its session goes on');
    await holding.rollback();
  },

  'a statement that is refused takes back the whole transaction, COMMIT or not': async (t, subject) => {
    const { it, lock } = await waitingLock(t, subject);
    const id = await it.start();
    const session = sessionOf(t, subject);
    await assert.rejects(session.begin().commit([lock(id), lockInstances(['no number'])]), { code: '22P02' });
    const transaction = session.begin();
    await transaction.flight([lock(id)]);
    await assert.rejects(transaction.flight([lockInstances(['no number']), lock(id)]), { code: '22P02' });
    assert.equal((await sessionOf(t, subject).run([lockInstances([id])]))[0]?.length, 1);
  },

  'statements outside a transaction wait for the one that is open on their session': async (t, subject) => {
    const { it, lock } = await waitingLock(t, subject);
    const id = await it.start();
    const session = sessionOf(t, subject);
    const transaction = session.begin();
    await transaction.flight([lock(id)]);
    const order: string[] = [];
    const after = session.run([activeCount([id])]).then(() => order.push('run'));
    await transaction.commit([]);
    order.push('commit');
    await after;
    assert.deepEqual(order, ['commit', 'run']);
  },

  'those who wait for one row get it one after the other': async (t, subject) => {
    const { it, lock } = await waitingLock(t, subject);
    const id = await it.start();
    const holding = sessionOf(t, subject).begin();
    await holding.flight([lock(id)]);
    const served: number[] = [];
    // Each holds the row until it was seen here: answers on different connections have no order of their own.
    const takeTurn = async (turn: number): Promise<void> => {
      const transaction = sessionOf(t, subject).begin();
      await transaction.flight([lock(id)]);
      served.push(turn);
      await transaction.commit([]);
    };
    const waiting = [];
    for (let turn = 1; turn <= 3; turn++) {
      waiting.push(takeTurn(turn));
      await blocked(subject, turn);
    }
    await holding.commit([]);
    await Promise.all(waiting);
    assert.deepEqual(served, [1, 2, 3]);
  },
};
