import fc from 'fast-check';
import type { ConcurrencyPolicy } from '@keelson/core';
import type { Verb } from './verbs.ts';

const LIMITS: readonly (readonly [ConcurrencyPolicy, number | null])[] = [
  ['parallel', null],
  ['parallel', 2],
  ['serial-wait', 1],
  ['serial-wait', 3],
  ['serial-priority', 1],
  ['serial-discard', 1],
];

/** Limits that are set and admissions under them. */
export const limits: fc.Arbitrary<Verb> = fc.oneof(
  {
    arbitrary: fc.constantFrom(...LIMITS).map(
      ([policy, slots]): Verb =>
        ({ bench }) =>
          bench.limit(policy, slots),
    ),
    weight: 1,
  },
  {
    arbitrary: fc.constant<Verb>(({ bench }) => bench.admission.admit()),
    weight: 3,
  },
  {
    arbitrary: fc.constantFrom(-3, 0, 0, 8).map((priority): Verb => async ({ bench, instances }) => {
      const outcome = await bench.starts.start({ ...bench.request, priority });
      if (outcome.kind === 'created') instances.push(outcome.instanceId);
      return outcome;
    }),
    weight: 2,
  },
);
