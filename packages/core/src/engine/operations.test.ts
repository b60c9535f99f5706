import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileWorkflow } from '../definition/plan.ts';
import { runContext } from '../expression/scope.ts';
import { taskOf, workflowOf } from '../testing/definitions.ts';
import { decide } from './decide.ts';
import { foldHistory } from './fold.ts';
import { OPERATION_TABLE } from './operations.ts';
import type { Operation } from './operations.ts';
import { instanceWorld } from './testing/instance-world.ts';
import type { InstanceWorld } from './testing/instance-world.ts';
import { freshLive } from './testing/rows.ts';
import type { InstanceLiveState, TaskEndState } from './states.ts';
import type { EngineEvent, InstanceView, PriorEnd, TaskPlace } from './view.ts';

const LIVE_STATES: readonly InstanceLiveState[] = ['queued', 'running', 'pausing', 'paused', 'stopping'];
const definition = workflowOf([taskOf('a'), taskOf('b', ['a']), taskOf('c', ['a', 'b'])]);
const plan = compileWorkflow(definition);
const run = runContext({ id: '1', workflow: 'w', project: 'p', timeUtc: '2026-01-02T03:04:05Z', zone: 'UTC' });
const by = 'ann';

const EVENTS: readonly EngineEvent[] = [
  { type: 'start' },
  { type: 'pause', by },
  { type: 'resume', by },
  { type: 'stop', by },
  { type: 'set-priority', priority: 7, by },
  { type: 'discard', reason: { code: 'discarded', message: 'no place' } },
  { type: 'settle' },
  ...['a', 'c', 'zz'].flatMap((task): EngineEvent[] => [
    { type: 'skip-task', task, by },
    ...(['rerun', 'recover', 'from', 'only', 'force-success'] as const).map((mode) => ({
      type: 'begin' as const,
      mode,
      task,
      by,
    })),
  ]),
];

const prior = (state: TaskEndState): PriorEnd => ({ state, reason: null, ran: true, artifacts: false, outputs: {} });
const PLACES: readonly TaskPlace[] = ['none', 'delayed', 'ready', 'held', 'active'];

function* views(): Generator<InstanceView> {
  for (const state of LIVE_STATES)
    for (const begun of [true, false])
      for (const generation of [1, 2])
        for (const place of PLACES) {
          const live = { ...freshLive(definition, generation, false), state, begun };
          const ends = new Map([...plan.tasks.keys()].map((id) => [id, { met: 0 }]));
          const places = new Map([...plan.tasks.keys()].map((id) => [id, place]));
          const before = new Map(
            [...plan.tasks.keys()].map((id, at) => [id, prior(at === 1 ? 'failed' : 'succeeded')]),
          );
          yield { live, plan, scope: { params: {}, run }, tasks: ends, places, prior: before, activeAttempts: 1 };
        }
}

test('no operation throws in any state, alone or after another; what the table refuses is noted with its code and changes nothing', () => {
  for (const view of views())
    for (const first of EVENTS) {
      const alone = decide(view, [first]);
      assert.equal(alone.kind, 'decided');
      for (const second of EVENTS) assert.equal(decide(view, [first, second]).kind, 'decided');
      if (alone.kind !== 'decided' || !(first.type in OPERATION_TABLE) || !('by' in first)) continue;
      const answer = OPERATION_TABLE[first.type as Operation][view.live.state];
      const told = alone.changes.events.flatMap((event) => (event.type === 'operation-refused' ? [event] : []));
      if (answer.kind === 'refuse') {
        const { code, message } = answer;
        assert.deepEqual(
          told.map(({ operation, by: who, reason }) => [operation, who, reason]),
          [[first.type, by, { code, message }]],
        );
        assert.deepEqual(alone.changes.live, { ...view.live, revision: view.live.revision + 1 });
      }
      if (answer.kind === 'already') assert.deepEqual(alone.changes.events, []);
    }
});

/** Applies all commands, and ends of all attempts; `failing` fail. */
function finish(it: InstanceWorld, failing: readonly string[] = []): void {
  while (it.state.end === undefined) {
    while (it.commands.length > 0) it.step(it.commands.splice(0, 1));
    for (const task of it.ready.keys()) it.claim(task);
    if (it.active.size === 0) return;
    for (const attempt of it.active.values()) {
      const end = failing.includes(attempt.task) ? 'failed' : 'succeeded';
      it.step([{ type: 'attempt-ended', attempt, end, reason: { code: 'exit-code', message: 'ended with 1' } }]);
    }
  }
}

