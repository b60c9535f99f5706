import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { compileWorkflow, decide, runContext } from '@keelson/core';
import type { ConcurrencyPolicy, InstanceChanges, QueuedTask, WorkflowDefinition, WorkflowPlan } from '@keelson/core';
import type { LoadedInstance, Placement, ReportedEnd, StepMind, StepOutcome } from '../engine.ts';
import type { LiveOperation, OperationOutcome } from '../operations.ts';
import { createAdmission } from '../postgres/engine/admission.ts';
import { setLimits } from '../postgres/engine/concurrency.ts';
import { createBackfills } from '../postgres/backfills/backfills.ts';
import { createEngine } from '../postgres/engine/engine.ts';
import { createOperations } from '../postgres/engine/operations.ts';
import { createStarts } from '../postgres/engine/starts.ts';
import { createTimers } from '../postgres/engine/timers.ts';
import { createWorkers } from '../postgres/workers/workers.ts';
import type { StartRequest } from '../starts.ts';
import type { Row, Subject } from './subject.ts';

const WORKER = { group: 'default', slots: 10, capabilities: ['processor'], credentialHash: 'x', host: 'h', pid: 1 };

/** Tables whose rows are gone when nothing runs. */
export const HOT = ['command', 'live_instance', 'need_counter', 'delayed', 'ready', 'held', 'active'] as const;

export type Bench = Awaited<ReturnType<typeof openBench>>;

/** The engine with one workflow and one worker, driven step by step. */
export async function openBench(t: TestContext, subject: Subject, definition: WorkflowDefinition) {
  const engine = createEngine(subject.open, 3);
  const workers = createWorkers(subject.open);
  const timers = createTimers(subject.open);
  const backfills = createBackfills(subject.open, subject.nextId);
  const admission = createAdmission(subject.open);
  const runner = subject.open();
  const close = async (): Promise<void> => {
    await Promise.all([
      engine.close(),
      workers.close(),
      timers.close(),
      backfills.close(),
      admission.close(),
      runner.close(),
    ]);
  };
  t.after(close);
  const starts = createStarts(runner, subject.nextId);
  const operations = createOperations(runner);
  const plan = compileWorkflow(definition);
  const register = async (name: string, more: Partial<typeof WORKER> = {}): Promise<string> =>
    (await workers.register({ ...WORKER, ...more, name, version: '0' })).id;
  const incarnationId = await register('w1');
  const state = { offers: 0 };
  const mind = mindOf(plan, incarnationId, state);
  const request = requestFor(plan.taskCount);
  return {
    t,
    subject,
    engine,
    workers,
    timers,
    backfills,
    admission,
    starts,
    operations,
    plan,
    mind,
    register,
    incarnationId,
    close,
    state,
    request,
    commands: (by = engine): Promise<StepOutcome> => by.step({ reports: [], demand: [], commandLimit: 100 }, mind),
    report: (reports: readonly ReportedEnd[], by = engine): Promise<StepOutcome> =>
      by.step({ reports, demand: [], commandLimit: 0 }, mind),
    start: async (): Promise<string> => {
      const outcome = await starts.start(request);
      assert.equal(outcome.kind, 'created');
      return outcome.instanceId;
    },
    /** As an apply does with the limit of the bench's workflow. */
    limit: async (policy: ConcurrencyPolicy, slots: number | null): Promise<void> => {
      await runner.run([setLimits([{ workflowId: '1', policy, slots }])]);
    },
    /** Asks for it in somebody's name; answers the outcome's kind. */
    ask: async (id: string, operation: LiveOperation): Promise<OperationOutcome['kind']> =>
      (await operations.operate(id, operation, 'me')).kind,
    stop: async (id: string): Promise<OperationOutcome['kind']> =>
      (await operations.operate(id, { type: 'stop' }, 'me')).kind,
    /** These columns of a table's rows, in the order of their texts. */
    rows: async (table: string, ...columns: readonly string[]): Promise<Row[]> =>
      picked(await subject.rows(table), columns),
    /** As `rows`, one text a row. */
    texts: async (table: string, ...columns: readonly string[]): Promise<string[]> =>
      picked(await subject.rows(table), columns).map((row) => Object.values(row).join(' ')),
  };
}

/** Offers tasks to this incarnation, as many as the state says. */
function mindOf(plan: WorkflowPlan, incarnationId: string, state: { offers: number }): StepMind {
  let nonces = 0;
  const describe = (tasks: readonly QueuedTask[]): Placement[] =>
    tasks.map((one) => ({ ...one, workerGroup: 'default', capability: 'processor', priority: 0 }));
  const place = (_instance: LoadedInstance, { ready }: InstanceChanges): Placement[] =>
    describe(ready).map((one) =>
      state.offers-- > 0 ? { ...one, offer: { incarnationId, nonce: `n-${one.task}-${one.attempt}` } } : one,
    );
  return {
    knowsVersion: () => true,
    taskNames: () => [...plan.tasks.keys()],
    claims: () => [],
    newNonce: () => `s-${++nonces}`,
    describe: (_instance, tasks) => describe(tasks),
    decide: ({ facts, events, ...loaded }) => {
      const of = { id: facts.id, workflow: 'w', project: 'p', timeUtc: facts.runTime, zone: 'UTC' };
      return decide({ ...loaded, plan, scope: { params: facts.params, run: runContext(of) } }, events);
    },
    place,
  };
}

function requestFor(taskCount: number): StartRequest {
  return {
    workflowId: '1',
    versionId: '1',
    taskCount,
    params: {},
    runTime: '2026-01-02T03:04:05Z',
    priority: 0,
    createdBy: 'test',
  };
}

function picked(rows: readonly Row[], columns: readonly string[]): Row[] {
  const kept = rows.map((row) => (columns.length === 0 ? row : Object.fromEntries(columns.map((c) => [c, row[c]]))));
  return kept.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
}

/** Claims for the bench's worker; each task as it would be reported when it succeeded. */
export async function claimAll({ engine, incarnationId }: Bench, count = 10): Promise<ReportedEnd[]> {
  const slots = Array.from({ length: count }, () => incarnationId);
  const { bound } = await engine.claim({ workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'c' });
  return bound.map((attempt) => ({ ...attempt, end: 'succeeded', startedAgoMs: 5, endedAgoMs: 1 }));
}

/** The first, which must be there. */
export function only<T>(all: readonly T[]): T {
  const [first] = all;
  assert.ok(first !== undefined);
  return first;
}

export async function assertNothingHot({ rows }: Bench): Promise<void> {
  for (const table of HOT) assert.deepEqual(await rows(table), [], `${table} is empty`);
}

/** Waits until so many transactions wait for another one. */
export async function blocked(subject: Subject, count: number): Promise<void> {
  const until = performance.now() + 30_000;
  while ((await subject.waiting()) < count) {
    assert.ok(performance.now() < until, `${count} transactions wait for a lock`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
