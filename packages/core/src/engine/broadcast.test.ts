import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BroadcastDefinition, TaskDefinition } from '../definition/model.ts';
import { taskOf, workflowOf } from '../testing/definitions.ts';
import { foldHistory } from './fold.ts';
import type { AttemptEnd } from './states.ts';
import { instanceWorld } from './testing/instance-world.ts';
import type { InstanceWorld } from './testing/instance-world.ts';
import type { ActiveAttempt, AttemptEnded } from './view.ts';

const STEP = { uses: 'shell', with: { script: 'true' }, env: {} };

const broadcast = fc.record({
  before: fc.boolean(),
  after: fc.boolean(),
  parallel: fc.constantFrom(undefined, 1, 2, 3),
  maxFailed: fc.integer({ min: 0, max: 3 }),
  retries: fc.integer({ min: 0, max: 2 }),
  delayed: fc.boolean(),
  accepts: fc.constantFrom(['succeeded'] as const, ['succeeded', 'failed', 'skipped'] as const),
});
type Spec = typeof broadcast extends fc.Arbitrary<infer T> ? T : never;

const scenario = fc.record({
  specs: fc.array(broadcast, { minLength: 1, maxLength: 3 }),
  chained: fc.boolean(),
  onFailure: fc.constantFrom('continue' as const, 'end' as const),
  workers: fc.integer({ min: 0, max: 5 }),
  picks: fc.array(fc.nat(), { minLength: 100, maxLength: 100 }),
  stopAt: fc.option(fc.nat({ max: 40 }), { nil: undefined }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

function broadcastTask(id: string, needs: TaskDefinition['needs'], spec: Spec): TaskDefinition {
  const { before, after, parallel, maxFailed, retries, delayed } = spec;
  const definition: BroadcastDefinition = {
    ...(before ? { before: STEP } : {}),
    ...(after ? { after: STEP } : {}),
    ...(parallel === undefined ? {} : { parallel }),
    maxFailed,
  };
  return taskOf(id, [], {
    needs,
    broadcast: definition,
    delayMs: delayed ? 5 : 0,
    retry: { max: retries, delayMs: 10, backoff: 'fixed', maxDelayMs: 100 },
  });
}

/** Broadcasts after each other or side by side, with an ordinary task before and one behind that takes whatever they end as. */
function worldOf({ specs, chained, onFailure, workers }: Scenario): InstanceWorld {
  const tasks = [taskOf('root')];
  for (const [index, spec] of specs.entries()) {
    const need = chained && index > 0 ? `b${index - 1}` : 'root';
    tasks.push(broadcastTask(`b${index}`, { [need]: spec.accepts }, spec));
  }
  const any = ['succeeded', 'failed', 'skipped', 'stopped'] as const;
  tasks.push(taskOf('last', [], { needs: Object.fromEntries(specs.map((_, index) => [`b${index}`, any])) }));
  const it = instanceWorld(workflowOf(tasks, { onFailure }));
  for (let index = 0; index < workers; index++)
    it.workers.push({ incarnation: String(100 + index), worker: `w${index}` });
  return it;
}

const ENDS: readonly AttemptEnd[] = ['succeeded', 'succeeded', 'succeeded', 'failed', 'failed', 'stopped'];

interface Watched {
  readonly it: InstanceWorld;
  readonly dead: Set<string>;
  /** Task and incarnation → the attempts that its worker began. */
  readonly ran: Map<string, number[]>;
}

/** The end of an attempt as its worker would report it, or as its death leaves it. */
function endOf({ it, dead }: Watched, attempt: ActiveAttempt, pick: number): AttemptEnded {
  const current = it.active.get(attempt.id) ?? attempt;
  const reason = { code: 'x', message: 'x' };
  if (attempt.subtask !== undefined && dead.has(attempt.subtask.incarnation))
    return { type: 'attempt-ended', attempt: current, end: 'lost', reason };
  if (current.killReason !== null && pick % 4 !== 0) return { type: 'attempt-ended', attempt: current, end: 'stopped' };
  const end = ENDS[pick % ENDS.length] ?? 'succeeded';
  return {
    type: 'attempt-ended',
    attempt: current,
    end,
    ...(end === 'succeeded' ? { outputs: { n: 1 } } : { reason }),
  };
}

function drive(watched: Watched, { picks, stopAt }: Scenario): void {
  const { it, dead } = watched;
  for (let turn = 0; it.state.end === undefined; turn++) {
    assert.ok(turn < 3000, 'an instance ends');
    if (turn === stopAt) it.commands.push({ type: 'stop', by: 'test' });
    const pick = (picks[turn % picks.length] ?? 0) + turn;
    noteRuns(watched);
    // Only what was handed over can end by its worker's word; what is bound can only be lost.
    const reachable = [...it.active.values()].filter(
      ({ state, subtask }) => state !== 'bound' || (subtask !== undefined && dead.has(subtask.incarnation)),
    );
    const moves: (() => void)[] = [
      ...it.commands.map((command) => () => it.step(it.commands.splice(it.commands.indexOf(command), 1))),
      ...[...it.ready.keys()].map((task) => () => it.claim(task)),
      ...[...it.delayed.keys()].map((task) => () => it.release(task)),
    ];
    if (reachable.length > 0) {
      const batch = reachable.slice(pick % reachable.length, (pick % reachable.length) + 1 + (pick % 4));
      moves.push(() => it.step(batch.map((attempt, index) => endOf(watched, attempt, pick + index))));
    }
    assert.ok(moves.length > 0, 'something always drives an instance that has not ended');
    if (pick % 11 === 0 && it.workers.length > 0)
      dead.add(it.workers.splice(pick % it.workers.length, 1)[0]?.incarnation ?? '');
    if (pick % 13 === 0 && turn < 50) it.workers.push({ incarnation: String(200 + turn), worker: `late${turn}` });
    moves[pick % moves.length]?.();
  }
}

/** What a live worker has been handed it runs; an attempt of its own each time. */
function noteRuns({ it, ran, dead }: Watched): void {
  for (const { state, subtask, task, attempt } of it.active.values()) {
    if (subtask === undefined || state === 'bound') continue;
    const key = `${task}/${subtask.incarnation}`;
    const attempts = ran.get(key) ?? [];
    const last = attempts.at(-1);
    if (dead.has(subtask.incarnation)) {
      assert.ok(last === undefined || last === attempt, 'a dead worker gets no other attempt');
      continue;
    }
    if (attempts.at(-1) !== attempt) ran.set(key, [...attempts, attempt]);
  }
}

/** The history tells the ends of all subtasks, and breaks no rule. */
function checkFold(it: InstanceWorld): void {
  const folded = foldHistory(it.history, it.definition);
  assert.deepEqual(folded.violations, []);
  for (const [id, { subtasks = [] }] of folded.tasks) {
    const rows = it.finishedSubtasks.filter(({ task }) => task === id);
    assert.equal(subtasks.length, rows.length, id);
    for (const { incarnation, end, attempts } of subtasks) {
      const row = rows.find((one) => one.incarnation === incarnation);
      const { state, attempt, attemptId = row?.attemptId, reason } = end ?? {};
      assert.deepEqual(
        { state, attempt, attemptId, reason },
        { state: row?.state, attempt: row?.attempt, attemptId: row?.attemptId, reason: row?.reason },
      );
      const earlier = it.earlier.filter((one) => attempts.some(({ attemptId: token }) => token === one.attemptId));
      assert.deepEqual(
        attempts
          .filter((one) => one.attemptId !== row?.attemptId)
          .map((one) => [one.attempt, one.attemptId, one.state]),
        earlier.map((one) => [one.attempt, one.attemptId, one.state]),
      );
    }
  }
}

test('random broadcasts end, every subtask once, and on no other worker than its own', () => {
  fc.assert(
    fc.property(scenario, (drawn) => {
      const it = worldOf(drawn);
      const watched: Watched = { it, dead: new Set(), ran: new Map() };
      drive(watched, drawn);
      assert.deepEqual(
        [it.ready.size, it.delayed.size, it.active.size, it.broadcasts.size],
        [0, 0, 0, 0],
        'nothing is left',
      );
      assert.equal(it.ends.size, drawn.specs.length + 2, 'every task has ended');
      checkFold(it);
      const keys = it.finishedSubtasks.map(({ task, incarnation }) => `${task}/${incarnation}`);
      assert.equal(new Set(keys).size, keys.length, 'a subtask ends once');
      for (const [key, attempts] of watched.ran) {
        assert.ok(keys.includes(key), `${key} has an end`);
        assert.deepEqual(
          attempts,
          attempts.toSorted((a, b) => a - b),
          'attempts of a subtask follow each other',
        );
        assert.equal(new Set(attempts).size, attempts.length, 'each attempt runs once');
      }
    }),
    { numRuns: 600 },
  );
});

test('a broadcast is as its subtasks are', () => {
  fc.assert(
    fc.property(scenario, (drawn) => {
      const { stopAt: _stopAt, ...rest } = drawn;
      const given = { ...rest, onFailure: 'continue' as const, stopAt: undefined };
      const it = worldOf(given);
      drive({ it, dead: new Set(), ran: new Map() }, given);
      for (const [index, spec] of drawn.specs.entries()) {
        const own = it.finishedSubtasks.filter(({ task }) => task === `b${index}`);
        const bad = own.filter(({ state }) => state === 'failed' || state === 'lost').length;
        const end = it.finished.get(`b${index}`);
        if (own.length > 0 && bad > spec.maxFailed) {
          assert.deepEqual([end?.state, end?.reason?.code], ['failed', 'broadcast-failed']);
        } else if (own.length > 0) {
          assert.ok(
            own.every(({ state }) => state !== 'skipped' && state !== 'stopped'),
            'all of them ran',
          );
          if (!spec.after) assert.deepEqual([end?.state, end?.outputs?.['total']], ['succeeded', own.length]);
        } else if (end?.state === 'failed')
          assert.ok(['no-workers', 'x', 'worker-lost'].includes(end.reason?.code ?? ''));
      }
    }),
    { numRuns: 400 },
  );
});

test('what a decision had handed over is taken back when it ends the instance by the way', () => {
  const spec = { before: false, after: false, maxFailed: 0, delayed: false, accepts: ['succeeded'] as const };
  const b0 = broadcastTask('b0', { root: ['succeeded'] }, { ...spec, parallel: undefined, retries: 0 });
  const b1 = broadcastTask('b1', { root: ['succeeded'] }, { ...spec, parallel: 1, retries: 0 });
  const b2 = broadcastTask('b2', { root: ['succeeded'] }, { ...spec, parallel: undefined, retries: 1 });
  const it = instanceWorld(workflowOf([taskOf('root'), b0, b1, b2], { onFailure: 'end' }));
  it.workers.push({ incarnation: '1', worker: 'one' }, { incarnation: '2', worker: 'two' });
  it.step(it.commands.splice(0));
  it.claim('root');
  it.step([...it.active.values()].map((attempt) => ({ type: 'attempt-ended', attempt, end: 'succeeded' })));
  const of = (task: string) => [...it.active.values()].filter((one) => one.task === task && one.state !== 'bound');
  const ended = (task: string, end: AttemptEnd, most = 9): AttemptEnded[] =>
    of(task)
      .slice(0, most)
      .map((attempt) => ({ type: 'attempt-ended', attempt, end }));
  assert.deepEqual([of('b0').length, of('b1').length, of('b2').length], [2, 1, 2]);
  it.step([...ended('b1', 'succeeded'), ...ended('b2', 'failed', 1), ...ended('b0', 'failed')]);
  assert.equal(it.ends.get('b0'), 'failed');
  // One subtask of b1 had succeeded, the other was to follow it; the failure of b2's was to be tried again.
  assert.equal(it.ends.get('b1'), 'stopped');
  assert.deepEqual(
    it.finishedSubtasks.map(({ task, incarnation, state }) => `${task}/${incarnation} ${state}`).toSorted(),
    ['b0/1 failed', 'b0/2 failed', 'b1/1 succeeded', 'b1/2 stopped', 'b2/1 failed'],
  );
  assert.deepEqual([of('b2').length, of('b2')[0]?.killReason], [1, 'stop']);
});

test('the limit of failures keeps what waits from starting, and lets what runs finish', () => {
  const task = taskOf('b', [], { broadcast: { parallel: 2, maxFailed: 0 } });
  const it = instanceWorld(workflowOf([task]));
  for (const index of [1, 2, 3, 4]) it.workers.push({ incarnation: String(index), worker: `w${index}` });
  it.step(it.commands.splice(0));
  const [first, second] = [...it.active.values()];
  assert.ok(first !== undefined && second !== undefined);
  it.step([{ type: 'attempt-ended', attempt: first, end: 'failed' }]);
  assert.deepEqual([it.active.size, it.ends.size], [1, 0]);
  it.step([{ type: 'attempt-ended', attempt: second, end: 'succeeded' }]);
  assert.equal(it.finished.get('b')?.reason?.message, '1 failed of 4 subtasks; none may');
  assert.deepEqual(it.finished.get('b')?.outputs, { total: 4, succeeded: 1, failed: 1, lost: 0 });
  assert.deepEqual(it.finishedSubtasks.map(({ incarnation, state }) => `${incarnation} ${state}`).toSorted(), [
    '1 failed',
    '2 succeeded',
    '3 skipped',
    '4 skipped',
  ]);
});

test('outputs of before are kept, and after is numbered on and retried by itself', () => {
  const retry = { max: 1, delayMs: 0, backoff: 'fixed' as const, maxDelayMs: 0 };
  const task = taskOf('b', [], { retry, broadcast: { before: STEP, after: STEP, maxFailed: 1 } });
  const it = instanceWorld(workflowOf([task]));
  it.workers.push({ incarnation: '1', worker: 'one' }, { incarnation: '2', worker: 'two' });
  const end = (end: AttemptEnd): void =>
    it.step([...it.active.values()].slice(0, 1).map((attempt) => ({ type: 'attempt-ended', attempt, end })));
  it.step(it.commands.splice(0));
  it.claim('b');
  end('failed');
  it.claim('b');
  end('succeeded');
  assert.deepEqual(
    it.earlier.map(({ attempt, state }) => `${attempt} ${state}`),
    ['1 failed', '2 succeeded'],
  );
  end('lost');
  end('succeeded');
  assert.deepEqual(it.ready.get('b'), { task: 'b', attempt: 3, losses: 0, step: 'after' });
  it.claim('b');
  end('failed');
  assert.equal(it.ends.size, 0, 'after has a retry of its own');
  it.claim('b');
  end('succeeded');
  assert.deepEqual([it.finished.get('b')?.state, it.finished.get('b')?.attempt], ['succeeded', 4]);
});

test('without a worker a broadcast fails at once, and says so', () => {
  const it = instanceWorld(workflowOf([taskOf('b', [], { broadcast: { maxFailed: 0 } })]));
  it.step(it.commands.splice(0));
  assert.equal(it.finished.get('b')?.reason?.code, 'no-workers');
  assert.equal(it.state.end, 'failed');
});