const endsOf = (it: InstanceWorld): Record<string, string> => Object.fromEntries(it.ends);
const carriedBy = ({ history }: InstanceWorld): readonly string[] =>
  history
    .flatMap(({ events }) => events.flatMap((event) => (event.type === 'generation-started' ? [event.carried] : [])))
    .at(-1) ?? [];
const refusedBy = ({ history }: InstanceWorld): string[] =>
  history.flatMap(({ events }) =>
    events.flatMap((event) => (event.type === 'operation-refused' ? [event.reason.code] : [])),
  );

/** a → b → d, a → c → d, and e by itself; b has failed. */
function half(): InstanceWorld {
  const it = instanceWorld(
    workflowOf([taskOf('a'), taskOf('b', ['a']), taskOf('c', ['a']), taskOf('d', ['b', 'c']), taskOf('e')]),
  );
  finish(it, ['b']);
  assert.deepEqual(endsOf(it), { a: 'succeeded', b: 'failed', c: 'succeeded', d: 'skipped', e: 'succeeded' });
  return it;
}

const BEGUN: readonly (readonly [
  Extract<EngineEvent, { type: 'begin' }>['mode'],
  string | undefined,
  readonly string[],
  string,
])[] = [
  ['rerun', undefined, [], 'succeeded'],
  ['recover', undefined, ['a', 'c', 'e'], 'succeeded'],
  ['from', 'c', ['a', 'b', 'e'], 'failed'],
  ['from', 'b', ['a', 'c', 'e'], 'succeeded'],
  ['only', 'b', ['a', 'c', 'd', 'e'], 'succeeded'],
  ['only', 'd', ['a', 'b', 'c', 'e'], 'failed'],
  ['force-success', 'b', ['a', 'c', 'e'], 'succeeded'],
];

for (const [mode, task, carried, end] of BEGUN)
  test(`${mode} ${task ?? ''}: ${carried.join(', ') || 'nothing'} carried, ${end}`, () => {
    const it = half();
    it.again(mode, task);
    finish(it);
    assert.deepEqual(carriedBy(it), carried);
    assert.equal(it.state.end, end);
    assert.deepEqual(foldHistory(it.history, it.definition).violations, []);
  });

test('run alone, a task starts although what it needs has failed, and nothing behind it does', () => {
  const it = half();
  it.again('only', 'd');
  finish(it);
  assert.equal(it.ends.get('d'), 'succeeded');
  it.again('only', 'a');
  it.step(it.commands.splice(0));
  assert.deepEqual([...it.ready.keys()], ['a']);
});

test('a success by force says who forced it, and lets go on what waited for it', () => {
  const it = half();
  it.again('force-success', 'b');
  it.step(it.commands.splice(0));
  assert.deepEqual(it.finished.get('b'), {
    task: 'b',
    state: 'succeeded',
    attempt: 0,
    reason: { code: 'forced-success', message: 'forced to success by test' },
  });
  assert.deepEqual([...it.ready.keys()], ['d']);
});

test('what cannot be forced or is not there changes nothing, and the instance ends as before', () => {
  for (const [task, code] of [
    ['a', 'task-not-failed'],
    ['d', 'task-not-failed'],
    ['zz', 'unknown-task'],
  ] as const) {
    const it = half();
    it.again('force-success', task);
    finish(it);
    assert.deepEqual([refusedBy(it), it.state.end, carriedBy(it).length], [[code], 'failed', 5]);
  }
});

test('another version: tasks are the same by name, new ones run, and run alone they do not', () => {
  const latest = workflowOf([taskOf('a'), taskOf('c', ['a']), taskOf('new', ['a']), taskOf('last', ['new', 'c'])]);
  const it = half();
  it.again('recover', undefined, { definition: latest });
  finish(it);
  assert.deepEqual(carriedBy(it), ['a', 'c']);
  assert.deepEqual([it.state.end, [...it.earlier]], ['succeeded', []]);
  const other = half();
  other.again('only', 'last', { definition: latest });
  finish(other);
  assert.deepEqual(endsOf(other), { a: 'succeeded', c: 'succeeded', new: 'skipped', last: 'succeeded' });
});

