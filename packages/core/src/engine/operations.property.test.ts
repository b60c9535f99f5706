import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { foldHistory } from './fold.ts';
import { again, claimOne, discard, endOne, letIn, lockstep, MODES, operate, releaseOne } from './testing/lockstep.ts';
import type { Both } from './testing/lockstep.ts';
import { scenario } from './testing/scenario.ts';
import type { TaskSpec } from './testing/scenario.ts';

const OPERATIONS = ['pause', 'resume', 'stop', 'skip-task', 'skip-task', 'pause', 'resume', 'skip-task'] as const;
const WITH_OPERATORS = 80;

const drawn = fc.record({
  scenario,
  queued: fc.boolean(),
  picks: fc.array(fc.nat({ max: 1_000_000 }), { minLength: 120, maxLength: 120 }),
  generations: fc.integer({ min: 1, max: 4 }),
});

/** A failed condition ends the instance in the middle of a cascade: what was in line by then depends on an order that the model does not have. */
function orderless(specs: readonly TaskSpec[], onFailure: 'continue' | 'end'): readonly TaskSpec[] {
  if (onFailure === 'continue') return specs;
  return specs.map((spec) => (spec.condition?.includes('none') ? { ...spec, condition: undefined } : spec));
}

function turnOf(both: Both, pick: number, turn: number): boolean {
  const { it } = both;
  const task = pick % 17 === 0 ? 'zz' : `t${pick % Math.max(1, both.specs.length)}`;
  const kind = Math.floor(pick / 100) % 8;
  if (it.state.end !== undefined) return false;
  if (turn < WITH_OPERATORS && kind < 3) {
    if (it.live.state === 'queued' && kind === 0) (pick % 3 === 0 ? discard : letIn)(both);
    else operate(both, OPERATIONS[pick % OPERATIONS.length] ?? 'pause', task);
    return true;
  }
  if (it.live.state === 'queued') letIn(both);
  else if (it.active.size > 0 && (kind > 5 || it.ready.size + it.delayed.size === 0)) endOne(both, pick);
  else if (it.ready.size > 0 && (kind % 2 === 0 || it.delayed.size === 0)) claimOne(both, pick);
  else if (it.delayed.size > 0) releaseOne(both, pick);
  else operate(both, 'resume', task);
  return true;
}

test('random operations at random moments: the engine and the model agree after every step, and every instance ends', () => {
  fc.assert(
    fc.property(drawn, ({ scenario: { specs, onFailure }, queued, picks, generations }) => {
      const both = lockstep(orderless(specs, onFailure), onFailure, queued);
      for (let generation = 1; ; generation++) {
        let turn = 0;
        while (turnOf(both, (picks[turn % picks.length] ?? 0) + generation * 7 + turn, turn)) {
          checkFold(both);
          assert.ok(turn++ < 1000, 'an instance ends');
        }
        checkFold(both);
        if (generation === generations) return;
        const pick = (picks[generation] ?? 0) + turn;
        const task = pick % 19 === 0 ? 'zz' : `t${Math.floor(pick / 5) % specs.length}`;
        again(both, MODES[pick % MODES.length] ?? 'rerun', task, pick % 3 === 0);
      }
    }),
    { numRuns: 500 },
  );
});

function checkFold({ it }: Both): void {
  const folded = foldHistory(it.history, it.definition);
  assert.deepEqual(folded.violations, []);
  const { live, state } = it;
  assert.equal(folded.generation, live.generation);
  assert.equal(folded.end?.state, state.end);
  if (state.end === undefined) {
    assert.equal(folded.state, live.state);
    assert.equal(folded.unfinished, live.unfinished);
    assert.equal(folded.failures.length, live.failed);
    assert.equal(folded.failures[0] ?? folded.stopped[0], live.failure?.task);
    assert.equal(folded.ending, live.ending);
    assert.equal(folded.started, live.begun);
  } else assert.deepEqual(folded.end?.reason, state.reason);
  for (const [id, task] of folded.tasks) {
    const row = it.finished.get(id);
    const told = task.end && { state: task.end.state, attempt: task.end.attempt, attemptId: task.end.attemptId };
    assert.deepEqual(told, row && { state: row.state, attempt: row.attempt, attemptId: row.attemptId }, id);
    assert.equal(task.end?.reason?.code, row?.reason?.code, id);
    const lined = [it.ready, it.delayed, it.held].find((line) => line.has(id))?.get(id);
    const place =
      lined === undefined ? undefined : it.delayed.has(id) || lined.cause !== undefined ? 'delayed' : 'ready';
    if (place !== undefined) assert.deepEqual([task.state, task.attempt], [place, lined?.attempt], id);
    else if (live.state !== 'stopping')
      assert.ok(!['ready', 'delayed'].includes(task.state), `${id} is ${task.state} and in no line`);
  }
}
