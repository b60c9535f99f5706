import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WorkflowDefinition } from '../definition/model.ts';
import { taskOf } from '../testing/definitions.ts';
import { foldHistory } from './fold.ts';
import { instanceWorld } from './testing/instance-world.ts';
import type { InstanceWorld } from './testing/instance-world.ts';
import { definitionOf, scenario } from './testing/scenario.ts';
import type { AttemptEnd } from './states.ts';
import type { ActiveAttempt, AttemptEnded, EngineEvent, GenerationMode } from './view.ts';

const STEP = { uses: 'shell', with: { script: 'true' }, env: {} };
const MODES: readonly GenerationMode[] = ['rerun', 'recover', 'from', 'only', 'force-success'];
const ENDS: readonly AttemptEnd[] = ['succeeded', 'succeeded', 'succeeded', 'failed', 'failed', 'lost', 'stopped'];

const drawn = fc.record({
  scenario,
  before: fc.boolean(),
  after: fc.boolean(),
  delayed: fc.boolean(),
  parallel: fc.constantFrom(undefined, 1, 2),
  queued: fc.boolean(),
  picks: fc.array(fc.nat({ max: 1_000_000 }), { minLength: 150, maxLength: 150 }),
  generations: fc.integer({ min: 1, max: 3 }),
});
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;

/** The scenario's tasks, a broadcast beside them, one behind that and the first task, and a task that takes whatever these end as. */
function workflow({ scenario: { specs, onFailure }, before, after, delayed, parallel }: Drawn): WorkflowDefinition {
  const definition = definitionOf(specs, onFailure);
  const broadcast = {
    ...(before ? { before: STEP } : {}),
    ...(after ? { after: STEP } : {}),
    ...(parallel === undefined ? {} : { parallel }),
    maxFailed: 1,
  };
  const more = {
    broadcast,
    delayMs: delayed ? 5 : 0,
    retry: { max: 1, delayMs: 10, backoff: 'fixed' as const, maxDelayMs: 10 },
  };
  const any = ['succeeded', 'failed', 'skipped', 'stopped'] as const;
  const added = [
    taskOf('b0', [], more),
    taskOf('b1', [], { ...more, needs: { b0: ['succeeded', 'failed'], t0: any } }),
    taskOf('last', [], { needs: { b0: any, b1: any } }),
  ];
  return { ...definition, tasks: { ...definition.tasks, ...Object.fromEntries(added.map((task) => [task.id, task])) } };
}

interface Watched {
  readonly it: InstanceWorld;
  readonly dead: Set<string>;
  /** What its generation begins with, whoever finds that it has not. */
  begin: EngineEvent;
}

/** As its worker reports it, or as its death leaves it; what was not handed over can only be lost. */
function endOf({ dead }: Watched, attempt: ActiveAttempt, pick: number): AttemptEnded | undefined {
  const reason = { code: 'x', message: 'x' };
  if (attempt.subtask !== undefined && dead.has(attempt.subtask.incarnation))
    return { type: 'attempt-ended', attempt, end: 'lost', reason };
  if (attempt.state === 'bound') return undefined;
  const end = attempt.killReason !== null && pick % 4 > 0 ? 'stopped' : (ENDS[pick % ENDS.length] ?? 'succeeded');
  return { type: 'attempt-ended', attempt, end, ...(end === 'succeeded' ? { outputs: { n: 1 } } : { reason }) };
}

function operation(it: InstanceWorld, pick: number): EngineEvent {
  const tasks = [...it.plan.tasks.keys()];
  const by = 'op';
  const kinds: readonly EngineEvent[] = [
    { type: 'pause', by },
    { type: 'resume', by },
    { type: 'skip-task', task: tasks[pick % tasks.length] ?? '', by },
    { type: 'skip-task', task: tasks[(pick * 7) % tasks.length] ?? '', by },
    { type: 'set-priority', priority: pick % 3, by },
    { type: 'skip-task', task: 'zz', by },
    { type: 'pause', by },
    { type: 'resume', by },
    ...(pick % 5 === 0 ? ([{ type: 'stop', by }] as const) : []),
    { type: 'settle' },
  ];
  return kinds[Math.floor(pick / 10) % kinds.length] ?? { type: 'settle' };
}