test('a recovery of what was stopped before it began still knows what had succeeded', () => {
  const it = half();
  it.again('recover', undefined, { queued: true });
  it.step([{ type: 'stop', by }]);
  assert.deepEqual([it.state.end, it.ends.get('a'), it.ends.get('b')], ['stopped', 'succeeded', 'failed']);
  it.again('recover');
  finish(it);
  assert.deepEqual([carriedBy(it), it.state.end], [['a', 'c', 'e'], 'succeeded']);
  assert.deepEqual(foldHistory(it.history, it.definition).violations, []);
});

test('carried tasks that had been stopped: nothing failed, and yet it did not succeed', () => {
  const it = instanceWorld(workflowOf([taskOf('a'), taskOf('b')]));
  it.step(it.commands.splice(0));
  it.step([{ type: 'stop', by }]);
  it.step(it.commands.splice(0));
  it.again('only', 'a');
  finish(it);
  assert.deepEqual([it.ends.get('a'), it.state.end, it.state.reason?.code], ['succeeded', 'stopped', 'task-stopped']);
});

test('a skipped task counts as one that succeeded, before its turn, in line, and while it is held', () => {
  const it = instanceWorld(definition);
  it.step(it.commands.splice(0));
  it.step([{ type: 'skip-task', task: 'b', by }]);
  assert.deepEqual([it.finished.get('b')?.reason?.code, it.ends.size], ['skipped-by-operator', 1]);
  it.step([{ type: 'pause', by }]);
  it.step([
    { type: 'skip-task', task: 'a', by },
    { type: 'skip-task', task: 'a', by },
  ]);
  while (it.commands.length > 0) it.step(it.commands.splice(0, 1));
  assert.deepEqual([endsOf(it), [...it.held.keys()], it.live.state], [{ a: 'skipped', b: 'skipped' }, ['c'], 'paused']);
  it.step([{ type: 'resume', by }]);
  finish(it);
  assert.equal(it.state.end, 'succeeded');
});

test('a worker that is faster than the one who skips keeps the task', () => {
  const it = instanceWorld(definition);
  it.step(it.commands.splice(0));
  it.meanwhile = () => it.claim('a');
  it.step([{ type: 'skip-task', task: 'a', by }]);
  while (it.commands.length > 0) it.step(it.commands.splice(0, 1));
  assert.deepEqual([refusedBy(it), it.active.size, it.ends.size], [['task-running'], 1, 0]);
});

test('many tasks are skipped in a few reads', () => {
  const many = Array.from({ length: 300 }, (_, index) =>
    taskOf(`t${index}`, index === 0 ? [] : [`t${index - 1}`, 'root']),
  );
  const it = instanceWorld(workflowOf([taskOf('root'), ...many]));
  it.step(it.commands.splice(0));
  it.state.loads = 0;
  it.step(many.slice(1).map(({ id }) => ({ type: 'skip-task', task: id, by })));
  assert.equal(it.ends.size, 299);
  assert.ok(it.state.loads <= 4, `${it.state.loads} reads`);
});

test('a priority moves what is in line; the same one again is nothing', () => {
  const view: InstanceView = {
    live: { ...freshLive(definition, 1, false), begun: true, priority: 2 },
    plan,
    scope: { params: {}, run },
    tasks: new Map(),
  };
  const decision = decide(view, [
    { type: 'set-priority', priority: 9, by },
    { type: 'set-priority', priority: 9, by },
    { type: 'set-priority', priority: 5, by },
  ]);
  assert.ok(decision.kind === 'decided');
  const { live, shiftPriority, events } = decision.changes;
  assert.deepEqual([live.priority, shiftPriority, events.length], [5, 3, 2]);
});

test('opposite buttons at once are applied in their order', () => {
  const it = instanceWorld(definition);
  it.step(it.commands.splice(0));
  it.step([
    { type: 'pause', by },
    { type: 'resume', by: 'bob' },
  ]);
  assert.deepEqual([it.live.state, [...it.ready.keys()], it.commands], ['running', ['a'], []]);
  it.step([
    { type: 'stop', by },
    { type: 'resume', by: 'bob' },
  ]);
  assert.deepEqual([it.live.state, refusedBy(it)], ['stopping', ['instance-stopping']]);
});

test('what no limit has a place for is discarded, with the reason, and begins again when it is asked to', () => {
  const it = instanceWorld(definition, { queued: true });
  it.step([{ type: 'discard', reason: { code: 'discarded', message: 'serial-discard: another one runs' } }]);
  assert.deepEqual(
    [it.state.end, it.state.reason?.code, it.finished.get('a')?.reason?.code],
    ['stopped', 'discarded', 'discarded'],
  );
  it.again('rerun');
  finish(it);
  assert.equal(it.state.end, 'succeeded');
  assert.deepEqual(foldHistory(it.history, it.definition).violations, []);
});

