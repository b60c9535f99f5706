import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeAssignment } from '../testing/test-gateway.ts';
import { openWaitingSubtasks } from './waiting-subtasks.ts';

test('a delay is over when its timer rings, even if the clock says a little less', () => {
  const timers: (() => void)[] = [];
  const started: string[] = [];
  const clock = {
    now: () => 0,
    after: (_ms: number, ring: () => void) => (timers.push(ring), () => undefined),
    soon: (then: () => void) => then(),
  };
  const room = openWaitingSubtasks(
    clock,
    () => 1,
    ({ task }) => void started.push(task),
  );
  room.add(makeAssignment({ task: 'late', startAfterMs: 100 }));
  room.add(makeAssignment({ task: 'now' }));
  assert.deepEqual(started, ['now']);
  for (const ring of timers) ring();
  assert.deepEqual([started, room.count], [['now', 'late'], 0]);
});
