import assert from 'node:assert/strict';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { generationKey } from '../ids.ts';
import type { GenerationRequest } from '../operations.ts';
import { ConnectionLost } from '../postgres/connection/errors.ts';
import { createOperations } from '../postgres/engine/operations.ts';
import { assertNothingHot, claimAll, only, openBench } from './bench.ts';
import type { Bench } from './bench.ts';
import type { Cases } from './subject.ts';

/** a → b → c, with d delayed beside them. */
const DEFINITION = workflowOf([
  taskOf('a'),
  taskOf('b', ['a']),
  taskOf('c', ['b']),
  taskOf('d', [], { delayMs: 3_600_000 }),
]);
const CHAIN = workflowOf([taskOf('a'), taskOf('b', ['a']), taskOf('c', ['b'])]);
const FAILED = { end: 'failed', reason: { code: 'exit-code', message: 'exit code 1' } } as const;

/** Applies all commands, those that follow from them too. */
export async function settleAll(it: Bench): Promise<void> {
  while ((await it.commands()).decided.length > 0);
}

/** Runs whatever is in line until nothing is; the tasks of these names fail. */
export async function runAll(it: Bench, failing: readonly string[] = []): Promise<string[]> {
  const ran: string[] = [];
  for (;;) {
    await settleAll(it);
    const bound = await claimAll(it);
    if (bound.length === 0) return ran;
    ran.push(...bound.map(({ task }) => task));
    await it.report(bound.map((one) => (failing.includes(one.task) ? { ...one, ...FAILED } : one)));
  }
}

/** What a caller asks who saw this generation end. */
export function again(it: Bench, instanceId: string, mode: GenerationRequest['mode'], task?: string, after = 1) {
  const named = task === undefined ? {} : { task };
  const { versionId, taskCount, params } = it.request;
  return { instanceId, after, mode, ...named, versionId, taskCount, params, by: 'me' } satisfies GenerationRequest;
}

const eventsOf = async (it: Bench): Promise<string[]> =>
  (await it.subject.rows('history'))
    .toSorted((one, other) => Number(one['id']) - Number(other['id']))
    .flatMap(({ events }) => (events as { type: string }[]).map(({ type }) => type));

const ends = (it: Bench): Promise<string[]> =>
  it.texts('finished_task', 'generation', 'task', 'state', 'attempt', 'carried_from');

