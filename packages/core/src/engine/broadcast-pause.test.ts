import assert from 'node:assert/strict';
import { test } from 'node:test';
import { taskOf, workflowOf } from '../testing/definitions.ts';
import { foldHistory } from './fold.ts';
import { instanceWorld } from './testing/instance-world.ts';
import type { InstanceWorld } from './testing/instance-world.ts';
import type { AttemptEnd } from './states.ts';
import type { AttemptEnded } from './view.ts';

const retryOnce = { max: 1, delayMs: 10, backoff: 'fixed' as const, maxDelayMs: 10 };
const by = 'ann';

/** Two workers, and everything started. */
function begun(...args: Parameters<typeof workflowOf>): InstanceWorld {
  const it = instanceWorld(workflowOf(...args));
  it.workers.push({ incarnation: '1', worker: 'w1' }, { incarnation: '2', worker: 'w2' });
  it.step(it.commands.splice(0));
  return it;
}

function endOf(it: InstanceWorld, task: string, incarnation: string, end: AttemptEnd): AttemptEnded {
  const attempt = [...it.active.values()].find((one) => one.task === task && one.subtask?.incarnation === incarnation);
  assert.ok(attempt !== undefined);
  return { type: 'attempt-ended', attempt, end, reason: { code: 'x', message: 'x' } };
}

const subtasksOf = (it: InstanceWorld): string[] =>
  it.finishedSubtasks.map(({ task, incarnation, state }) => `${task}/${incarnation} ${state}`).toSorted();

function checkHistory(it: InstanceWorld): void {
  assert.deepEqual(foldHistory(it.history, it.definition).violations, []);
}

test('a retry that is held by the same step that fails its broadcast is a failure, and nothing of it stays bound', () => {
  const it = begun([taskOf('b', [], { broadcast: { maxFailed: 0 }, retry: retryOnce })]);
  it.step([endOf(it, 'b', '2', 'failed')]);
  it.step([{ type: 'pause', by }, endOf(it, 'b', '1', 'failed'), endOf(it, 'b', '2', 'failed')]);
  assert.deepEqual(subtasksOf(it), ['b/1 failed', 'b/2 failed']);
  assert.deepEqual([it.state.end, it.active.size], ['failed', 0]);
  checkHistory(it);
});

test('a retry that is held by the same step that ends the instance is none', () => {
  const it = begun(
    [
      taskOf('b', [], { broadcast: { maxFailed: 0 }, retry: retryOnce }),
      taskOf('c', [], { broadcast: { maxFailed: 0 } }),
      taskOf('other'),
    ],
    { onFailure: 'end' },
  );
  it.step([{ type: 'pause', by }]);
  it.step([endOf(it, 'c', '2', 'succeeded')]);
  it.step([endOf(it, 'b', '1', 'failed'), endOf(it, 'c', '1', 'failed')]);
  assert.deepEqual(subtasksOf(it), ['b/1 failed', 'c/1 failed', 'c/2 succeeded']);
  assert.deepEqual([it.broadcasts.get('b')?.running, it.broadcasts.get('b')?.waiting], [1, 0]);
  it.step([endOf(it, 'b', '2', 'stopped')]);
  while (it.commands.length > 0) it.step(it.commands.splice(0, 1));
  assert.equal(it.state.end, 'failed');
  checkHistory(it);
});

test('what comes before the subtasks ends while the instance is paused: they are for the workers that are there when it is resumed', () => {
  const step = { uses: 'shell', with: { script: 'true' }, env: {} };
  const it = begun([taskOf('b', [], { broadcast: { before: step, after: step, maxFailed: 0 } })]);
  it.claim('b');
  it.step([{ type: 'pause', by }]);
  const [before] = [...it.active.values()];
  assert.ok(before !== undefined);
  it.step([{ type: 'attempt-ended', attempt: before, end: 'succeeded', outputs: { n: 1 } }]);
  while (it.commands.length > 0) it.step(it.commands.splice(0, 1));
  assert.deepEqual([it.live.state, [...it.held.keys()], it.active.size], ['paused', ['b'], 0]);
  it.workers.splice(0, 1);
  it.step([{ type: 'resume', by }]);
  it.release('b');
  it.step(it.commands.splice(0));
  it.step([{ type: 'pause', by }]);
  it.step([endOf(it, 'b', '2', 'succeeded')]);
  assert.deepEqual(it.held.get('b'), { task: 'b', attempt: 2, losses: 0, step: 'after', delayMs: 0 });
  assert.deepEqual(subtasksOf(it), ['b/2 succeeded']);
  checkHistory(it);
});
