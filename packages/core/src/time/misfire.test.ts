import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import type { TriggerDefinition } from '../definition/model.ts';
import { jitterOf } from './jitter.ts';
import type { FirePlan } from './misfire.ts';
import { nextTime, planFires } from './misfire.ts';
import { compileTrigger, nextFire } from './trigger.ts';

const context = { calendars: new Map() };
const MINUTE = 60_000;
const T0 = Date.parse('2026-01-01T00:00:00Z');

const compiled = (given: Record<string, unknown>): ReturnType<typeof compileTrigger> =>
  compileTrigger({ id: 't', timezone: 'UTC', misfire: 'fire-once', params: {}, ...given } as TriggerDefinition);

function plan(given: Record<string, unknown>, lateMs: number, most = 100): FirePlan {
  return planFires({ trigger: compiled(given), context, scheduleKey: 'a/b/t', dueMs: T0 }, T0 + lateMs, most);
}

/** Minutes after T0 and outcome of each fire, then the next one. */
function shown({ fires, next }: FirePlan): string {
  const minutes = (ms: number): number => (ms - T0) / MINUTE;
  return [
    ...fires.map(({ dueMs, outcome }) => `${minutes(dueMs)} ${outcome}`),
    `next ${next && minutes(next.dueMs)}`,
  ].join(', ');
}

const every10 = { cron: '*/10 * * * *' };

test('in time: it fires, and nothing is said', () => {
  for (const misfire of ['fire-once', 'fire-all', 'skip']) {
    const found = plan({ ...every10, misfire }, 59_000);
    assert.equal(shown(found), '0 fired, next 10');
    assert.equal(found.fires[0]?.reason, undefined);
  }
  assert.equal(shown(plan({ ...every10, misfire: 'skip' }, MINUTE)), '0 fired, next 10');
  assert.equal(shown(plan({ ...every10, misfire: 'skip' }, MINUTE + 1)), '0 misfired, next 10');
  assert.equal(shown(plan(every10, -1)), 'next 0');
});

test('fire-once: one for the latest time, and the others in its reason', () => {
  const found = plan(every10, 34 * MINUTE);
  assert.equal(shown(found), '30 fired, next 40');
  assert.deepEqual(found.fires[0]?.reason, {
    code: 'fired-late',
    message: 'stands for 4 times from 2026-01-01T00:00:00.000Z on that could not fire when they were due',
  });
  // The latest one is in time by itself.
  assert.equal(shown(plan(every10, 30 * MINUTE + 5)), '30 fired, next 40');
  const one = plan(every10, 2 * MINUTE);
  assert.deepEqual(one.fires[0]?.reason, { code: 'fired-late', message: 'it was due 2m before it could fire' });
});

test('fire-all: every one, so many at once', () => {
  const first = plan({ ...every10, misfire: 'fire-all' }, 35 * MINUTE, 3);
  assert.equal(shown(first), '0 fired, 10 fired, 20 fired, next 30');
  assert.equal(first.fires[2]?.reason?.code, 'fired-late');
  assert.equal(
    shown(plan({ ...every10, misfire: 'fire-all' }, 30 * MINUTE + 5)),
    '0 fired, 10 fired, 20 fired, 30 fired, next 40',
  );
});

test('skip: the missed ones are said in one, what is in time fires', () => {
  const found = plan({ ...every10, misfire: 'skip' }, 30 * MINUTE + 5);
  assert.equal(shown(found), '20 misfired, 30 fired, next 40');
  assert.equal(
    found.fires[0]?.reason?.message,
    '3 times from 2026-01-01T00:00:00.000Z on could not fire when they were due',
  );
  assert.equal(shown(plan({ ...every10, misfire: 'skip' }, 35 * MINUTE)), '30 misfired, next 40');
});

test('the threshold is the trigger’s own', () => {
  const given = { ...every10, misfire: 'skip', misfireThresholdMs: 25 * MINUTE };
  assert.equal(shown(plan(given, 24 * MINUTE)), '0 fired, 10 fired, 20 fired, next 30');
  assert.equal(shown(plan(given, 36 * MINUTE)), '10 misfired, 20 fired, 30 fired, next 40');
});

test('a trigger that is over has no next time', () => {
  assert.equal(shown(plan({ at: '2026-01-01T00:00' }, 5)), '0 fired, next undefined');
  assert.equal(shown(plan({ at: '2026-01-01T00:00', misfire: 'skip' }, 5 * MINUTE)), '0 misfired, next undefined');
  assert.equal(shown(plan({ ...every10, end: '2026-01-01T00:20' }, 90 * MINUTE)), '20 fired, next undefined');
});

