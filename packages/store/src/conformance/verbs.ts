import fc from 'fast-check';
import type { BoundAttempt, ReportedEnd } from '../engine.ts';
import type { GenerationMode, LiveOperation } from '../operations.ts';
import { backfillVerbs } from './backfill-verbs.ts';
import type { Bench } from './bench.ts';
import { limits } from './verbs-limits.ts';

/** What a run of verbs has come across: where later ones take their instances, workers and attempts from. */
export interface Known {
  readonly bench: Bench;
  readonly instances: string[];
  readonly workers: string[];
  readonly attempts: BoundAttempt[];
  /** Numbers of claims, so that each has a nonce of its own. */
  claims: number;
}

/** A call of the store, drawn by chance, with what it answers. */
export type Verb = (known: Known) => Promise<unknown>;

const pick = <T>(all: readonly T[], at: number): T | undefined => (all.length === 0 ? undefined : all[at % all.length]);
const ENDS: readonly ReportedEnd['end'][] = ['succeeded', 'succeeded', 'succeeded', 'failed', 'stopped', 'lost'];
const NONE = 'nothing to do it to';

function reportOf({ attempts }: Known, at: number, end: number, forged: boolean): ReportedEnd | undefined {
  const attempt = pick(attempts, at);
  if (attempt === undefined) return undefined;
  const how = ENDS[end % ENDS.length] ?? 'succeeded';
  const said = { ...attempt, end: how, startedAgoMs: 2, endedAgoMs: 1, outputs: { at } };
  return forged ? { ...said, nonce: 'forged' } : said;
}

/** Keeps the attempts that an outcome tells of. */
function noted<T extends { readonly bound: readonly BoundAttempt[]; readonly subtasks?: readonly BoundAttempt[] }>(
  known: Known,
  outcome: T,
): T {
  known.attempts.push(...outcome.bound, ...(outcome.subtasks ?? []));
  return outcome;
}

const step = (known: Known, reports: readonly ReportedEnd[], commandLimit: number): Promise<unknown> =>
  known.bench.engine
    .step({ reports, demand: [], commandLimit }, known.bench.mind)
    .then((outcome) => noted(known, outcome));

const at = fc.nat({ max: 30 });

const starts = fc.oneof(
  fc
    .record({ key: fc.constantFrom(undefined, undefined, 'k1', 'k2'), hash: fc.constantFrom('h', 'i') })
    .map(({ key, hash }): Verb => async ({ bench, instances }) => {
      const idempotency = key === undefined ? {} : { idempotency: { key, bodyHash: hash } };
      const outcome = await bench.starts.start({ ...bench.request, ...idempotency });
      if (outcome.kind === 'created') instances.push(outcome.instanceId);
      return outcome;
    }),
);

const TASKS = ['a', 'b', 'c', 'd', 'e', 'nobody'];
const OPERATIONS: readonly LiveOperation[] = [
  { type: 'stop' },
  { type: 'pause' },
  { type: 'pause' },
  { type: 'resume' },
  { type: 'resume' },
  ...TASKS.map((task) => ({ type: 'skip-task', task }) as const),
  ...[-5, 0, 9].map((priority) => ({ type: 'set-priority', priority }) as const),
];
const MODES: readonly GenerationMode[] = ['rerun', 'recover', 'from', 'only', 'force-success'];

const operations = fc.oneof(
  fc.tuple(at, fc.constantFrom(...OPERATIONS)).map(
    ([which, operation]): Verb =>
      async ({ bench, instances }) =>
        bench.operations.operate(pick(instances, which) ?? '77', operation, 'somebody'),
  ),
  fc
    .tuple(at, fc.constantFrom(...MODES), fc.constantFrom(...TASKS), fc.integer({ min: 1, max: 3 }), fc.boolean())
    .map(([which, mode, task, after, changed]): Verb => async ({ bench, instances }) => {
      const { versionId, taskCount } = bench.request;
      const named = mode === 'rerun' || mode === 'recover' ? {} : { task };
      const params = changed ? { day: 'other' } : {};
      const instanceId = pick(instances, which) ?? '77';
      const request = { instanceId, after, mode, ...named, versionId, taskCount, params, by: 'somebody' };
      const outcome = await bench.operations.beginGeneration(request);
      return [outcome, [...(await bench.engine.facts([{ instanceId, generation: after + 1 }]))]];
    }),
);

const steps = fc.oneof(
  fc.integer({ min: 1, max: 4 }).map(
    (limit): Verb =>
      (known) =>
        step(known, [], limit),
  ),
  fc
    .array(fc.tuple(at, fc.nat({ max: 5 }), fc.nat({ max: 9 })), { minLength: 1, maxLength: 4 })
    .map((drawn): Verb => (known) => {
      const reports = drawn.flatMap(([which, end, luck]) => reportOf(known, which, end, luck === 0) ?? []);
      return step(known, reports, reports.length % 2);
    }),
);