/** Pausing, skipping, priorities, and what begins again. */
export const OPERATIONS: Cases = {
  'a pause holds what is in line and what follows; what runs runs on; a resume lets all of it go': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, DEFINITION);
    const id = await it.start();
    await it.commands();
    const a = only(await claimAll(it));
    assert.equal(await it.ask(id, { type: 'pause' }), 'requested');
    const { killing, moreCommands } = await it.commands();
    assert.deepEqual([killing, moreCommands], [[], true]);
    assert.deepEqual(await it.texts('held', 'task', 'cause', 'attempt'), ['d delay 1']);
    await it.commands();
    assert.deepEqual(await it.texts('live_instance', 'state'), ['pausing'], 'a runs');
    await it.report([a]);
    assert.deepEqual(await it.texts('live_instance', 'state'), ['paused']);
    assert.deepEqual(await it.texts('held', 'task'), ['b', 'd']);
    assert.deepEqual([await it.rows('ready'), await it.rows('delayed')], [[], []]);
    const [left] = await it.rows('held', 'delay_left_ms');
    assert.ok(Number(left?.['delay_left_ms']) >= 0);
    assert.equal(await it.ask(id, { type: 'resume' }), 'requested');
    const resumed = await it.commands();
    assert.deepEqual([resumed.delayed, resumed.waiting], [true, [{ workerGroup: 'default', capability: 'processor' }]]);
    assert.deepEqual([await it.texts('ready', 'task'), await it.texts('delayed', 'task')], [['b'], ['d']]);
    assert.deepEqual(await it.rows('held'), []);
    await runAll(it);
    await subject.endDelays();
    await it.timers.releaseDelayed(10);
    await runAll(it);
    assert.deepEqual(await it.texts('instance_end', 'state'), ['succeeded']);
    await assertNothingHot(it);
  },

  'a pause and a resume that are applied together change nothing': async (t, subject) => {
    const it = await openBench(t, subject, DEFINITION);
    const id = await it.start();
    await it.commands();
    await it.ask(id, { type: 'pause' });
    await it.ask(id, { type: 'resume' });
    await settleAll(it);
    assert.deepEqual([await it.texts('ready', 'task'), await it.texts('delayed', 'task')], [['a'], ['d']]);
    assert.deepEqual([await it.rows('held'), await it.texts('live_instance', 'state')], [[], ['running']]);
  },

  'a stop takes what is held with it, and an end by parking too': async (t, subject) => {
    const it = await openBench(t, subject, DEFINITION);
    const [stopped, parked] = [await it.start(), await it.start()];
    await it.commands();
    for (const id of [stopped, parked]) await it.ask(id, { type: 'pause' });
    await settleAll(it);
    assert.deepEqual(await it.texts('live_instance', 'state'), ['paused', 'paused']);
    assert.equal((await it.rows('held')).length, 4);
    assert.equal(await it.stop(stopped), 'requested');
    await settleAll(it);
    assert.equal(await it.engine.park(parked, { code: 'command-parked', message: 'broken' }), true);
    assert.deepEqual(await it.texts('instance_end', 'state'), ['failed', 'stopped']);
    await assertNothingHot(it);
  },

  'what is asked for twice is one command, and what contradicts it is another': async (t, subject) => {
    const it = await openBench(t, subject, CHAIN);
    const id = await it.start();
    await it.commands();
    const answers = [];
    for (const type of ['resume', 'pause', 'pause', 'resume', 'pause', 'stop', 'stop', 'resume', 'pause'] as const)
      answers.push(await it.ask(id, { type }));
    const [already, requested, refused] = ['already', 'requested', 'refused'];
    const expected = [already, requested, already, requested, requested, requested, already, refused, refused];
    assert.deepEqual(answers, expected);
    assert.equal(await it.ask(id, { type: 'skip-task', task: 'c' }), 'refused');
    assert.deepEqual(await it.texts('command', 'kind'), ['pause', 'pause', 'resume', 'stop']);
    await settleAll(it);
    assert.equal(await it.ask(id, { type: 'pause' }), 'ended');
    assert.equal(await it.ask('999999', { type: 'pause' }), 'unknown');
    assert.equal(await it.ask('x', { type: 'pause' }), 'unknown');
  },

  'a task is skipped wherever it waits, and the rest goes on': async (t, subject) => {
    const it = await openBench(t, subject, DEFINITION);
    const id = await it.start();
    await it.commands();
    const skip = (task: string) => it.ask(id, { type: 'skip-task', task });
    assert.deepEqual([await skip('d'), await skip('d'), await skip('c')], ['requested', 'already', 'requested']);
    await settleAll(it);
    assert.deepEqual(await it.rows('delayed'), []);
    assert.equal(await skip('d'), 'already');
    const a = only(await claimAll(it));
    assert.equal(await skip('a'), 'task-refused');
    await it.report([a]);
    assert.equal(await skip('a'), 'task-refused');
    assert.deepEqual(await it.texts('ready', 'task'), ['b']);
    assert.equal(await skip('b'), 'requested');
    await settleAll(it);
    const skipped = ['1 a succeeded 1 ', '1 b skipped 0 ', '1 c skipped 0 ', '1 d skipped 0 '];
    assert.deepEqual(await ends(it), skipped);
    assert.deepEqual(await it.texts('instance_end', 'state'), ['succeeded']);
    await assertNothingHot(it);
  },

  'a task that is held is skipped, too': async (t, subject) => {
    const it = await openBench(t, subject, DEFINITION);
    const id = await it.start();
    await it.commands();
    await it.ask(id, { type: 'pause' });
    await settleAll(it);
    for (const task of ['a', 'd']) await it.ask(id, { type: 'skip-task', task });
    await settleAll(it);
    assert.deepEqual(await it.texts('held', 'task'), ['b'], 'what follows is held in its place');
    assert.deepEqual(await it.texts('finished_task', 'task', 'state'), ['a skipped', 'd skipped']);
  },

  'the priority of an instance moves all that is in line': async (t, subject) => {
    const it = await openBench(t, subject, DEFINITION);
    const [id, held] = [await it.start(), await it.start()];
    await it.commands();
    await it.ask(held, { type: 'pause' });
    await settleAll(it);
    const set = (of: string, priority: number) => it.ask(of, { type: 'set-priority', priority });
    assert.deepEqual([await set(id, 0), await set(id, 7), await set(id, 7)], ['already', 'requested', 'already']);
    assert.deepEqual([await set(id, 5), await set(held, -3)], ['requested', 'requested']);
    await settleAll(it);
    assert.deepEqual(await it.texts('live_instance', 'priority'), ['-3', '5']);
    assert.deepEqual(await it.texts('ready', 'task', 'priority'), ['a 5']);
    assert.deepEqual(await it.texts('delayed', 'task', 'priority'), ['d 5']);
    assert.deepEqual(await it.texts('held', 'task', 'priority'), ['a -3', 'd -3']);
  },

  'what can be asked of an instance that waits for a slot: not to pause, but to skip, to hurry, and to stop': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, CHAIN);
    await it.limit('serial-wait', 1);
    const [first, second] = [await it.start(), await it.start()];
    const asked = [];
    for (const operation of [
      { type: 'pause' },
      { type: 'resume' },
      { type: 'skip-task', task: 'a' },
      { type: 'set-priority', priority: 2 },
    ] as const)
      asked.push(await it.ask(first, operation));
    assert.deepEqual(asked, ['refused', 'refused', 'requested', 'requested']);
    await settleAll(it);
    assert.deepEqual(await it.texts('live_instance', 'id', 'state', 'priority'), [
      `${first} queued 2`,
      `${second} queued 0`,
    ]);
    assert.deepEqual(await it.texts('finished_task', 'task', 'state'), ['a skipped']);
    assert.deepEqual(await it.rows('ready'), [], 'nothing follows before it begins');
    assert.equal(await it.ask(first, { type: 'skip-task', task: 'a' }), 'already');
    assert.equal(await it.stop(second), 'requested');
    await settleAll(it);
    assert.deepEqual(await it.texts('instance_end', 'instance_id', 'state'), [`${second} stopped`]);
    await it.admission.admit();
    assert.deepEqual(await runAll(it), ['b', 'c']);
    await it.admission.admit();
    assert.deepEqual([await it.rows('slot'), await it.rows('followup')], [[], []]);
    await assertNothingHot(it);
  },

  'a recovery keeps what succeeded and does the rest again': async (t, subject) => {
    const it = await openBench(t, subject, CHAIN);
    const id = await it.start();
    assert.deepEqual(await runAll(it, ['b']), ['a', 'b']);
    assert.deepEqual(await it.texts('instance_end', 'generation', 'state'), ['1 failed']);
    const begun = { kind: 'begun', generation: 2, state: 'running' } as const;
    assert.deepEqual(await it.operations.beginGeneration(again(it, id, 'recover')), begun);
    const live = await it.texts('live_instance', 'generation', 'state', 'unfinished', 'begun');
    assert.deepEqual(live, ['2 running 3 false']);
    assert.deepEqual(await runAll(it), ['b', 'c']);
    assert.deepEqual(await it.texts('instance_end', 'generation', 'state'), ['1 failed', '2 succeeded']);
    const kept = ['1 a succeeded 1 ', '1 b failed 1 ', '1 c skipped 0 '];
    assert.deepEqual(await ends(it), [...kept, '2 a succeeded 1 1', '2 b succeeded 1 ', '2 c succeeded 1 ']);
    const [first, second] = (await it.rows('finished_task', 'task', 'attempt_id', 'generation')).filter(
      ({ task }) => task === 'a',
    );
    assert.equal(first?.['attempt_id'], second?.['attempt_id'], 'its log is found');
    await assertNothingHot(it);
    await it.operations.beginGeneration(again(it, id, 'from', 'b', 2));
    assert.deepEqual(await runAll(it), ['b', 'c']);
    const third = (await ends(it)).filter((row) => row.startsWith('3'));
    assert.deepEqual(
      third,
      ['3 a succeeded 1 1', '3 b succeeded 1 ', '3 c succeeded 1 '],
      'where it ended, not where it was',
    );
    const started = (await eventsOf(it)).filter((type) => type.startsWith('generation'));
    assert.deepEqual(started, Array.from({ length: 2 }, () => ['generation-created', 'generation-started']).flat());
  },

  'one task alone, and a failed one that counts as succeeded': async (t, subject) => {
    const it = await openBench(t, subject, CHAIN);
    const id = await it.start();
    await runAll(it, ['b']);
    await it.operations.beginGeneration(again(it, id, 'only', 'c'));
    assert.deepEqual(await runAll(it), ['c']);
    assert.deepEqual(await it.texts('instance_end', 'generation', 'state'), ['1 failed', '2 failed']);
    await it.operations.beginGeneration(again(it, id, 'force-success', 'b', 2));
    await runAll(it);
    const third = (await ends(it)).filter((row) => row.startsWith('3'));
    assert.deepEqual(third, ['3 a succeeded 1 1', '3 b succeeded 0 ', '3 c succeeded 1 2']);
    assert.deepEqual((await it.texts('instance_end', 'generation', 'state')).at(-1), '3 succeeded');
    await assertNothingHot(it);
  },

  'a generation has its own params and version; a late report of the one before is settled': async (t, subject) => {
    const it = await openBench(t, subject, CHAIN);
    const id = await it.start();
    await it.commands();
    const late = only(await claimAll(it));
    await it.stop(id);
    await it.commands();
    await it.report([{ ...late, end: 'stopped' }]);
    await settleAll(it);
    const request = { ...again(it, id, 'rerun'), params: { day: '2026-02-03' }, versionId: '2' };
    await it.operations.beginGeneration(request);
    const keys = [1, 2].map((generation) => ({ instanceId: id, generation }));
    const facts = await it.engine.facts(keys);
    const of = (generation: number) => facts.get(generationKey(id, generation));
    assert.deepEqual([of(1)?.params, of(2)?.params], [{}, { day: '2026-02-03' }]);
    assert.deepEqual([of(1)?.versionId, of(2)?.versionId, of(2)?.generation], ['1', '2', 2]);
    const seen: unknown[] = [];
    const mind: typeof it.mind = {
      ...it.mind,
      decide: (loaded) => {
        seen.push([loaded.facts.params, loaded.live.versionId]);
        return it.mind.decide(loaded);
      },
    };
    const fresh = await it.engine.step({ reports: [late], demand: [], commandLimit: 0 }, mind);
    assert.deepEqual([fresh.settled.length, fresh.decided], [1, [id]], 'the begin went along');
    assert.deepEqual(seen.at(-1), [{ day: '2026-02-03' }, '2']);
    assert.deepEqual(await it.texts('ready', 'generation', 'task'), ['2 a']);
  },

  'what was read ahead for a late report is how the tasks ended in its generation, and in no other': async (
    t,
    subject,
  ) => {
    const it = await openBench(t, subject, workflowOf([taskOf('a'), taskOf('b'), taskOf('c', ['a', 'b'])]));
    const id = await it.start();
    await it.commands();
    const [a, late] = await claimAll(it);
    assert.ok(a !== undefined && late !== undefined);
    await it.report([a]);
    await it.stop(id);
    await it.commands();
    await it.report([{ ...late, end: 'stopped' }]);
    await settleAll(it);
    await it.operations.beginGeneration(again(it, id, 'recover'));
    const demand = ['a', 'c'].map((task) => ({ instanceId: id, generation: 1, task }));
    const input = { reports: [late], demand, commandLimit: 0 };
    assert.deepEqual((await it.engine.step(input, it.mind)).decided, [id], 'the begin goes along');
    assert.deepEqual(await runAll(it), ['b', 'c']);
    assert.deepEqual((await it.texts('instance_end', 'generation', 'state')).at(-1), '2 succeeded');
    await assertNothingHot(it);
  },

  'the same generation begins once, whoever asks how often': async (t, subject) => {
    const it = await openBench(t, subject, CHAIN);
    const id = await it.start();
    const begin = (request: GenerationRequest) => it.operations.beginGeneration(request);
    assert.deepEqual(await begin(again(it, id, 'rerun')), { kind: 'live', generation: 1, state: 'running' });
    await runAll(it, ['b']);
    assert.deepEqual(await begin({ ...again(it, id, 'rerun'), after: 7 }), { kind: 'changed', generation: 1 });
    assert.deepEqual(await begin({ ...again(it, id, 'rerun'), instanceId: '404' }), { kind: 'unknown' });
    const answers = await Promise.all(Array.from({ length: 6 }, () => begin(again(it, id, 'recover'))));
    assert.deepEqual(answers.map(({ kind }) => kind).toSorted(), [
      ...Array.from({ length: 5 }, () => 'already'),
      'begun',
    ]);
    assert.deepEqual(await begin(again(it, id, 'rerun')), { kind: 'live', generation: 2, state: 'running' });
    assert.equal((await begin({ ...again(it, id, 'recover'), params: { other: 1 } })).kind, 'live');
    assert.deepEqual(await it.texts('command', 'kind'), ['begin']);
    await runAll(it);
    assert.equal((await begin(again(it, id, 'recover'))).kind, 'already', 'and long ago');
    assert.deepEqual(await begin(again(it, id, 'from', 'b')), { kind: 'changed', generation: 2 });
    assert.equal((await it.rows('instance_generation')).length, 1);
  },

  'an operation whose answer was lost is asked again, and done once': async (t, subject) => {
    const it = await openBench(t, subject, CHAIN);
    const id = await it.start();
    const session = subject.open();
    t.after(() => session.close());
    let losses = 0;
    const operations = createOperations({
      run: async (calls) => {
        const rows = await session.run(calls);
        if (losses-- > 0) throw new ConnectionLost(true, undefined);
        return rows;
      },
    });
    losses = 1;
    assert.equal((await operations.operate(id, { type: 'pause' }, 'me')).kind, 'already');
    assert.deepEqual(await it.texts('command', 'kind'), ['pause', 'start']);
    await operations.operate(id, { type: 'resume' }, 'me');
    await runAll(it);
    losses = 1;
    assert.equal((await operations.beginGeneration(again(it, id, 'rerun'))).kind, 'already');
    assert.deepEqual(await it.texts('command', 'kind'), ['begin']);
    assert.deepEqual(await runAll(it), ['a', 'b', 'c']);
  },

  'a generation that is stopped before it has begun keeps what was done': async (t, subject) => {
    const it = await openBench(t, subject, CHAIN);
    const id = await it.start();
    await runAll(it, ['b']);
    await it.operations.beginGeneration(again(it, id, 'rerun'));
    await it.stop(id);
    await settleAll(it);
    const states = await it.texts('instance_end', 'generation', 'state');
    assert.deepEqual(states, ['1 failed', '2 stopped']);
    await it.operations.beginGeneration(again(it, id, 'recover', undefined, 2));
    await runAll(it);
    assert.deepEqual((await it.texts('instance_end', 'generation', 'state')).at(-1), '3 succeeded');
    await assertNothingHot(it);
  },
};
