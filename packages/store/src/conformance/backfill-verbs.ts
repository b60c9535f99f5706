import { turnBackfill } from '@keelson/core';
import fc from 'fast-check';
import type { BackfillDraft, BackfillMember, BackfillOperation } from '../backfills.ts';
import type { Verb } from './verbs.ts';

/** Times that instances of the bench's own starts have, too. */
const TIMES = ['2026-01-02T03:04:05.000Z', '2026-01-03T00:00:00.000Z', '2026-01-04T00:00:00.000Z'];

const OPERATIONS: readonly BackfillOperation[] = [
  { kind: 'pause' },
  { kind: 'resume' },
  { kind: 'cancel', stop: false },
  { kind: 'cancel', stop: true },
];

const idOf = (which: number): string => String(1 + (which % 4));

/** Making, turning and operating backfills of the bench's workflow, and of another one that follows it. */
export const backfillVerbs: fc.Arbitrary<Verb> = fc.oneof(
  fc
    .record({
      dependent: fc.boolean(),
      parallel: fc.integer({ min: 1, max: 3 }),
      onFailure: fc.constantFrom('stop' as const, 'continue' as const),
      again: fc.boolean(),
      key: fc.constantFrom(undefined, 'k1', 'k2'),
      times: fc.nat({ max: TIMES.length }),
    })
    .map(({ dependent, parallel, onFailure, again, key, times }): Verb => async ({ bench }) => {
      const member = (workflowId: string, needs: readonly number[]): BackfillMember => ({
        workflowId,
        needs,
        versionId: '1',
        version: 1,
        taskCount: bench.plan.taskCount,
        project: 'p',
        workflow: `w${workflowId}`,
        projectParams: {},
      });
      const members = [member('1', []), ...(dependent ? [member('2', [0])] : [])];
      const runs: BackfillDraft['runs'] = TIMES.slice(0, times).flatMap((runTime) =>
        members.map(({ workflowId, needs }) => ({
          workflowId,
          runTime,
          state: needs.length === 0 ? ('pending' as const) : ('waiting' as const),
        })),
      );
      const of = { members, parallel, onFailure, again, runs, workflowId: '1', priority: -10, createdBy: 'me' };
      const idempotency = key === undefined ? {} : { idempotency: { key, bodyHash: String(parallel) } };
      return bench.backfills.create({ ...of, params: {}, request: {}, ...idempotency });
    }),
  fc.boolean().map((broken): Verb => async ({ bench, instances }) => {
    const due = await bench.backfills.due(5);
    const turned = [];
    for (const { id, room } of due) {
      const outcome = await bench.backfills.turn(id, room, (view, runs, ends) =>
        turnBackfill(view, runs, ends, (seq) =>
          broken && seq % 2 === 0 ? { reason: { code: 'p', message: 'none' } } : { params: { seq } },
        ),
      );
      instances.push(...(outcome?.started ?? []));
      turned.push(outcome ?? 'held');
    }
    return { due, turned };
  }),
  fc.tuple(fc.nat({ max: 5 }), fc.constantFrom(...OPERATIONS)).map(
    ([which, operation]): Verb =>
      ({ bench }) =>
        bench.backfills.operate(idOf(which), operation, 'somebody'),
  ),
);
