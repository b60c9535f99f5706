import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { compileTrigger, nextTime, planFires } from '@keelson/core';
import type { TriggerDefinition } from '@keelson/core';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type { FireMind, FireRound, Fires } from '../fires.ts';
import { ConnectionLost } from '../postgres/connection/errors.ts';
import { createFires } from '../postgres/schedules/fires.ts';
import type { OpenSession, Session } from '../postgres/connection/session.ts';
import { claimAll, openBench } from './bench.ts';
import { holder } from './held.ts';
import type { Cases, Subject } from './subject.ts';

const ONE = workflowOf([taskOf('a')]);
const SECOND = 1000;
const RATE: TriggerDefinition = { id: 'r', fixedRateMs: SECOND, timezone: 'UTC', misfire: 'fire-all', params: {} };
const DELAY: TriggerDefinition = {
  id: 'd',
  fixedDelayMs: 3600 * SECOND,
  timezone: 'UTC',
  misfire: 'fire-all',
  params: {},
};

/** As a master's, with params of the test's choice. */
const mindOf = (params: (scheduleId: string) => object = () => ({})): FireMind => ({
  calendarsOf: () => [],
  decide: ({ id, trigger: text, dueMs, endedAtMs }, _calendars, nowMs) => {
    const trigger = compileTrigger(JSON.parse(text) as TriggerDefinition);
    const context = { calendars: new Map() };
    const after = (ms: number) => nextTime(trigger, ms, 'k', context);
    if (dueMs === undefined) {
      const next = after(endedAtMs ?? nowMs);
      return { fires: [], awaits: false, ...(next && { next }) };
    }
    const plan = planFires({ trigger, context, scheduleKey: 'k', dueMs }, nowMs, 100);
    const awaits = trigger.definition.fixedDelayMs !== undefined;
    const next = plan.next ?? after(nowMs);
    const fires = plan.fires.map((time) => ({
      dueMs: time.dueMs,
      outcome: 'fired' as const,
      params: params(id) as never,
    }));
    return { fires, awaits, ...(next && { next }) };
  },
});

function firesOf(t: TestContext, subject: Subject, open: OpenSession = subject.open): Fires {
  const fires = createFires(open, subject.nextId, () => performance.now());
  t.after(() => fires.close());
  return fires;
}

/** Rounds until nothing is due. */
async function drain(fires: Fires, limit: number, mind: FireMind): Promise<FireRound[]> {
  const rounds: FireRound[] = [];
  for (;;) {
    const round = await fires.round(limit, Infinity, mind);
    if (round.taken === 0) return rounds;
    rounds.push(round);
  }
}

/** A whole second that is not long ago. */
const lately = (agoMs: number): number => Math.floor((Date.now() - agoMs) / SECOND) * SECOND;

/** A session whose first commit gets no answer. */
function losing(open: OpenSession, committed: boolean): OpenSession {
  let lost = false;
  return (bounds) => {
    const session = open(bounds);
    const begin = (): ReturnType<Session['begin']> => {
      const transaction = session.begin();
      return {
        ...transaction,
        commit: async (calls) => {
          if (lost) return transaction.commit(calls);
          lost = true;
          if (committed) await transaction.commit(calls);
          else await transaction.rollback();
          throw new ConnectionLost(true, undefined);
        },
      };
    };
    return { ...session, begin };
  };
}

