import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { taskOf, workflowOf } from '../testing/definitions.ts';
import { foldHistory } from './fold.ts';
import type { FoldedInstance, HistoryViolation } from './folded.ts';
import type { HistoryEvent } from './history.ts';
import { drive } from './testing/drive.ts';
import { instanceWorld } from './testing/instance-world.ts';
import type { InstanceWorld } from './testing/instance-world.ts';
import { definitionOf, scenario } from './testing/scenario.ts';

/** The same pairs, whatever their order. */
const sorted = (pairs: readonly (readonly [string, unknown])[]) =>
  pairs.toSorted(([one], [other]) => (one < other ? -1 : 1));

function checkRows(folded: FoldedInstance, it: InstanceWorld): void {
  assert.deepEqual(folded.violations, []);
  const live = it.instance();
  assert.equal(folded.unfinished, it.state.end === undefined ? live.unfinished : 0);
  assert.equal(folded.failures.length, live.failed);
  assert.equal(folded.failures[0], live.failure?.task);
  assert.equal(folded.ending, live.ending);
  assert.equal(folded.end?.state, it.state.end);
  if (it.state.end === undefined) assert.equal(folded.state, live.state);
  else assert.deepEqual(folded.end?.reason, it.state.reason);
  const placed = (state: string) =>
    sorted([...folded.tasks].filter(([, task]) => task.state === state).map(([id, { attempt }]) => [id, attempt]));
  const rows = (line: ReadonlyMap<string, { readonly attempt: number }>) =>
    sorted([...line].map(([id, { attempt }]) => [id, attempt]));
  // What was withdrawn is in no line any more; its end is a command that waits.
  if (live.state === 'running') {
    assert.deepEqual(placed('delayed'), rows(it.delayed));
    assert.deepEqual(placed('ready'), rows(it.ready));
  }
  const active = [...folded.tasks].flatMap(([id, { active: one }]) =>
    one === undefined ? [] : [[one.attemptId, id] as const],
  );
  assert.deepEqual(sorted(active), sorted([...it.active].map(([id, { task }]) => [id, task])));
  for (const [id, task] of folded.tasks) {
    const row = it.finished.get(id);
    const told = task.end && { reason: undefined, attemptId: undefined, ...task.end };
    assert.deepEqual(
      told,
      row && { state: row.state, attempt: row.attempt, attemptId: row.attemptId, reason: row.reason },
    );
    const before = task.attempts.filter(
      (attempt) => attempt !== task.active && attempt.attemptId !== task.end?.attemptId,
    );
    assert.deepEqual(
      before.map(({ attempt, attemptId, state, reason }) => ({ attempt, attemptId, state, reason })),
      it.earlier
        .filter((one) => one.task === id)
        .map(({ attempt, attemptId, state, reason }) => ({ attempt, attemptId, state, reason })),
    );
  }
}

test('folding the history of a random instance gives its rows, whenever it is looked at', () => {
  fc.assert(
    fc.property(scenario, fc.option(fc.nat({ max: 30 }), { nil: Infinity }), ({ specs, order, onFailure }, stopAt) => {
      const definition = definitionOf(specs, onFailure);
      const it = instanceWorld(definition);
      drive(it, specs, order, stopAt, () => {
        const withdrawing = it.commands.some(({ type }) => type === 'withdrawn' || type === 'settle');
        if (!withdrawing) checkRows(foldHistory(it.history, definition), it);
      });
      checkRows(foldHistory(it.history, definition), it);
    }),
    { numRuns: 200 },
  );
});

const definition = workflowOf([taskOf('a'), taskOf('b', ['a'])]);
const CREATED: HistoryEvent = { type: 'instance-created', by: 't', version: '1' };
const STARTED: HistoryEvent = { type: 'instance-started', tasks: 2 };
const ready = (task: string, attempt = 1): HistoryEvent => ({ type: 'task-ready', task, attempt });
const dispatched = (task: string, attemptId: string, attempt = 1): HistoryEvent => ({
  type: 'task-dispatched',
  task,
  attempt,
  attemptId,
  incarnation: '1',
});
const ended = (task: string, attemptId: string, attempt = 1): HistoryEvent => ({
  type: 'task-ended',
  task,
  state: 'succeeded',
  attempt,
  attemptId,
});
const lost = (task: string, attemptId: string, attempt = 1): HistoryEvent => ({
  type: 'attempt-ended',
  task,
  attempt,
  attemptId,
  end: 'lost',
});
const RUN: readonly HistoryEvent[] = [CREATED, STARTED, ready('a'), dispatched('a', '5')];
const DONE: readonly HistoryEvent[] = [
  ...RUN,
  ended('a', '5'),
  ready('b'),
  dispatched('b', '6'),
  ended('b', '6'),
  { type: 'instance-ended', state: 'succeeded' },
];