/** Commands in some order, the ends of some attempts among them, all in one step. */
function batch(watched: Watched, pick: number): EngineEvent[] {
  const { it } = watched;
  const events: EngineEvent[] = [];
  for (let count = pick % 4; count > 0 && it.commands.length > 0; count--)
    events.push(...it.commands.splice(pick % 3 === 0 ? (pick + count) % it.commands.length : 0, 1));
  const first = it.active.size === 0 ? 0 : pick % it.active.size;
  const attempts = [...it.active.values()].slice(first, first + (Math.floor(pick / 4) % 4));
  const ends = attempts.flatMap((one, index) => endOf(watched, one, pick + index) ?? []);
  return pick % 2 === 0 ? [...ends, ...events] : [...events, ...ends];
}

function turn(watched: Watched, pick: number, operators: boolean): void {
  const { it, dead } = watched;
  if (pick % 13 === 0 && it.workers.length > 1)
    dead.add(it.workers.splice(pick % it.workers.length, 1)[0]?.incarnation ?? '');
  if (operators && pick % 3 === 0) it.commands.push(operation(it, pick));
  if (!operators) {
    if (it.live.state === 'paused' || it.live.state === 'pausing') it.commands.push({ type: 'resume', by: 'op' });
    // At the latest now the limit lets it in.
    if (!it.live.begun) it.commands.unshift(watched.begin);
  }
  const moves: (() => void)[] = [
    ...[...it.ready.keys()].map((task) => () => it.claim(task)),
    ...[...it.delayed.keys()].map((task) => () => it.release(task)),
  ];
  const events = batch(watched, pick);
  if (events.length > 0) moves.push(() => it.step(events));
  moves[pick % moves.length]?.();
  // What was not applied now is still to come.
  if (events.length > 0 && pick % moves.length !== moves.length - 1)
    it.commands.unshift(...events.filter(({ type }) => type !== 'attempt-ended'));
}

function live(watched: Watched, { picks }: Drawn, salt: number): void {
  const { it } = watched;
  it.meanwhile = () => {
    for (const [at, task] of [...it.ready.keys()].entries()) if ((at + salt) % 2 === 0) it.claim(task);
    for (const task of it.delayed.keys()) if (salt % 3 === 0) it.release(task);
  };
  for (let now = 0; it.state.end === undefined; now++) {
    assert.ok(now < 4000, 'an instance ends');
    turn(watched, (picks[now % picks.length] ?? 0) + now * 11 + salt, now < 120);
    checkFold(it);
  }
}

function checkFold(it: InstanceWorld): void {
  const folded = foldHistory(it.history, it.definition);
  assert.deepEqual(folded.violations, []);
  assert.deepEqual([folded.generation, folded.end?.state], [it.live.generation, it.state.end]);
  if (it.state.end === undefined)
    assert.deepEqual(
      [folded.state, folded.unfinished, folded.failures.length, folded.failures[0] ?? folded.stopped[0], folded.ending],
      [it.live.state, it.live.unfinished, it.live.failed, it.live.failure?.task, it.live.ending],
    );
  for (const [id, { end }] of folded.tasks) {
    const row = it.finished.get(id);
    assert.deepEqual(
      end && [end.state, end.attemptId, end.reason?.code],
      row && [row.state, row.attemptId, row.reason?.code],
    );
  }
}

test('random operations, reports and timers in random batches, broadcasts among them: every generation ends, and its history folds into its rows', () => {
  fc.assert(
    fc.property(drawn, (given) => {
      const { queued, generations } = given;
      const it = instanceWorld(workflow(given), { queued });
      for (const name of ['1', '2', '3', '4']) it.workers.push({ incarnation: name, worker: `w${name}` });
      const watched: Watched = { it, dead: new Set(), begin: { type: 'start' } };
      for (let generation = 1; ; generation++) {
        live(watched, given, generation);
        if (generation === generations) return;
        const pick = (given.picks[generation] ?? 0) + generation;
        const tasks = [...it.plan.tasks.keys()];
        const mode = MODES[pick % MODES.length] ?? 'rerun';
        const task = tasks[Math.floor(pick / 5) % tasks.length] ?? 't0';
        const named = mode === 'rerun' || mode === 'recover' ? {} : { task };
        it.again(mode, named.task, { queued: pick % 3 === 0 });
        watched.begin = { type: 'begin', mode, by: 'op', ...named };
      }
    }),
    { numRuns: 400 },
  );
});
