import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ALREADY_SUCCEEDED, plannedRuns, turnBackfill } from './turn.ts';
import type { BackfillCounts, BackfillEnd, BackfillRun, BackfillRunState, BackfillView, RunParams } from './turn.ts';

type Members = BackfillView['members'];

/** A backfill as the store keeps it: all runs, and a turn that is given only the times that it is about. */
function world(members: Members, times: number, options: Pick<BackfillView, 'parallel' | 'onFailure'>) {
  const width = members.length;
  const runs = Array.from({ length: times * width }, (_, index): BackfillRun => {
    const needs = members[index % width]?.needs ?? [];
    return { seq: index + 1, state: needs.length === 0 ? 'pending' : 'waiting' };
  });
  let state: BackfillView['state'] = 'running';
  const count = (of: BackfillRunState): number => runs.filter((run) => run.state === of).length;
  const counts = (): BackfillCounts => ({
    waiting: count('waiting'),
    pending: count('pending'),
    running: count('running'),
    succeeded: count('succeeded'),
    failed: count('failed'),
    stopped: count('stopped'),
    skipped: count('skipped'),
  });
  const set = (seq: number, to: Partial<BackfillRun>): void => {
    const { seq: number, ...rest } = runs[seq - 1] ?? { seq, state: 'pending' as const };
    runs[seq - 1] = { ...rest, ...to, seq: number };
  };
  const place = (seq: number): number => Math.floor((seq - 1) / width);
  return {
    runs,
    set,
    counts,
    state: () => state,
    setState: (to: BackfillView['state']): void => void (state = to),
    turn: (ends: readonly BackfillEnd[], paramsOf: (seq: number) => RunParams = () => ({ params: {} }), room = 100) => {
      const next = runs.filter((run) => run.state === 'pending').slice(0, options.parallel);
      const places = new Set([...next, ...ends].map(({ seq }) => place(seq)));
      const about = runs.filter(({ seq }) => places.has(place(seq)));
      const turned = turnBackfill(
        { ...options, room, state, again: false, counts: counts(), members },
        about,
        ends,
        paramsOf,
      );
      for (const { seq } of turned.starts) set(seq, { state: 'running' });
      for (const { seq, state: to, reason } of turned.changes) set(seq, { state: to, ...(reason && { reason }) });
      if (turned.halted !== undefined)
        for (const { seq, state: now } of runs)
          if (now === 'waiting' || now === 'pending') set(seq, { state: 'skipped', reason: turned.halted });
      ({ state } = turned);
      assert.deepEqual(turned.counts, counts(), 'what it says of the counts is what the runs say');
      return turned;
    },
  };
}

const SINGLE: Members = [{ name: 'w', needs: [] }];
/** b and c follow a, d follows both. */
const DIAMOND: Members = [
  { name: 'a', needs: [] },
  { name: 'b', needs: [0] },
  { name: 'c', needs: [0] },
  { name: 'd', needs: [1, 2] },
];

const states = ({ runs }: ReturnType<typeof world>): string => runs.map(({ state }) => state).join(' ');