test('a failure that ends the instance while it is paused ends what is held, from before and from this very step', () => {
  const tasks = [
    taskOf('a'),
    taskOf('b'),
    taskOf('c'),
    taskOf('after', ['a']),
    taskOf('tidy', [], { needs: { b: ['failed'] } }),
  ];
  const it = instanceWorld(workflowOf(tasks, { onFailure: 'end' }));
  it.step(it.commands.splice(0));
  it.claim('a');
  it.claim('b');
  it.step([{ type: 'pause', by }]);
  assert.deepEqual([...it.held.keys()], ['c']);
  const reason = { code: 'exit-code', message: 'ended with 1' };
  it.step(
    [...it.active.values()].map((attempt) => {
      return { type: 'attempt-ended', attempt, end: attempt.task === 'a' ? 'succeeded' : 'failed', reason };
    }),
  );
  while (it.commands.length > 0) it.step(it.commands.splice(0, 1));
  assert.deepEqual(endsOf(it), { a: 'succeeded', b: 'failed', c: 'skipped', after: 'skipped' });
  assert.deepEqual([[...it.held.keys()], it.live.state], [['tidy'], 'paused']);
  it.step([{ type: 'resume', by }]);
  finish(it);
  assert.deepEqual([it.state.end, it.ends.get('tidy')], ['failed', 'succeeded']);
  assert.deepEqual(foldHistory(it.history, it.definition).violations, []);
});

test('a broadcast that is paused hands over no more, holds its retries, and goes on where it was', () => {
  const retry = { max: 1, delayMs: 10, backoff: 'fixed' as const, maxDelayMs: 10 };
  const it = instanceWorld(workflowOf([taskOf('b', [], { broadcast: { parallel: 1, maxFailed: 0 }, retry })]));
  for (const name of ['1', '2']) it.workers.push({ incarnation: name, worker: `w${name}` });
  it.step(it.commands.splice(0));
  const handed = () => [...it.active.values()].filter(({ state }) => state !== 'bound');
  const end = (how: 'succeeded' | 'failed') =>
    it.step(
      handed().map((attempt) => ({ type: 'attempt-ended', attempt, end: how, reason: { code: 'x', message: 'x' } })),
    );
  it.step([{ type: 'pause', by }]);
  assert.equal(handed().length, 1, 'what runs goes on');
  while (it.commands.length > 0) it.step(it.commands.splice(0, 1));
  end('failed');
  assert.deepEqual([handed(), it.broadcasts.get('b')?.waiting, it.live.state], [[], 2, 'paused']);
  it.step([{ type: 'skip-task', task: 'b', by }]);
  assert.deepEqual(refusedBy(it), ['task-running']);
  it.step([{ type: 'resume', by }]);
  for (let turn = 0; turn < 2; turn++) end('succeeded');
  assert.deepEqual([it.state.end, it.finishedSubtasks.length], ['succeeded', 2]);
  assert.deepEqual(foldHistory(it.history, it.definition).violations, []);
});

test('a success by force lets go on what onFailure: end had ended elsewhere, unless another task had failed too', () => {
  const tasks = [
    taskOf('a'),
    taskOf('b', ['a']),
    taskOf('slow', [], { delayMs: 5 }),
    taskOf('behind', ['slow']),
    taskOf('z'),
  ];
  for (const alsoFailed of [false, true]) {
    const it = instanceWorld(workflowOf(tasks, { onFailure: 'end' }));
    it.step(it.commands.splice(0));
    it.claim('a');
    it.claim('z');
    for (const [task, end] of [
      ['z', alsoFailed ? 'failed' : 'succeeded'],
      ['a', 'failed'],
    ] as const) {
      const attempt = [...it.active.values()].find((one) => one.task === task) ?? assert.fail();
      it.step([{ type: 'attempt-ended', attempt, end }]);
    }
    while (it.commands.length > 0) it.step(it.commands.splice(0, 1));
    assert.deepEqual([it.state.end, it.finished.get('slow')?.reason?.code], ['failed', 'failure-ends-instance']);
    it.again('force-success', 'a');
    it.step(it.commands.splice(0));
    assert.deepEqual([[...it.ready.keys()], [...it.delayed.keys()]], [['b'], alsoFailed ? [] : ['slow']]);
  }
});
