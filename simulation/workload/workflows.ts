import type { BroadcastDefinition, TaskDefinition, WorkflowDefinition } from '@keelson/core';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type { Dice } from '../clock/random.ts';

/** Name of the one processor that simulated workers have. */
export const PROCESSOR = 'sim';

type Needs = readonly (readonly number[])[];

/** The shape of a workflow: for each task, the numbers of those before it that it needs. */
function shape(dice: Dice): Needs {
  const size = dice.whole(1, 8);
  switch (dice.whole(0, 4)) {
    case 0: // chain
      return Array.from({ length: size }, (_, task) => (task === 0 ? [] : [task - 1]));
    case 1: // fan out and in
      return Array.from({ length: size + 2 }, (_, task) =>
        task === 0 ? [] : task <= size ? [0] : Array.from({ length: size }, (_, branch) => branch + 1),
      );
    case 2: // diamonds, one after the other
      return Array.from({ length: size }, (_, task) =>
        task === 0 ? [] : task % 3 === 0 ? [task - 1, task - 2] : [task - (task % 3)],
      );
    case 3: // no needs at all
      return Array.from({ length: Math.min(size, 4) }, () => []);
    default:
      return Array.from({ length: size }, (_, task) =>
        Array.from({ length: task }, (_, before) => before).filter(() => dice.chance(0.35)),
      );
  }
}

function drawTask(dice: Dice, number: number, needs: readonly number[]): TaskDefinition {
  const accepted = dice.chance(0.15) ? (['succeeded', 'failed', 'skipped'] as const) : (['succeeded'] as const);
  const definition = taskOf(`t${number}`, [], {
    ...(dice.chance(0.4) ? { uses: 'processor', with: { processor: PROCESSOR } } : {}),
    needs: Object.fromEntries(needs.map((need) => [`t${need}`, accepted])),
    retry: {
      max: dice.chance(0.5) ? 0 : dice.whole(1, 3),
      delayMs: dice.chance(0.5) ? 0 : dice.between(50, 1500),
      backoff: dice.chance(0.5) ? 'fixed' : 'exponential',
      maxDelayMs: 3000,
    },
    delayMs: dice.chance(0.85) ? 0 : Math.round(dice.between(100, 3000)),
    allowFailure: dice.chance(0.2),
    priority: dice.chance(0.2) ? dice.whole(-5, 5) : 0,
  });
  if (dice.chance(0.08)) return { ...definition, broadcast: drawBroadcast(dice) };
  const timeout = { afterMs: Math.round(dice.between(300, 5000)), action: dice.chance(0.8) ? 'fail' : 'warn' } as const;
  return dice.chance(0.15) ? { ...definition, timeout } : definition;
}

function drawBroadcast(dice: Dice): BroadcastDefinition {
  const step = { uses: 'shell', with: { script: 'true' }, env: {} };
  return {
    maxFailed: dice.whole(0, 3),
    ...(dice.chance(0.4) ? { parallel: dice.whole(1, 2) } : {}),
    ...(dice.chance(0.3) ? { before: step } : {}),
    ...(dice.chance(0.4) ? { after: step } : {}),
  };
}

/** A workflow of any shape, with retries, delays, timeouts and strategies as they come. */
export function drawWorkflow(dice: Dice, name: string): WorkflowDefinition {
  const tasks = shape(dice).map((needs, number) => drawTask(dice, number, needs));
  return workflowOf(tasks, { name, onFailure: dice.chance(0.25) ? 'end' : 'continue' });
}
