import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WorkflowDefinition } from '../definition/model.ts';
import { compileWorkflow } from '../definition/plan.ts';
import { runContext } from '../expression/scope.ts';
import { taskOf, workflowOf } from '../testing/definitions.ts';
import { decide } from './decide.ts';
import { referenceEnds } from './testing/reference.ts';
import type { Fate } from './testing/reference.ts';
import type { ActiveAttempt, AttemptEnded, EngineEvent, InstanceView, LiveInstance, TaskRecord } from './view.ts';
import type { TaskEndState } from './states.ts';
import { MAX_LOSSES } from './retry.ts';

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
  delayed: fc.boolean(),
  allowFailure: fc.boolean(),
});
type TaskSpec = typeof taskSpec extends fc.Arbitrary<infer T> ? T : never;

const scenario = fc.record({
  specs: fc.array(taskSpec, { minLength: 1, maxLength: 14 }),
  onFailure: fc.constantFrom('continue' as const, 'end' as const),
  order: fc.array(fc.nat(), { minLength: 200, maxLength: 200 }),
});

function definitionOf(specs: readonly TaskSpec[], onFailure: 'continue' | 'end'): WorkflowDefinition {
  const tasks = specs.map((spec, index) => {
    const needs = Object.fromEntries(
      spec.needs.flatMap(({ back, accepts }) => (index - back < 0 ? [] : [[`t${index - back}`, accepts]])),
    );
    return taskOf(`t${index}`, [], {
      needs,
      retry: { max: spec.retries, delayMs: spec.delayed ? 10 : 0, backoff: 'exponential', maxDelayMs: 100 },
      delayMs: spec.delayed ? 5 : 0,
      allowFailure: spec.allowFailure,
      ...(spec.condition === undefined ? {} : { if: spec.condition }),
    });
  });
  return workflowOf(tasks, { onFailure });
}

/** Holds the rows as the store would, and applies what `decide` says, loading only what it asks for. */
function world(definition: WorkflowDefinition) {
  const plan = compileWorkflow(definition);
  let live: LiveInstance = {
    id: '1',
    versionId: '1',
    generation: 1,
    revision: 0,
    state: 'running',
    unfinished: plan.taskCount,
    failed: 0,
    ending: false,
    hasArtifacts: false,
    failure: null,
    priority: 0,
  };
  const state: { end?: string; loads: number } = { loads: 0 };
  const counters = new Map<string, number>();
  const ends = new Map<string, TaskEndState>();
  const ready = new Map<string, { attempt: number; losses: number }>();
  const delayed = new Map<string, { attempt: number; losses: number }>();
  const active = new Map<string, ActiveAttempt>();
  const commands: EngineEvent[] = [{ type: 'start' }];
  let lastAttempt = 0;

  const recordOf = (task: string): TaskRecord => {
    const end = ends.get(task);
    return { met: counters.get(task) ?? 0, ...(end === undefined ? {} : { end: { state: end, outputs: {} } }) };
  };

  const step = (events: readonly EngineEvent[]): void => {
    const tasks = new Map<string, TaskRecord>();
    let activeAttempts: number | undefined;
    for (;;) {
      const scope = {
        params: {},
        run: runContext({ id: '1', workflow: 'w', project: 'p', timeUtc: '2026-01-01T00:00:00Z', zone: 'UTC' }),
      };
      const view: InstanceView = {
        live,
        plan,
        scope,
        tasks,
        ...(activeAttempts === undefined ? {} : { activeAttempts }),
      };
      const decision = decide(view, events);
      if (decision.kind === 'decided') return write(decision.changes);
      state.loads++;
      for (const task of decision.missing.tasks) tasks.set(task, recordOf(task));
      if (decision.missing.activeAttempts) activeAttempts = active.size;
    }
  };

  const write = (changes: Extract<ReturnType<typeof decide>, { kind: 'decided' }>['changes']): void => {
    assert.equal(changes.live.revision, live.revision + 1);
    live = changes.live;
    for (const { task, state: end } of changes.finished) {
      assert.ok(!ends.has(task), `${task} ends once`);
      ends.set(task, end);
    }
    for (const id of changes.released) assert.ok(active.delete(id), 'only an active attempt is released');
    for (const [task, met] of changes.counters) counters.set(task, met);
    for (const task of changes.droppedCounters) counters.delete(task);
    if (changes.withdraw !== undefined) withdraw();
    if (changes.live.ending)
      for (const { task } of [...changes.ready, ...changes.delayed])
        assert.ok(acceptsFailure(task), `${task} may start after a failure`);
    for (const one of changes.ready) putIn(ready, one);
    for (const one of changes.delayed) putIn(delayed, one);
    if (changes.withdraw === 'settle') commands.push({ type: 'settle' });
    if (changes.endRemaining !== undefined)
      for (const task of plan.tasks.keys()) if (!ends.has(task)) ends.set(task, changes.endRemaining.state);
    if (changes.end !== undefined) state.end = changes.end.state;
  };

  const acceptsFailure = (task: string): boolean =>
    Object.values(definition.tasks[task]?.needs ?? {}).some((accepts) => accepts.includes('failed'));

  const putIn = (line: typeof ready, one: { task: string; attempt: number; losses: number }): void => {
    const busy =
      ready.has(one.task) ||
      delayed.has(one.task) ||
      ends.has(one.task) ||
      [...active.values()].some(({ task }) => task === one.task);
    assert.ok(!busy, `${one.task} is in one place at a time`);
    line.set(one.task, one);
  };

  const withdraw = (): void => {
    for (const [from, line] of [
      ['delayed', delayed],
      ['ready', ready],
    ] as const) {
      const tasks = [...line].map(([task, { attempt }]) => ({ task, attempt, from }));
      line.clear();
      if (tasks.length > 0) commands.push({ type: 'withdrawn', tasks });
    }
    for (const [id, attempt] of active) active.set(id, { ...attempt, killReason: 'stop' });
  };

  const claim = (task: string): void => {
    const from = ready.get(task);
    if (from === undefined) return;
    ready.delete(task);
    const id = String(++lastAttempt);
    active.set(id, { id, task, attempt: from.attempt, losses: from.losses, state: 'running', killReason: null });
  };

  const release = (task: string): void => {
    const from = delayed.get(task);
    if (from === undefined) return;
    delayed.delete(task);
    ready.set(task, from);
  };

  return { step, claim, release, state, counters, ends, ready, delayed, active, commands, instance: () => live };
}

