import assert from 'node:assert/strict';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { ConnectionLost } from '../postgres/connection/errors.ts';
import { createStarts } from '../postgres/engine/starts.ts';
import { blocked, openBench } from './bench.ts';
import { holder } from './held.ts';
import type { Cases } from './subject.ts';

const ONE = workflowOf([taskOf('a')]);
const KEYED = { key: 'k', bodyHash: 'h' };

/** Starts and their keys. */
export const STARTS: Cases = {
  'an idempotency key starts once': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const request = { ...it.request, idempotency: KEYED };
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => it.starts.start(request)));
    assert.equal(outcomes.filter(({ kind }) => kind === 'created').length, 1);
    assert.equal(new Set(outcomes.map(({ instanceId }) => instanceId)).size, 1);
    const other = { ...request, idempotency: { key: 'k', bodyHash: 'other' } };
    assert.equal((await it.starts.start(other)).kind, 'key-conflict');
    assert.equal((await it.rows('live_instance')).length, 1);
    assert.equal((await it.rows('workflow_instance')).length, 1);
  },

  'a key waits for the start that is about to take it': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const slow = holder(subject.open);
    const session = slow.open();
    t.after(() => session.close());
    const starts = createStarts(session, subject.nextId);
    const request = { ...it.request, idempotency: KEYED };
    const held = slow.hold('start');
    const first = starts.start(request);
    await held.reached;
    const second = it.starts.start(request);
    await blocked(subject, 1);
    held.release();
    assert.deepEqual([(await first).kind, (await second).kind], ['created', 'existing']);
    assert.equal((await first).instanceId, (await second).instanceId);
    assert.equal((await it.rows('command')).length, 1);
  },

  'a key is free again when the start that was about to take it is rolled back': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const slow = holder(subject.open);
    const session = slow.open();
    t.after(() => session.close());
    const starts = createStarts(session, subject.nextId);
    const request = { ...it.request, idempotency: KEYED };
    const held = slow.hold('start');
    const first = starts.start(request);
    await held.reached;
    const second = it.starts.start(request);
    await blocked(subject, 1);
    held.refuse(Object.assign(new Error('refused'), { code: '23514' }));
    await assert.rejects(first, /refused/);
    assert.equal((await second).kind, 'created');
    assert.equal((await it.rows('live_instance')).length, 1);
  },

  'a start whose answer was lost is found by its own id, with a key and without': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const session = subject.open();
    t.after(() => session.close());
    let losses = 2;
    const lossy = {
      run: async (calls: Parameters<typeof session.run>[0]) => {
        const rows = await session.run(calls);
        if (calls[0]?.statement.name === 'start' && losses-- > 0) throw new ConnectionLost(true, undefined);
        return rows;
      },
    };
    const starts = createStarts(lossy, subject.nextId);
    assert.equal((await starts.start({ ...it.request, idempotency: KEYED })).kind, 'created');
    assert.equal((await starts.start(it.request)).kind, 'created');
    for (const table of ['live_instance', 'command', 'history']) assert.equal((await it.rows(table)).length, 2, table);
  },

  'a bad start is refused and takes no other with it': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const bad = { ...it.request, taskCount: -1 };
    const [first, second] = await Promise.allSettled([it.starts.start(bad), it.starts.start(it.request)]);
    assert.equal(first?.status, 'rejected');
    assert.equal(first.reason.code, '23514');
    assert.equal(second?.status, 'fulfilled');
    assert.equal((await it.rows('workflow_instance')).length, 1);
  },
};
