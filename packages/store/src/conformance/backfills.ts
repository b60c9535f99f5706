import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { turnBackfill } from '@keelson/core';
import type { RunParams } from '@keelson/core';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type { BackfillDraft, BackfillMind, Backfills, BackfillTurned, DraftRun } from '../backfills.ts';
import { createBackfills } from '../postgres/backfills/backfills.ts';
import { ConnectionLost } from '../postgres/connection/errors.ts';
import type { OpenSession } from '../postgres/connection/session.ts';
import { blocked, claimAll, openBench } from './bench.ts';
import type { Bench } from './bench.ts';
import { holder } from './held.ts';
import type { Cases, Subject } from './subject.ts';

const ONE = workflowOf([taskOf('a')]);
const day = (number: number): string => `2026-01-${String(number).padStart(2, '0')}T00:00:00.000Z`;

const member = (workflowId: string, needs: readonly number[] = []) => ({
  workflowId,
  versionId: '1',
  version: 1,
  taskCount: 1,
  project: 'p',
  workflow: `w${workflowId}`,
  projectParams: {},
  needs,
});

/** Of one workflow, for so many days. */
function draftOf(days: number, more: Partial<BackfillDraft> = {}): BackfillDraft {
  const members = more.members ?? [member('1')];
  const runs = Array.from({ length: days }, (_, index) =>
    members.map(({ workflowId, needs }): DraftRun => {
      const state = needs.length === 0 ? 'pending' : 'waiting';
      return { workflowId, runTime: day(index + 1), state };
    }),
  ).flat();
  return {
    workflowId: '1',
    members,
    parallel: 1,
    priority: -10,
    onFailure: 'continue',
    again: false,
    params: {},
    request: {},
    createdBy: 'me',
    runs,
    ...more,
  };
}

const mindWith =
  (paramsOf: (seq: number) => RunParams): BackfillMind =>
  (backfill, runs, ends) =>
    turnBackfill(backfill, runs, ends, paramsOf);
const MIND = mindWith((seq) => ({ params: { seq } }));

interface Scene {
  readonly bench: Bench;
  readonly backfills: Backfills;
  /** Turns until nothing is left to do now. */
  settle(by?: Backfills, mind?: BackfillMind): Promise<BackfillTurned[]>;
  /** Lets everything that is under way end. */
  finish(end?: 'succeeded' | 'failed'): Promise<number>;
  /** `seq state` of each run, then the backfill's state. */
  look(id: string): Promise<string>;
}

async function openScene(t: TestContext, subject: Subject): Promise<Scene> {
  const bench = await openBench(t, subject, ONE);
  const backfills = openBackfills(t, subject, subject.open);
  const settle = async (by = backfills, mind = MIND): Promise<BackfillTurned[]> => {
    const turned: BackfillTurned[] = [];
    for (;;) {
      const due = await by.due(10);
      const before = turned.length;
      for (const { id, room } of due) {
        const outcome = await by.turn(id, room, mind);
        if (outcome?.worked === true) turned.push(outcome);
      }
      if (turned.length === before) return turned;
    }
  };
  return {
    bench,
    backfills,
    settle,
    finish: async (end = 'succeeded') => {
      let ended = 0;
      for (;;) {
        while ((await bench.commands()).decided.length > 0);
        const claimed = await claimAll(bench);
        if (claimed.length === 0) return ended;
        ended += (await bench.report(claimed.map((one) => ({ ...one, end })))).ended.length;
      }
    },
    look: async (id) => {
      const runs = await subject.rows('backfill_run');
      const own = runs.filter((row) => row.backfill_id === id).toSorted((a, b) => Number(a.seq) - Number(b.seq));
      const [row] = (await subject.rows('backfill')).filter((one) => one.id === id);
      assert.ok(row !== undefined);
      for (const name of ['waiting', 'pending', 'running', 'succeeded', 'failed', 'stopped', 'skipped'])
        assert.equal(row[name], own.filter(({ state }) => state === name).length, `the count of ${name} is right`);
      return `${own.map(({ seq, state }) => `${String(seq)} ${String(state)}`).join(', ')}: ${String(row.state)}`;
    },
  };
}

function openBackfills(t: TestContext, subject: Subject, open: OpenSession): Backfills {
  const backfills = createBackfills(open, subject.nextId);
  t.after(() => backfills.close());
  return backfills;
}

async function created({ backfills }: Scene, draft: BackfillDraft): Promise<string> {
  const made = await backfills.create(draft);
  assert.equal(made.kind, 'created');
  return made.id;
}

/** Answers are lost after these statements have run, and what they did is committed. */
function forgetful(open: OpenSession, name: string): OpenSession {
  let left = 1;
  return (bounds) => {
    const session = open(bounds);
    return {
      ...session,
      begin: () => {
        const transaction = session.begin();
        return {
          ...transaction,
          commit: async (calls) => {
            const rows = await transaction.commit(calls);
            if (left > 0 && calls.some(({ statement }) => statement.name === name)) {
              left--;
              throw new ConnectionLost(true, new Error('the answer was lost'));
            }
            return rows;
          },
        };
      },
    };
  };
}