test('a fixed delay fires once, however late', () => {
  assert.equal(shown(plan({ fixedDelayMs: 1000 }, 90 * MINUTE)), '0 fired, next undefined');
});

test('ten years of a trigger of every 100 ms are passed over at once', () => {
  const lateMs = 10 * 365 * 86_400_000 + 30;
  const found = plan({ fixedRateMs: 100 }, lateMs);
  assert.equal(found.fires[0]?.dueMs, T0 + lateMs - 30);
  assert.match(found.fires[0]?.reason?.message ?? '', /^stands for more than 1000 times/);
  const skipped = plan({ fixedRateMs: 100, misfire: 'skip' }, lateMs, 1000);
  assert.equal(skipped.fires[0]?.dueMs, T0 + lateMs - 30 - MINUTE);
  assert.equal(skipped.fires.length, 601);
});

test('a jitter longer than the period hides no time that can still fire, however many were missed', () => {
  const given = { fixedRateMs: MINUTE, jitterMs: 60 * MINUTE, misfire: 'skip' };
  const at = (dueMs: number): number => dueMs + jitterOf(60 * MINUTE, 'a/b/t', dueMs);
  for (let minutes = 1200; minutes < 1300; minutes += 5) {
    const nowMs = T0 + minutes * MINUTE;
    const { fires, next } = plan(given, nowMs - T0, 1000);
    const fired = new Set(fires.filter(({ outcome }) => outcome === 'fired').map(({ dueMs }) => dueMs));
    for (let dueMs = T0; dueMs <= nowMs; dueMs += MINUTE) {
      const hidden = at(dueMs) >= nowMs - MINUTE && !fired.has(dueMs) && dueMs < (next?.dueMs ?? Infinity);
      assert.ok(!hidden, `${minutes} minutes on, ${new Date(dueMs).toISOString()}`);
    }
  }
});

test('whatever the rule, every time is decided about once, in order, and none of the future', () => {
  const given = fc.record({
    misfire: fc.constantFrom('fire-once', 'fire-all', 'skip'),
    misfireThresholdMs: fc.integer({ min: 0, max: 10 * MINUTE }),
    jitterMs: fc.constantFrom(0, 500, 3 * MINUTE),
    fixedRateMs: fc.constantFrom(1000, 45_000, 7 * MINUTE),
  });
  fc.assert(
    fc.property(
      given,
      fc.integer({ min: 0, max: 40 * MINUTE }),
      fc.integer({ min: 1, max: 50 }),
      (rule, lateMs, most) => {
        const trigger = compiled(rule);
        const nowMs = T0 + lateMs;
        let dueMs = nextFire(trigger, T0, context)?.dueMs ?? 0;
        let latest = T0;
        for (let round = 0; round < 5_000; round++) {
          const { fires, next } = planFires({ trigger, context, scheduleKey: 'k', dueMs }, nowMs, most);
          assert.ok(fires.length <= most + 1);
          for (const fire of fires) {
            assert.ok(fire.dueMs > latest && fire.dueMs <= nowMs);
            if (rule.misfire === 'fire-all') assert.equal(fire.dueMs, nextFire(trigger, latest, context)?.dueMs);
            latest = fire.dueMs;
          }
          assert.ok(next !== undefined && next.dueMs > latest);
          assert.deepEqual(next, nextTime(trigger, next.dueMs - 1, 'k', context));
          if (next.atMs > nowMs) return;
          assert.ok(fires.length > 0);
          dueMs = next.dueMs;
        }
        assert.fail('it never comes to an end');
      },
    ),
    { numRuns: 200 },
  );
});

test('jitter is the same for the same time, within its bound, and spread', () => {
  const counts = Array.from({ length: 10 }, () => 0);
  for (let schedule = 0; schedule < 10_000; schedule++) {
    const jitter = jitterOf(999, `demo/w${schedule}/t`, T0);
    assert.equal(jitter, jitterOf(999, `demo/w${schedule}/t`, T0));
    counts[Math.floor(jitter / 100)]!++;
  }
  assert.ok(
    counts.every((count) => count > 850 && count < 1150),
    counts.join(' '),
  );
  assert.equal(jitterOf(0, 'k', T0), 0);
  assert.ok(new Set(Array.from({ length: 100 }, (_, day) => jitterOf(30_000, 'k', T0 + day * 86_400_000))).size > 90);
});