export const FIRES: Cases = {
  'two masters share what is due: each time fires once': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const due = lately(3000);
    for (let index = 0; index < 12; index++)
      await subject.addSchedule({ trigger: { ...RATE, id: `r${index}` }, dueMs: due });
    const rounds = await Promise.all([1, 2].map(async () => drain(firesOf(t, subject), 4, mindOf())));
    const fired = rounds.flat().reduce((sum, round) => sum + round.fires.fired, 0);
    assert.ok(fired >= 36, 'three times each, at least');
    for (const table of ['fire', 'workflow_instance', 'live_instance', 'command'])
      assert.equal((await it.rows(table)).length, fired, table);
    const own = new Set((await it.rows('fire', 'instance_id')).map((row) => row['instance_id']));
    assert.equal(own.size, fired);
    assert.deepEqual(await it.rows('followup'), []);
  },

  'what another master holds is left alone, and is there when that one is gone': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await subject.addSchedule({ trigger: RATE, dueMs: Date.now() + 3_600_000 - 3_600_500 });
    const slow = holder(subject.open);
    const first = firesOf(t, subject, slow.open);
    const held = slow.hold('fires-write');
    const broken = assert.rejects(first.round(10, Infinity, mindOf()), /killed/);
    await held.reached;
    const second = firesOf(t, subject);
    assert.equal((await second.round(10, Infinity, mindOf())).taken, 0);
    held.refuse(Object.assign(new Error('killed'), { code: '57P01' }));
    await broken;
    assert.deepEqual(await it.rows('fire'), []);
    assert.equal((await second.round(10, Infinity, mindOf())).fires.fired, (await it.rows('fire')).length);
    assert.ok((await it.rows('fire')).length > 0);
  },

  ...Object.fromEntries(
    [true, false].map((committed) => [
      `a fire whose answer was lost ${committed ? 'is there, and is not made again' : 'had not happened, and is made'}`,
      async (t: TestContext, subject: Subject) => {
        const it = await openBench(t, subject, ONE);
        const at: TriggerDefinition = {
          id: 'a',
          at: '2026-01-01T00:00',
          timezone: 'UTC',
          misfire: 'fire-once',
          params: {},
        };
        await subject.addSchedule({ trigger: at, dueMs: Date.parse('2026-01-01T00:00:00Z') });
        const fires = firesOf(t, subject, losing(subject.open, committed));
        await assert.rejects(fires.round(10, Infinity, mindOf()), ConnectionLost);
        await drain(fires, 10, mindOf());
        for (const table of ['fire', 'workflow_instance', 'command'])
          assert.equal((await it.rows(table)).length, 1, table);
        assert.deepEqual(await it.texts('schedule', 'exhausted', 'awaiting'), ['true ']);
      },
    ]),
  ),

  'a time that has fired fires nothing again, and a fixed delay does not wait for what was not made': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, ONE);
    const dueMs = lately(1000);
    const id = await subject.addSchedule({ trigger: DELAY, dueMs });
    const fires = firesOf(t, subject);
    await fires.round(10, Infinity, mindOf());
    const [first] = await it.rows('workflow_instance', 'id');
    assert.deepEqual(await it.texts('schedule', 'awaiting', 'exhausted'), [`${String(first?.['id'])} false`]);
    await subject.moveSchedule(id, dueMs);
    assert.equal((await fires.round(10, Infinity, mindOf())).fires.fired, 0);
    assert.equal((await it.rows('workflow_instance')).length, 1);
    assert.deepEqual(await it.texts('schedule', 'awaiting', 'exhausted'), [' false']);
    assert.notEqual((await fires.nextLook()).dueMs, undefined);
  },

  'a fixed delay goes on when its instance has ended, unless it is paused': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const dueMs = lately(1000);
    const paused = await subject.addSchedule({ trigger: DELAY, dueMs });
    await subject.addSchedule({ trigger: { ...DELAY, id: 'other' }, dueMs });
    const fires = firesOf(t, subject);
    assert.equal((await fires.round(10, Infinity, mindOf())).fires.fired, 2);
    assert.deepEqual((await fires.nextLook()).dueMs, undefined);
    await subject.pauseSchedule(paused);
    await it.commands();
    const outcome = await it.report(await claimAll(it));
    assert.deepEqual(outcome.followups, ['schedule']);
    assert.equal((await fires.nextLook()).ended, true);
    assert.equal((await fires.round(10, Infinity, mindOf())).taken, 2);
    assert.deepEqual(await it.rows('followup'), []);
    assert.deepEqual(await it.texts('schedule', 'awaiting', 'exhausted'), [' false', ' false']);
    const { dueMs: next = 0, nowMs, ended } = await fires.nextLook();
    assert.equal(ended, false);
    assert.ok(next > nowMs + 3_500_000, 'an hour after the end');
  },

  'instances of other triggers tell nobody of their end': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    await subject.addSchedule({ trigger: RATE, dueMs: lately(0) });
    await firesOf(t, subject).round(10, Infinity, mindOf());
    await it.commands();
    await it.report(await claimAll(it));
    assert.deepEqual(await it.rows('followup'), []);
  },

  'one that the database refuses is put off with the reason, and takes no other with it': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const dueMs = lately(0);
    const bad = await subject.addSchedule({ trigger: RATE, dueMs });
    await subject.addSchedule({ trigger: { ...RATE, id: 'good' }, dueMs });
    const mind = mindOf((id) => (id === bad ? { text: '\0' } : {}));
    const round = await firesOf(t, subject).round(10, Infinity, mind);
    assert.deepEqual(
      round.failing.map(({ scheduleId }) => scheduleId),
      [bad],
    );
    assert.deepEqual(new Set((await it.rows('fire', 'schedule_id')).map((row) => row['schedule_id'])).has(bad), false);
    assert.ok((await it.rows('fire')).length > 0);
    const errors = (await it.rows('schedule', 'id', 'last_error')).map((row) => [
      row['id'],
      row['last_error'] === null,
    ]);
    assert.deepEqual(errors, [
      [bad, false],
      [String(Number(bad) + 1), true],
    ]);
    assert.deepEqual(await it.texts('alert', 'kind'), ['schedule-failing']);
  },

  'nothing later than what is believed of the clock is due': async (t, subject) => {
    const it = await openBench(t, subject, ONE);
    const dueMs = lately(0);
    await subject.addSchedule({ trigger: RATE, dueMs });
    const fires = firesOf(t, subject);
    assert.equal((await fires.round(10, dueMs - 1, mindOf())).taken, 0);
    assert.equal((await fires.nextLook()).dueMs, dueMs);
    assert.equal((await fires.round(10, dueMs, mindOf())).fires.fired, 1);
    assert.equal((await it.rows('fire')).length, 1);
  },
};