type World = ReturnType<typeof world>;

function endOf(it: World, attempt: ActiveAttempt, specs: readonly TaskSpec[]): AttemptEnded {
  const spec = specs[Number(attempt.task.slice(1))];
  if (attempt.killReason !== null) return { type: 'attempt-ended', attempt, end: 'stopped' };
  const fate = spec?.fates[attempt.attempt - 1] ?? 'succeeded';
  return {
    type: 'attempt-ended',
    attempt,
    end: fate,
    ...(fate === 'succeeded' ? {} : { reason: { code: 'x', message: 'x' } }),
  };
}

/** Drives the instance to its end in an order drawn from the scenario, some reports in batches. */
function drive(it: World, specs: readonly TaskSpec[], order: readonly number[], stopAt = Infinity): void {
  for (let turn = 0; it.state.end === undefined; turn++) {
    assert.ok(turn < 2000, 'an instance ends');
    if (turn === stopAt) it.commands.push({ type: 'stop', by: 'test' });
    const pick = order[turn % order.length] ?? 0;
    const moves: (() => void)[] = [
      ...it.commands.map((command) => () => it.step(it.commands.splice(it.commands.indexOf(command), 1))),
      ...[...it.ready.keys()].map((task) => () => it.claim(task)),
      ...[...it.delayed.keys()].map((task) => () => it.release(task)),
    ];
    const running = [...it.active.values()];
    if (running.length > 0) {
      const first = pick % running.length;
      const batch = running.slice(first, first + 1 + (pick % 3));
      moves.push(() => it.step(batch.map((attempt) => endOf(it, attempt, specs))));
    }
    assert.ok(moves.length > 0, 'something always drives an instance that has not ended');
    moves[pick % moves.length]?.();
  }
}

function checkRest(it: World): void {
  assert.deepEqual([it.ready.size, it.delayed.size, it.active.size], [0, 0, 0], 'nothing is left in line or running');
}

test('a random workflow with random outcomes ends as the reference says', () => {
  fc.assert(
    fc.property(scenario, ({ specs, order }) => {
      const definition = definitionOf(specs, 'continue');
      const it = world(definition);
      drive(it, specs, order);
      checkRest(it);
      const expected = referenceEnds(definition, (task) => specs[Number(task.slice(1))]?.fates ?? [], MAX_LOSSES);
      assert.deepEqual(Object.fromEntries(it.ends), Object.fromEntries(expected.tasks));
      assert.equal(it.state.end, expected.instance);
      assert.equal(it.instance().unfinished, 0);
      assert.equal(it.counters.size, 0, 'no counter is left');
    }),
    { numRuns: 400 },
  );
});

test('with onFailure: end every task ends, and after a failure nothing starts that does not accept one', () => {
  fc.assert(
    fc.property(scenario, ({ specs, order }) => {
      const definition = definitionOf(specs, 'end');
      const it = world(definition);
      drive(it, specs, order);
      checkRest(it);
      assert.equal(it.ends.size, specs.length);
      assert.equal(it.counters.size, 0);
      const failed = [...it.ends].filter(
        ([task, end]) => end === 'failed' && definition.tasks[task]?.allowFailure !== true,
      );
      assert.equal(it.state.end, failed.length > 0 ? 'failed' : 'succeeded');
    }),
    { numRuns: 300 },
  );
});

test('a stop at any moment ends the instance, and never changes a task that has ended', () => {
  fc.assert(
    fc.property(scenario, fc.nat({ max: 30 }), ({ specs, order, onFailure }, stopAt) => {
      const it = world(definitionOf(specs, onFailure));
      drive(it, specs, order, stopAt);
      checkRest(it);
      assert.equal(it.ends.size, specs.length, 'every task has an end state');
    }),
    { numRuns: 300 },
  );
});
