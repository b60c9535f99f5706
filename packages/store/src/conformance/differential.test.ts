import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type { BroadcastDefinition, WorkflowDefinition } from '@keelson/core';
import { openBench } from './bench.ts';
import { memorySubject, postgresSubjects } from './subject.ts';
import type { Subject } from './subject.ts';
import { verb } from './verbs.ts';
import type { Known, Verb } from './verbs.ts';

const TABLES = [
  'workflow_instance',
  'live_instance',
  'instance_end',
  'instance_generation',
  'start_key',
  'concurrency',
  'slot',
  'followup',
  'backfill',
  'backfill_run',
  'backfill_event',
  'command',
  'command_error',
  'need_counter',
  'delayed',
  'ready',
  'held',
  'active',
  'finished_task',
  'earlier_attempt',
  'broadcast',
  'finished_subtask',
  'history',
  'alert',
  'worker_incarnation',
] as const;
/** What the two need not agree about: numbers that only tell rows apart, and what memory does not keep. */
const UNSEEN = new Set(['seq', 'place', 'delay_left_ms', 'tries', 'last_error', 'since', 'held_since', 'revision']);
const OWN_ID = new Set(['command', 'command_error', 'history', 'alert', 'followup', 'backfill_event']);
/** How long ago, and how long yet. */
const DURATIONS = new Set(['dispatchedAgoMs', 'startAfterMs', 'sinceAgoMs']);

/** More by hand: `DIFFERENTIAL_RUNS=500 node --test …`. */
const RUNS = Number(process.env['DIFFERENTIAL_RUNS'] ?? 25);

const STEP = { uses: 'shell', with: { script: 'true' }, env: {} };

const workflow = fc
  .record({
    retries: fc.nat({ max: 2 }),
    retryDelayMs: fc.constantFrom(0, 60_000),
    delayMs: fc.constantFrom(0, 60_000),
    onFailure: fc.constantFrom('continue' as const, 'end' as const),
    broadcast: fc.option(
      fc.record({
        before: fc.boolean(),
        after: fc.boolean(),
        parallel: fc.constantFrom(1, 5),
        maxFailed: fc.nat({ max: 1 }),
      }),
    ),
    allowFailure: fc.boolean(),
  })
  .map(({ retries, retryDelayMs, delayMs, onFailure, broadcast, allowFailure }): WorkflowDefinition => {
    const retry = { max: retries, delayMs: retryDelayMs, backoff: 'fixed', maxDelayMs: 60_000 } as const;
    const fan: { broadcast?: BroadcastDefinition } =
      broadcast === null
        ? {}
        : {
            broadcast: {
              ...(broadcast.before ? { before: STEP } : {}),
              ...(broadcast.after ? { after: STEP } : {}),
              parallel: broadcast.parallel,
              maxFailed: broadcast.maxFailed,
            },
          };
    const tasks = [
      taskOf('a', [], { retry, allowFailure }),
      taskOf('b', [], { delayMs }),
      taskOf('c', ['a', 'b'], { retry, ...fan }),
      taskOf('d', [], { needs: { a: ['failed', 'succeeded'], c: ['succeeded'] } }),
      taskOf('e', [], { needs: { c: ['failed'] } }),
    ];
    return workflowOf(tasks, { onFailure });
  });

async function open(t: TestContext, subject: Subject, definition: WorkflowDefinition): Promise<Known> {
  const bench = await openBench(t, subject, definition);
  return { bench, instances: [], workers: [bench.incarnationId], attempts: [], claims: 0 };
}

/** An answer as text, without durations; an error by its code. */
async function answer(known: Known, call: Verb): Promise<unknown> {
  try {
    const text = JSON.stringify(await call(known), (key, value: unknown) => (DURATIONS.has(key) ? 0 : value));
    return text === undefined ? 'nothing' : (JSON.parse(text) as unknown);
  } catch (error) {
    if (error instanceof Error && 'code' in error) return { code: error.code };
    return { message: error instanceof Error ? error.message : String(error) };
  }
}

async function tables({ bench }: Known): Promise<Record<string, string[]>> {
  const all = await Promise.all(
    TABLES.map(async (table) => {
      const rows = (await bench.subject.rows(table)).map((row) => {
        const hidden = (name: string): boolean =>
          (UNSEEN.has(name) && !(name === 'tries' && table === 'command')) ||
          (OWN_ID.has(table) && (name === 'id' || name === 'command_id'));
        const kept = Object.entries(row).filter(([name]) => !hidden(name));
        return canonical(Object.fromEntries(kept));
      });
      return [table, rows.toSorted()] as const;
    }),
  );
  return Object.fromEntries(all);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : inner,
  );
}

type Details = fc.RunDetails<[WorkflowDefinition, Verb[]]>;

/** The verbs are functions: what failed is in the cause, and the seed plays it again. */
function explain({ failed, numRuns, seed, counterexamplePath, errorInstance }: Details): void {
  if (!failed) return;
  const again = JSON.stringify({ seed, path: counterexamplePath, endOnFailure: true });
  throw new Error(`failed after ${numRuns} runs; again with ${again}`, { cause: errorInstance });
}

test('memory answers as PostgreSQL does, and holds the same rows', { timeout: RUNS * 10_000 }, async (t) => {
  const fresh = await postgresSubjects(t);
  let answers = 0;
  await fc.assert(
    fc.asyncProperty(workflow, fc.array(verb, { minLength: 20, maxLength: 60 }), async (definition, verbs) => {
      const real = await open(t, await fresh(), definition);
      const memory = await open(t, await memorySubject(t), definition);
      for (const [index, call] of verbs.entries()) {
        const [expected, actual] = [await answer(real, call), await answer(memory, call)];
        assert.deepEqual(actual, expected, `verb ${index}`);
        if (expected !== 'nothing') answers++;
      }
      assert.deepEqual(await tables(memory), await tables(real));
      await real.bench.close();
      await memory.bench.close();
    }),
    { numRuns: RUNS, reporter: explain },
  );
  assert.ok(answers > 200, 'and something was asked');
});