test('one time is finished with its dependents before the next one begins', () => {
  const it = world(DIAMOND, 2, { parallel: 1, onFailure: 'continue' });
  const order: number[] = [];
  let ends: BackfillEnd[] = [];
  for (let guard = 0; guard < 20 && it.state() === 'running'; guard++) {
    const { starts } = it.turn(ends);
    order.push(...starts.map(({ seq }) => seq));
    ends = starts.map(({ seq }) => ({ seq, state: 'succeeded' }));
  }
  assert.deepEqual(order, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(it.state(), 'done');
});

test('a failure leaves out what depends on it, and says on whom that was', () => {
  const it = world(DIAMOND, 1, { parallel: 4, onFailure: 'continue' });
  it.turn([]);
  it.turn([{ seq: 1, state: 'succeeded' }]);
  it.turn([{ seq: 2, state: 'failed', reason: { code: 'x', message: 'broken' } }]);
  assert.equal(states(it), 'succeeded failed running skipped');
  assert.deepEqual(it.runs[3]?.reason, { code: 'upstream-not-succeeded', message: 'b of this time failed (run 2)' });
  assert.equal(it.turn([{ seq: 3, state: 'succeeded' }]).ended, true);
});

test('a time that had succeeded counts for those that follow; one that runs elsewhere does not', () => {
  const it = world(DIAMOND.slice(0, 2), 2, { parallel: 4, onFailure: 'continue' });
  it.set(1, { there: { instanceId: '7', live: false } });
  it.set(3, { there: { instanceId: '8', live: true } });
  it.turn([]);
  assert.equal(states(it), 'skipped running skipped skipped');
  assert.equal(it.runs[0]?.reason?.code, ALREADY_SUCCEEDED);
  assert.deepEqual(it.runs[2]?.reason, {
    code: 'running-now',
    message: 'instance 8 of this time is under way already',
  });
});

test('no more start than there are ids for, however many follow at once', () => {
  const it = world(DIAMOND.slice(0, 2), 2, { parallel: 2, onFailure: 'continue' });
  it.turn([]);
  assert.equal(states(it), 'running waiting running waiting');
  const both: BackfillEnd[] = [1, 3].map((seq) => ({ seq, state: 'succeeded' }));
  assert.equal(it.turn(both, undefined, 1).starts.length, 1);
  assert.equal(states(it), 'succeeded running succeeded pending');
  assert.equal(it.turn([], undefined, 1).starts.length, 1);
});

test('what failed for want of parameters holds nobody for ever, even without room', () => {
  const it = world(DIAMOND.slice(0, 2), 2, { parallel: 1, onFailure: 'continue' });
  it.turn([], (seq) => (seq === 1 ? { reason: { code: 'p', message: 'none' } } : { params: {} }));
  assert.equal(states(it), 'failed skipped pending waiting');
  it.turn([]);
  assert.equal(states(it), 'failed skipped running waiting');
});

test('a rerun that succeeds is noted, and undoes nothing', () => {
  const it = world(DIAMOND.slice(0, 2), 1, { parallel: 1, onFailure: 'stop' });
  it.turn([]);
  const { halted, ended } = it.turn([{ seq: 1, state: 'failed' }]);
  assert.deepEqual([halted?.code, ended, states(it), it.state()], ['backfill-halted', true, 'failed skipped', 'done']);
  const again = it.turn([{ seq: 1, state: 'succeeded' }]);
  assert.deepEqual([again.ended, states(it), it.state()], [false, 'succeeded skipped', 'done']);
});

test('paused: ends are noted, nothing starts; cancelled: its last end is its end', () => {
  const it = world(SINGLE, 3, { parallel: 1, onFailure: 'continue' });
  it.turn([]);
  it.setState('paused');
  assert.deepEqual(it.turn([{ seq: 1, state: 'succeeded' }]).starts, []);
  it.setState('running');
  it.turn([]);
  it.set(3, { state: 'skipped', reason: { code: 'backfill-cancelled', message: 'x' } });
  it.setState('cancelled');
  const last = it.turn([{ seq: 2, state: 'stopped' }]);
  assert.deepEqual([last.ended, it.state(), states(it)], [true, 'cancelled', 'succeeded stopped skipped']);
  assert.equal(it.turn([]).ended, false, 'once');
});

test('runs begin as what there is already allows', () => {
  const there = (live: boolean) => ({ instanceId: '7', live });
  const planned = (of: Parameters<typeof plannedRuns>[1], again = false) =>
    plannedRuns(DIAMOND, of, again).map(({ state, reason }) => reason?.code ?? state);
  const none = undefined;
  assert.deepEqual(planned([none, none, none, none]), ['pending', 'waiting', 'waiting', 'waiting']);
  const done = there(false);
  assert.deepEqual(planned([done, none, done, none]), [ALREADY_SUCCEEDED, 'pending', ALREADY_SUCCEEDED, 'waiting']);
  assert.deepEqual(planned([done, done, done, none]).at(-1), 'pending', 'nothing is left that it would wait for');
  assert.deepEqual(planned([done, there(true), none, none], true), [
    'pending',
    'running-now',
    'waiting',
    'upstream-not-succeeded',
  ]);
  const two = planned([done, none, none, none, none, none, none, none]);
  assert.deepEqual(two.slice(4), ['pending', 'waiting', 'waiting', 'waiting'], 'each time for itself');
});

test('at random: never too many at once, dependents only after theirs, and it always ends', () => {
  const members = fc
    .array(fc.array(fc.nat({ max: 4 }), { maxLength: 3 }), { minLength: 1, maxLength: 5 })
    .map((needs) =>
      needs.map((of, at) => ({
        name: `w${at}`,
        needs: at === 0 ? [] : [...new Set([0, ...of.filter((need) => need < at)])],
      })),
    );
  const ends = fc.constantFrom<BackfillEnd['state']>('succeeded', 'succeeded', 'succeeded', 'failed', 'stopped');
  fc.assert(
    fc.property(
      members,
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 5 }),
      fc.constantFrom('stop' as const, 'continue' as const),
      fc.infiniteStream(fc.tuple(ends, fc.nat({ max: 9 }), fc.nat({ max: 19 }))),
      (width, times, parallel, onFailure, chance) => {
        const it = world(width, times, { parallel, onFailure });
        const luck = (): readonly [BackfillEnd['state'], number, number] => {
          const drawn = chance.next();
          return drawn.done === true ? ['succeeded', 0, 0] : drawn.value;
        };
        for (let guard = 0; it.state() === 'running'; guard++) {
          assert.ok(guard < 500, `it ends: ${states(it)}`);
          const running = it.runs.filter(({ state }) => state === 'running');
          assert.ok(running.length <= parallel);
          const [, which, some] = luck();
          const ended = running.slice(0, some === 0 ? running.length : 1 + (which % 3));
          for (const { seq } of it.turn(
            ended.map(({ seq }) => ({ seq, state: luck()[0] })),
            () => (luck()[2] === 1 ? { reason: { code: 'p', message: 'no' } } : { params: {} }),
          ).starts) {
            const place = (seq - 1) % width.length;
            for (const need of width[place]?.needs ?? [])
              assert.equal(it.runs[seq - 1 - place + need]?.state, 'succeeded');
          }
        }
        assert.ok(it.runs.every(({ state }) => !['waiting', 'pending', 'running'].includes(state)));
      },
    ),
    { numRuns: 400 },
  );
});
