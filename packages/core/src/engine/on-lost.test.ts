import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileWorkflow } from '../definition/plan.ts';
import type { TaskDefinition } from '../definition/model.ts';
import { runContext } from '../expression/scope.ts';
import { taskOf, workflowOf } from '../testing/definitions.ts';
import { decide } from './decide.ts';
import type { InstanceChanges } from './changes.ts';
import type { AttemptEnded } from './view.ts';

const run = runContext({ id: '1', workflow: 'w', project: 'p', timeUtc: '2026-01-02T03:04:05Z', zone: 'UTC' });

/** What follows from one end of attempt `attempt` of a task that was lost `losses` times before. */
function after(
  more: Partial<TaskDefinition>,
  attempt: number,
  losses: number,
  said: Omit<AttemptEnded, 'type' | 'attempt'>,
  handedBack: readonly number[] = [],
): InstanceChanges {
  const plan = compileWorkflow(workflowOf([taskOf('a', [], more)]));
  const live = {
    id: '1',
    versionId: '1',
    generation: 1,
    revision: 3,
    state: 'running' as const,
    begun: true,
    endedAhead: false,
    unfinished: 1,
    failed: 0,
    ending: false,
    hasArtifacts: false,
    failure: null,
    priority: 0,
  };
  const active = { id: '7', task: 'a', attempt, losses, state: 'running' as const, killReason: null };
  const view = { live, plan, scope: { params: {}, run }, tasks: new Map(), handedBack: new Map([['a', handedBack]]) };
  const decision = decide(view, [{ type: 'attempt-ended', attempt: active, ...said }]);
  assert.ok(decision.kind === 'decided');
  return decision.changes;
}

test('onLost: fail ends the task with the first loss, whatever its retries', () => {
  const retry = { max: 5, delayMs: 0, backoff: 'fixed' as const, maxDelayMs: 0 };
  const { finished, ready, delayed } = after({ onLost: { retries: 0 }, retry }, 1, 0, { end: 'lost' });
  assert.deepEqual([ready, delayed], [[], []]);
  assert.equal(finished[0]?.state, 'failed');
  assert.deepEqual(finished[0]?.reason, { code: 'worker-lost', message: 'lost with its worker' });
});

test('losses and failures are counted apart', () => {
  const more = { onLost: { retries: 1 }, retry: { max: 1, delayMs: 0, backoff: 'fixed' as const, maxDelayMs: 0 } };
  // Lost once already: one failure is still left to it, another loss is not.
  assert.deepEqual(after(more, 2, 1, { end: 'failed' }).ready, [{ task: 'a', attempt: 3, losses: 1 }]);
  assert.equal(after(more, 2, 1, { end: 'lost' }).finished[0]?.state, 'failed');
  // Failed once: the first loss is still replaced.
  assert.equal(after(more, 2, 0, { end: 'lost' }).ready[0]?.losses, 1);
});

test('without onLost an attempt is replaced three times', () => {
  for (const losses of [0, 1, 2]) assert.equal(after({}, losses + 1, losses, { end: 'lost' }).finished.length, 0);
  const { finished } = after({}, 4, 3, { end: 'lost', reason: { code: 'worker-lost', message: 'worker w1: left' } });
  assert.equal(finished[0]?.reason?.message, 'lost with its worker 4 times: worker w1: left');
});

test('a worker that stops what it runs has lost it; a task that ran too long has failed', () => {
  const more = { onLost: { retries: 0 }, retry: { max: 1, delayMs: 0, backoff: 'fixed' as const, maxDelayMs: 0 } };
  assert.equal(after(more, 1, 0, { end: 'stopped' }).finished[0]?.state, 'failed');
  assert.equal(after(more, 1, 0, { end: 'failed' }).ready.length, 1);
});

test('what a draining worker hands back runs again at once, however often; never with onLost: fail', () => {
  const reason = { code: 'worker-shutdown', message: 'the worker was shutting down' };
  assert.deepEqual(after({}, 9, 8, { end: 'lost', reason }).ready, [{ task: 'a', attempt: 10, losses: 9 }]);
  const never = after({ onLost: { retries: 0 } }, 1, 0, { end: 'lost', reason });
  assert.equal(never.finished[0]?.state, 'failed');
});

test('what was handed back uses up no loss', () => {
  // Three restarts of workers and then, for the first time, the death of one.
  assert.equal(after({}, 4, 3, { end: 'lost' }, [1, 2, 3]).delayed[0]?.attempt, 5);
  assert.equal(after({}, 7, 6, { end: 'lost' }, [1, 3, 5]).finished[0]?.state, 'failed');
  assert.equal(after({ onLost: { retries: 1 } }, 2, 1, { end: 'lost' }, [1]).finished.length, 0);
});
