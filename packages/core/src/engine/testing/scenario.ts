import fc from 'fast-check';
import type { WorkflowDefinition } from '../../definition/model.ts';
import { taskOf, workflowOf } from '../../testing/definitions.ts';
import type { TaskEndState } from '../states.ts';
import type { Fate } from './reference.ts';

const ACCEPTS: readonly (readonly TaskEndState[])[] = [
  ['succeeded'],
  ['succeeded', 'failed'],
  ['failed'],
  ['skipped'],
  ['succeeded', 'skipped', 'failed'],
  ['stopped', 'succeeded'],
];

const taskSpec = fc.record({
  needs: fc.array(fc.record({ back: fc.integer({ min: 1, max: 6 }), accepts: fc.constantFrom(...ACCEPTS) }), {
    maxLength: 3,
  }),
  condition: fc.constantFrom(undefined, 'true', 'false', 'params.none == 1'),
  fates: fc.array(fc.constantFrom<Fate>('succeeded', 'failed', 'lost'), { minLength: 6, maxLength: 6 }),
  retries: fc.integer({ min: 0, max: 2 }),
  lossesAllowed: fc.constantFrom(undefined, 0, 1, 2),
  delayed: fc.boolean(),
  allowFailure: fc.boolean(),
});
export type TaskSpec = typeof taskSpec extends fc.Arbitrary<infer T> ? T : never;

/** A random workflow, how each attempt of its tasks would end, and the order in which things happen. */
export const scenario = fc.record({
  specs: fc.array(taskSpec, { minLength: 1, maxLength: 14 }),
  onFailure: fc.constantFrom('continue' as const, 'end' as const),
  order: fc.array(fc.nat(), { minLength: 200, maxLength: 200 }),
});

/** The workflow of these specs: tasks `t0`, `t1`, …, each needing earlier ones only. */
export function definitionOf(specs: readonly TaskSpec[], onFailure: 'continue' | 'end'): WorkflowDefinition {
  const tasks = specs.map((spec, index) => {
    const needs = Object.fromEntries(
      spec.needs.flatMap(({ back, accepts }) => (index - back < 0 ? [] : [[`t${index - back}`, accepts]])),
    );
    return taskOf(`t${index}`, [], {
      needs,
      retry: { max: spec.retries, delayMs: spec.delayed ? 10 : 0, backoff: 'exponential', maxDelayMs: 100 },
      delayMs: spec.delayed ? 5 : 0,
      allowFailure: spec.allowFailure,
      ...(spec.lossesAllowed === undefined ? {} : { onLost: { retries: spec.lossesAllowed } }),
      ...(spec.condition === undefined ? {} : { if: spec.condition }),
    });
  });
  return workflowOf(tasks, { onFailure });
}
