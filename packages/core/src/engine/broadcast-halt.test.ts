import assert from 'node:assert/strict';
import { test } from 'node:test';
import { taskOf, workflowOf } from '../testing/definitions.ts';
import { instanceWorld } from './testing/instance-world.ts';
import type { ActiveAttempt, AttemptEnded, EngineEvent } from './view.ts';

/** A broadcast with one place on three workers, besides another task. */
function world(onFailure: 'continue' | 'end' = 'continue') {
  const it = instanceWorld(
    workflowOf([taskOf('b', [], { broadcast: { maxFailed: 9, parallel: 1 } }), taskOf('a')], { onFailure }),
  );
  for (const name of ['1', '2', '3']) it.workers.push({ incarnation: name, worker: `w${name}` });
  it.step(it.commands.splice(0));
  it.claim('a');
  return it;
}

function attemptOf(it: ReturnType<typeof world>, wanted: (one: ActiveAttempt) => boolean): ActiveAttempt {
  const found = [...it.active.values()].find(wanted);
  assert.ok(found !== undefined);
  return found;
}

const ended = (attempt: ActiveAttempt, end: AttemptEnded['end']): EngineEvent => ({
  type: 'attempt-ended',
  attempt,
  end,
  reason: { code: 'x', message: 'x' },
});

const bound = ({ state, subtask }: ActiveAttempt): boolean => state === 'bound' && subtask?.incarnation === '3';

test('a worker that dies with what it was not handed yet, told behind a stop of the instance', () => {
  const it = world();
  it.step([{ type: 'stop', by: 'test' }, ended(attemptOf(it, bound), 'lost')]);
  assert.deepEqual(it.finishedSubtasks.map(({ incarnation, state }) => `${incarnation} ${state}`).toSorted(), [
    '2 stopped',
    '3 lost',
  ]);
  // What runs keeps the broadcast under way: its end would find no row of it else.
  assert.equal(it.broadcasts.get('b')?.running, 1);
  it.step([
    ended(
      attemptOf(it, ({ subtask }) => subtask?.incarnation === '1'),
      'stopped',
    ),
  ]);
  assert.equal(it.broadcasts.size, 0);
});

test('and told behind the failure that ends the instance', () => {
  const it = world('end');
  it.step([
    ended(
      attemptOf(it, ({ task }) => task === 'a'),
      'failed',
    ),
    ended(attemptOf(it, bound), 'lost'),
  ]);
  assert.deepEqual(it.finishedSubtasks.map(({ incarnation, state }) => `${incarnation} ${state}`).toSorted(), [
    '2 stopped',
    '3 lost',
  ]);
  // What runs keeps the broadcast under way: its end would find no row of it else.
  assert.equal(it.broadcasts.get('b')?.running, 1);
  it.step([
    ended(
      attemptOf(it, ({ subtask }) => subtask?.incarnation === '1'),
      'stopped',
    ),
  ]);
  assert.equal(it.broadcasts.size, 0);
});