const claims = fc.oneof(
  fc.tuple(at, fc.integer({ min: 1, max: 3 })).map(([which, count]): Verb => async (known) => {
    const slots = Array.from({ length: count }, (_, index) => pick(known.workers, which + index) ?? '77');
    const request = { workerGroup: 'default', capabilities: ['processor'], slots, nonce: `c${known.claims++}` };
    return noted(known, await known.bench.engine.claim(request));
  }),
  fc.integer({ min: 1, max: 3 }).map(
    (offers): Verb =>
      async ({ bench }) =>
        void (bench.state.offers = offers),
  ),
  fc
    .tuple(at, fc.boolean(), fc.constantFrom('fail' as const, 'warn' as const))
    .map(([which, late, action]): Verb => async ({ bench, attempts }) => {
      const attempt = pick(attempts, which);
      if (attempt === undefined) return NONE;
      const timeout = { afterMs: late ? 1 : 1e7, action };
      return bench.engine.started([{ ...attempt, startedAgoMs: 10_000, timeout }]);
    }),
  at.map((which): Verb => async ({ bench, attempts }) => {
    const attempt = pick(attempts, which);
    return attempt === undefined ? NONE : bench.workers.noteProgress([{ ...attempt, fraction: which / 31 }]);
  }),
  fc.boolean().map(
    (onlyKilled): Verb =>
      async ({ bench, workers }) =>
        // In no particular order.
        (await bench.engine.activeOf(workers, onlyKilled)).toSorted((one, other) =>
          one.attemptId < other.attemptId ? -1 : 1,
        ),
  ),
);

const leases = fc.oneof(
  fc.constantFrom('w1', 'w2', 'w3').map(
    (name): Verb =>
      async ({ bench, workers }) =>
        workers.push(await bench.register(name)),
  ),
  fc
    .tuple(at, fc.constantFrom('drain', 'leave', 'renew', 'authenticate', 'expire'))
    .map(([which, what]): Verb => async ({ bench, workers }) => {
      const id = pick(workers, which) ?? '77';
      if (what === 'drain') return bench.workers.drain(id);
      if (what === 'leave') return bench.workers.leave(id);
      if (what === 'renew') return bench.workers.renew([id, '77']);
      if (what === 'authenticate') return bench.workers.authenticate(id, which % 4 === 0 ? 'y' : 'x');
      await bench.subject.endLease(id);
      return bench.workers.expire(1e9);
    }),
);

const timers = fc.integer({ min: 1, max: 3 }).chain((limit) =>
  fc.constantFrom<Verb>(
    async ({ bench }) => {
      await bench.subject.endDelays();
      return bench.timers.releaseDelayed(limit);
    },
    ({ bench }) => bench.timers.strikeTimeouts(limit),
  ),
);

const troubles = fc.oneof(
  at.map(
    (which): Verb =>
      async ({ bench, instances }) =>
        bench.engine.countTry(instances.slice(which % 3)),
  ),
  at.map((which): Verb => async ({ bench, instances }) => {
    const counted = await bench.engine.countTry([pick(instances, which) ?? '77']);
    return bench.engine.putOff(
      counted.map(({ id }) => id),
      which % 2 === 0 ? -1 : 60_000,
      'put off',
    );
  }),
  fc.tuple(at, fc.nat({ max: 5 })).map(([which, end]): Verb => async (known) => {
    const report = reportOf(known, which, end, which === 0);
    return report === undefined ? NONE : known.bench.engine.deferReports([report], 'deferred');
  }),
  at.map(
    (which): Verb =>
      async ({ bench, instances }) =>
        which % 5 > 0 ? NONE : bench.engine.park(pick(instances, which) ?? '77', { code: 'x', message: 'parked' }),
  ),
  fc.constant<Verb>(async ({ bench, instances }) => {
    const keys = instances.map((instanceId) => ({ instanceId, generation: 1, task: 'a' }));
    return [await bench.engine.results(keys), await bench.engine.dueInstances(3), await bench.engine.broadcasts(keys)];
  }),
);

/** Mostly steps and claims, so that instances come along. */
export const verb: fc.Arbitrary<Verb> = fc.oneof(
  { arbitrary: steps, weight: 6 },
  { arbitrary: claims, weight: 6 },
  { arbitrary: starts, weight: 3 },
  { arbitrary: operations, weight: 4 },
  { arbitrary: limits, weight: 3 },
  { arbitrary: backfillVerbs, weight: 4 },
  { arbitrary: timers, weight: 2 },
  { arbitrary: leases, weight: 2 },
  { arbitrary: troubles, weight: 2 },
);