/** Backfills: runs in their order, never more at once than allowed, each made once. */
export const BACKFILLS: Cases = {
  'a backfill runs one after the other, and notes each end': async (t, subject) => {
    const it = await openScene(t, subject);
    const id = await created(it, draftOf(2));
    assert.equal((await it.settle()).length, 1);
    assert.equal(await it.look(id), '1 running, 2 pending: running');
    assert.deepEqual(await it.bench.texts('workflow_instance', 'trigger', 'priority', 'backfill_id', 'created_by'), [
      `backfill -10 ${id} me`,
    ]);
    await it.finish();
    assert.deepEqual(await it.bench.texts('followup', 'kind', 'subject_id'), [`backfill ${id}`]);
    await it.settle();
    assert.equal(await it.look(id), '1 succeeded, 2 running: running');
    await it.finish('failed');
    assert.equal((await it.settle()).at(-1)?.ended, true);
    assert.equal(await it.look(id), '1 succeeded, 2 failed: done');
    assert.deepEqual(await it.bench.rows('followup'), []);
    assert.deepEqual(await it.bench.texts('backfill_event', 'kind', 'by'), ['created me', 'ended master']);
  },

  'several masters turn one backfill at the same time, and never start too many or one twice': async (t, subject) => {
    const it = await openScene(t, subject);
    const id = await created(it, draftOf(12, { parallel: 3 }));
    const masters = [it.backfills, openBackfills(t, subject, subject.open), openBackfills(t, subject, subject.open)];
    for (let ended = 0; ended < 12;) {
      await Promise.all(masters.map((one) => it.settle(one)));
      const live = await it.bench.rows('live_instance');
      assert.ok(live.length >= 1 && live.length <= 3, `${live.length} under way`);
      ended += await it.finish();
    }
    await Promise.all(masters.map((one) => it.settle(one)));
    assert.match(await it.look(id), /^(\d+ succeeded(, )?){12}: done$/);
    assert.equal((await it.bench.rows('workflow_instance')).length, 12);
  },

  'one that another master holds is left alone': async (t, subject) => {
    const it = await openScene(t, subject);
    const id = await created(it, draftOf(2));
    const slow = holder(subject.open);
    const held = slow.hold('backfill-count');
    const first = openBackfills(t, subject, slow.open).turn(id, 1, MIND);
    await held.reached;
    assert.equal(await it.backfills.turn(id, 1, MIND), undefined);
    held.release();
    assert.equal((await first)?.started.length, 1);
    assert.equal(await it.look(id), '1 running, 2 pending: running');
  },

  'a cancel waits for a start in flight, and stops what that made': async (t, subject) => {
    const it = await openScene(t, subject);
    const id = await created(it, draftOf(3));
    const slow = holder(subject.open);
    const held = slow.hold('backfill-count');
    const start = openBackfills(t, subject, slow.open).turn(id, 1, MIND);
    await held.reached;
    const cancel = it.backfills.operate(id, { kind: 'cancel', stop: true }, 'you');
    await blocked(subject, 1);
    held.release();
    await start;
    assert.deepEqual(await cancel, { outcome: 'applied', state: 'cancelled', stopping: 1 });
    assert.equal(await it.look(id), '1 running, 2 skipped, 3 skipped: cancelled');
    await it.finish();
    assert.equal((await it.settle()).at(-1)?.ended, true);
    assert.equal(await it.look(id), '1 stopped, 2 skipped, 3 skipped: cancelled');
    const again = await it.backfills.operate(id, { kind: 'cancel', stop: true }, 'you');
    assert.deepEqual(again, { outcome: 'already', state: 'cancelled', stopping: 0 });
  },

  'a start behind a cancel starts nothing': async (t, subject) => {
    const it = await openScene(t, subject);
    const id = await created(it, draftOf(3));
    await it.backfills.operate(id, { kind: 'cancel', stop: false }, 'you');
    assert.deepEqual(await it.backfills.turn(id, 1, MIND), {
      worked: false,
      started: [],
      queued: false,
      ended: false,
    });
    assert.equal(await it.look(id), '1 skipped, 2 skipped, 3 skipped: cancelled');
    assert.equal((await it.backfills.operate(id, { kind: 'resume' }, 'you')).outcome, 'ended');
    assert.equal((await it.backfills.operate('77', { kind: 'resume' }, 'you')).outcome, 'unknown');
  },

  'while paused nothing starts, and ends are noted': async (t, subject) => {
    const it = await openScene(t, subject);
    const id = await created(it, draftOf(2));
    await it.settle();
    const ask = async (kind: 'pause' | 'resume') => (await it.backfills.operate(id, { kind }, 'you')).outcome;
    assert.deepEqual([await ask('resume'), await ask('pause'), await ask('pause')], ['already', 'applied', 'already']);
    await it.finish();
    await it.settle();
    assert.equal(await it.look(id), '1 succeeded, 2 pending: paused');
    assert.equal(await ask('resume'), 'applied');
    await it.settle();
    assert.equal(await it.look(id), '1 succeeded, 2 running: running');
  },

  'an answer that is lost after the commit starts nothing twice': async (t, subject) => {
    const it = await openScene(t, subject);
    const losing = openBackfills(t, subject, forgetful(subject.open, 'backfill-create-runs'));
    const keyed = draftOf(2, { idempotency: { key: 'k', bodyHash: 'h' } });
    const made = await losing.create(keyed);
    assert.equal(made.kind, 'created');
    assert.deepEqual(await it.backfills.create(keyed), { kind: 'existing', id: made.id });
    const other = { ...keyed, idempotency: { key: 'k', bodyHash: 'other' } };
    assert.deepEqual(await it.backfills.create(other), { kind: 'key-conflict', id: made.id });
    assert.equal((await it.bench.rows('backfill')).length, 1);
    const turning = openBackfills(t, subject, forgetful(subject.open, 'backfill-count'));
    await assert.rejects(turning.turn(made.id, 1, MIND), ConnectionLost);
    await it.settle(turning);
    assert.equal(await it.look(made.id), '1 running, 2 pending: running');
    assert.equal((await it.bench.rows('workflow_instance')).length, 1);
  },

  'times that have succeeded or are under way are left out, unless they are wanted again': async (t, subject) => {
    const it = await openScene(t, subject);
    const startFor = (runTime: string) => it.bench.starts.start({ ...it.bench.request, runTime });
    await startFor(day(1));
    await it.finish();
    await startFor(day(2));
    const id = await created(it, draftOf(3, { parallel: 3 }));
    await it.settle();
    assert.equal(await it.look(id), '1 skipped, 2 skipped, 3 running: running');
    assert.deepEqual(
      (await it.bench.rows('backfill_run', 'reason')).flatMap(
        ({ reason }) => (reason as { code: string } | null)?.code ?? [],
      ),
      ['already-succeeded', 'running-now'],
    );
    await it.finish();
    const again = await created(it, draftOf(2, { parallel: 3, again: true }));
    await it.settle();
    assert.equal(await it.look(again), '1 running, 2 running: running', 'now the second has ended, too');
  },

  'dependents follow their upstreams of the same time, or are left out': async (t, subject) => {
    const it = await openScene(t, subject);
    const members = [member('1'), member('2', [0]), member('3', [1])];
    const id = await created(it, draftOf(2, { members }));
    await it.settle();
    assert.match(await it.look(id), /^1 running, 2 waiting, 3 waiting, 4 pending/);
    await it.finish();
    await it.settle();
    assert.match(await it.look(id), /^1 succeeded, 2 running, 3 waiting, 4 pending/, 'before the next day');
    await it.finish('failed');
    await it.settle();
    assert.equal(await it.look(id), '1 succeeded, 2 failed, 3 skipped, 4 running, 5 waiting, 6 waiting: running');
  },

  'a run without parameters fails, and a backfill may stop at that': async (t, subject) => {
    const it = await openScene(t, subject);
    const reason = { code: 'invalid-params', message: 'there is no day' };
    const mind = mindWith((seq) => (seq === 2 ? { reason } : { params: {} }));
    const members = [member('1'), member('2', [0])];
    const going = await created(it, draftOf(1, { members, parallel: 3 }));
    await it.settle(
      it.backfills,
      mindWith(() => ({ reason })),
    );
    assert.equal(await it.look(going), '1 failed, 2 skipped: done');
    const stopping = await created(it, draftOf(4, { parallel: 3, onFailure: 'stop' }));
    await it.settle(it.backfills, mind);
    assert.equal(await it.look(stopping), '1 running, 2 failed, 3 skipped, 4 skipped: running');
    await it.finish();
    await it.settle();
    assert.equal(await it.look(stopping), '1 succeeded, 2 failed, 3 skipped, 4 skipped: done');
    assert.deepEqual((await it.bench.texts('backfill_event', 'kind')).toSorted(), [
      'created',
      'created',
      'ended',
      'ended',
      'halted',
    ]);
  },

  'what cannot go on says why, and goes on when it can': async (t, subject) => {
    const it = await openScene(t, subject);
    const id = await created(it, draftOf(1));
    await it.backfills.noteError(id, 'the version is gone');
    assert.deepEqual(await it.bench.texts('backfill', 'last_error'), ['the version is gone']);
    await it.settle();
    assert.deepEqual(await it.bench.rows('backfill', 'last_error'), [{ last_error: null }]);
    const nothing = await created(it, draftOf(0));
    assert.equal(await it.look(nothing), ': done');
  },
};