const FORBIDDEN: readonly (readonly [string, readonly HistoryEvent[], HistoryViolation['code']])[] = [
  ['a task before the instance', [STARTED, ready('a')], 'no-creation'],
  ['a second creation', [...RUN, CREATED], 'created-twice'],
  ['a second start: two generations mixed', [...RUN, STARTED], 'illegal-transition'],
  ['a start of a new generation after the end', [...DONE, STARTED], 'event-after-end'],
  ['an event after the end', [...DONE, ready('a', 2)], 'event-after-end'],
  ['an attempt that ends twice', [...RUN, lost('a', '5'), ready('a', 2), ended('a', '5')], 'attempt-ended-twice'],
  ['a dispatch while another attempt is active', [...RUN, dispatched('a', '6')], 'second-active-attempt'],
  ['a line while an attempt is active', [...RUN, ready('a', 2)], 'second-active-attempt'],
  ['another token', [...RUN, ended('a', '7')], 'wrong-attempt'],
  ['an attempt that was not in line', [CREATED, STARTED, ready('a'), dispatched('a', '5', 2)], 'wrong-attempt'],
  ['a token that does not grow', [...RUN, lost('a', '5'), ready('a', 2), dispatched('a', '4', 2)], 'token-not-new'],
  ['a task before what it needs', [CREATED, STARTED, ready('b')], 'need-not-ended'],
  ['a task after its end', [...RUN, ended('a', '5'), ready('a', 2)], 'illegal-transition'],
  ['an instance with open tasks', [...RUN, { type: 'instance-ended', state: 'stopped' }], 'ended-too-early'],
  [
    'an end with an active attempt',
    [...RUN, { type: 'stop-requested', by: 't' }, { type: 'remaining-ended', state: 'stopped' }],
    'ended-too-early',
  ],
  ['an attempt that nothing follows', [...RUN, lost('a', '5')], 'attempt-without-successor'],
  ['a task of another version', [CREATED, ready('z')], 'unknown-task'],
  [
    'a failed end without a failed task',
    [...DONE.slice(0, -1), { type: 'instance-ended', state: 'failed' }],
    'wrong-count',
  ],
];

for (const [what, events, code] of FORBIDDEN) {
  test(`${what} is a violation: ${code}`, () => {
    const { violations } = foldHistory([{ id: '1', events }], definition);
    assert.ok(
      violations.some((violation) => violation.code === code),
      JSON.stringify(violations),
    );
  });
}

test('a history that keeps the rules has none; what a repair writes is right', () => {
  assert.deepEqual(foldHistory([{ id: '1', events: DONE }], definition).violations, []);
  const repair: HistoryEvent = { type: 'repaired', rule: 'task-without-driver', by: 'sweeper', message: 'm' };
  const entries = [
    { id: '1', events: RUN },
    { id: '2', events: [repair, lost('a', '5'), ready('a', 2)] },
    { id: '3', events: [dispatched('a', '6', 2)] },
  ];
  const folded = foldHistory(entries, definition);
  assert.deepEqual(folded.violations, []);
  assert.equal(folded.tasks.get('a')?.active?.attemptId, '6');
});

const wide = workflowOf([taskOf('f', [], { broadcast: { maxFailed: 0 } })]);
const SPREAD: readonly HistoryEvent[] = [
  CREATED,
  { type: 'instance-started', tasks: 1 },
  {
    type: 'broadcast-started',
    task: 'f',
    workers: [
      { incarnation: '10', worker: 'w1' },
      { incarnation: '11', worker: 'w2' },
    ],
  },
];
const handed = (subtask: number, incarnation: string, attemptId: string, attempt = 1): HistoryEvent => ({
  type: 'task-dispatched',
  task: 'f',
  attempt,
  attemptId,
  incarnation,
  subtask,
});
const part = (subtask: number, incarnation: string, attemptId: string, state: 'succeeded' | 'lost'): HistoryEvent => ({
  type: 'subtask-ended',
  task: 'f',
  subtask,
  incarnation,
  state,
  attempt: 1,
  attemptId,
});

const FORBIDDEN_BROADCASTS: readonly (readonly [string, readonly HistoryEvent[], HistoryViolation['code']])[] = [
  ['a subtask on the worker of another', [...SPREAD, handed(0, '11', '5')], 'wrong-worker'],
  [
    'a lost subtask that is handed over again',
    [...SPREAD, handed(0, '10', '5'), part(0, '10', '5', 'lost'), handed(0, '10', '6', 2)],
    'illegal-transition',
  ],
  ['a subtask for a worker that came later', [...SPREAD, handed(2, '12', '5')], 'wrong-worker'],
  ['workers that are chosen twice', [...SPREAD, ...SPREAD.slice(2)], 'illegal-transition'],
  ['two attempts of a subtask', [...SPREAD, handed(0, '10', '5'), handed(0, '10', '6', 2)], 'second-active-attempt'],
  ['a success of what never ran', [...SPREAD, part(0, '10', '5', 'succeeded')], 'illegal-transition'],
  [
    'an end while a subtask is open',
    [
      ...SPREAD,
      handed(0, '10', '5'),
      part(0, '10', '5', 'succeeded'),
      { type: 'task-ended', task: 'f', state: 'succeeded', attempt: 0 },
    ],
    'ended-too-early',
  ],
  [
    'a wrong count of what was withdrawn',
    [
      ...SPREAD,
      { type: 'subtasks-withdrawn', task: 'f', count: 1, state: 'skipped', reason: { code: 'x', message: 'x' } },
    ],
    'wrong-count',
  ],
];

for (const [what, events, code] of FORBIDDEN_BROADCASTS) {
  test(`${what} is a violation: ${code}`, () => {
    const { violations } = foldHistory([{ id: '1', events }], wide);
    assert.ok(
      violations.some((violation) => violation.code === code),
      JSON.stringify(violations),
    );
  });
}
