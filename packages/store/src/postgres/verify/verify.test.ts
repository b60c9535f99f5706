import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { taskOf } from '@keelson/core/testing';
import { openBench } from '../../conformance/bench.ts';
import type { Bench } from '../../conformance/bench.ts';
import { again } from '../../conformance/operations.ts';
import type { Subject } from '../../conformance/subject.ts';
import type { ReportedEnd } from '../../engine.ts';
import type { LiveOperation } from '../../operations.ts';
import { namedWorkflow, openWorld } from '../../testing/world.ts';
import type { World } from '../../testing/world.ts';
import type { VerifyOptions, Violation } from '../../verify.ts';
import { createDoctor } from '../invariants/doctor.ts';
import { ensurePartition, instanceIds } from '../schema/partitions.ts';
import { openSession, poolRunner } from '../connection/session.ts';
import { createVerifier } from './verify.ts';
import { tokenSet } from './tokens.ts';

const DEFINITION = namedWorkflow('demo', 'etl', [
  taskOf('a', [], { retry: { max: 1, delayMs: 0, backoff: 'fixed', maxDelayMs: 1000 } }),
  taskOf('b', ['a'], { delayMs: 1 }),
  taskOf('c', ['a', 'b']),
  taskOf('d', [], { allowFailure: true }),
]);

interface House {
  readonly world: World;
  readonly bench: Bench;
  verify(options?: VerifyOptions): Promise<{ instances: number; violations: Violation[] }>;
}

async function house(t: TestContext, definition = DEFINITION): Promise<House> {
  const world = await openWorld(t);
  await world.apply(definition);
  const { pool, settings } = world;
  const open = () => openSession(settings);
  const nextId = instanceIds(poolRunner(pool), (index) => ensurePartition(pool, index));
  const bench = await openBench(t, { open, nextId } as unknown as Subject, definition);
  return {
    world,
    bench,
    verify: async (options) => {
      const all = { instances: 0, violations: [] as Violation[] };
      for await (const { instances, violations } of createVerifier(pool).verify(options)) {
        all.instances += instances;
        all.violations.push(...violations);
      }
      return all;
    },
  };
}

async function claim({ engine, incarnationId }: Bench, count: number): Promise<ReportedEnd[]> {
  const slots = Array.from({ length: count }, () => incarnationId);
  const { bound } = await engine.claim({ workerGroup: 'default', capabilities: ['processor'], slots, nonce: 'c' });
  return bound.map((attempt) => ({ ...attempt, end: 'succeeded', startedAgoMs: 5, endedAgoMs: 1 }));
}

/** One turn of everything: commands, delays, some attempts that start and end as `fate` says. */
async function turn(
  { bench, world }: House,
  count: number,
  fate: (report: ReportedEnd) => ReportedEnd,
): Promise<number> {
  const { engine, timers } = bench;
  const { decided } = await bench.commands();
  await world.sql('update delayed set due_at = clock_timestamp()');
  await timers.releaseDelayed(100);
  const bound = await claim(bench, count);
  await engine.started(bound.filter(({ attemptId }) => Number(attemptId) % 2 === 0));
  if (bound.length > 0) await bench.report(bound.map(fate));
  return decided.length + bound.length;
}

const failing = { end: 'failed', reason: { code: 'x', message: 'x' } } as const;

test('every history of the engine folds to its rows, at every moment of it', async (t) => {
  const it = await house(t);
  const ids = [];
  for (let index = 0; index < 12; index++) ids.push(await it.bench.start());
  const fate = (report: ReportedEnd): ReportedEnd => {
    const dice = (Number(report.attemptId) * 7 + Number(report.instanceId)) % 10;
    if (dice < 2) return { ...report, ...failing };
    return dice === 2 ? { ...report, end: 'lost', reason: { code: 'worker-lost', message: 'x' } } : report;
  };
  for (let round = 0; (await turn(it, 3 + (round % 4), fate)) > 0; round++) {
    if (round === 2) await it.bench.stop(ids[3] ?? '');
    if (round === 3) await it.bench.engine.park(ids[5] ?? '', { code: 'command-parked', message: 'broken' });
    assert.deepEqual((await it.verify()).violations, [], `round ${round}`);
  }
  assert.deepEqual(await it.verify(), { instances: 12, violations: [] });
  const ends = await it.world.sql('select state, count(*)::int from instance_end group by state order by state');
  assert.deepEqual(
    ends.map(({ state }) => state),
    ['failed', 'stopped', 'succeeded'],
  );
});

/** A small generator of its own: the same numbers each time. */
function dice(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * most);
  };
}

const OPERATIONS: readonly LiveOperation[] = [
  { type: 'pause' },
  { type: 'pause' },
  { type: 'resume' },
  { type: 'resume' },
  { type: 'resume' },
  { type: 'stop' },
  ...['a', 'b', 'c', 'd'].map((task) => ({ type: 'skip-task', task }) as const),
  { type: 'set-priority', priority: 4 },
];
const MODES = ['rerun', 'recover', 'from', 'only', 'force-success'] as const;

for (const seed of [1, 2, 3]) {
  test(`operations at any moment fold to their rows, generation after generation (${seed})`, async (t) => {
    const it = await house(t);
    const ids = [];
    for (let index = 0; index < 6; index++) ids.push(await it.bench.start());
    const doctor = createDoctor(it.world.pool, () => openSession(it.world.settings));
    const roll = dice(seed);
    const fate = (report: ReportedEnd): ReportedEnd => (roll(4) === 0 ? { ...report, ...failing } : report);
    for (let round = 0; round < 60; round++) {
      await it.world.sql("update worker_incarnation set lease_until = clock_timestamp() + interval '1 minute'");
      const id = ids[roll(ids.length)] ?? '';
      const operation = OPERATIONS[roll(OPERATIONS.length)] ?? { type: 'resume' };
      if (roll(3) > 0) await it.bench.ask(id, operation);
      const [row] = await it.world.sql('select max(generation)::int as last from instance_end where instance_id = $1', [
        id,
      ]);
      const mode = MODES[roll(MODES.length)] ?? 'rerun';
      const task = mode === 'rerun' || mode === 'recover' ? undefined : 'abcd'[roll(4)];
      if (typeof row?.last === 'number')
        await it.bench.operations.beginGeneration(again(it.bench, id, mode, task, row.last));
      if (roll(2) === 0) assert.deepEqual((await it.verify()).violations, [], `round ${round}, asked`);
      await turn(it, roll(4), fate);
      assert.deepEqual((await it.verify()).violations, [], `round ${round}`);
      const broken = (await doctor.check()).filter(({ rows }) => rows.length > 0);
      assert.deepEqual(
        broken.map(({ name, rows }) => [name, rows]),
        [],
        `round ${round}`,
      );
    }
    for (const id of ids) await it.bench.ask(id, { type: 'resume' });
    while ((await turn(it, 5, (report) => report)) > 0);
    assert.deepEqual((await it.verify()).violations, []);
    assert.deepEqual(await it.world.sql('select id, state from live_instance'), [], 'and all of them end');
    const [most] = await it.world.sql('select max(generation)::int as most from instance_end');
    assert.ok(most?.most > 2);
  });
}

test('an attempt that is active, and one that a park took away, are compared too', async (t) => {
  const it = await house(t);
  const id = await it.bench.start();
  await it.bench.commands();
  const [one] = await claim(it.bench, 2);
  assert.ok(one);
  assert.deepEqual((await it.verify()).violations, []);
  assert.equal(await it.bench.engine.park(id, { code: 'command-parked', message: 'broken' }), true);
  assert.deepEqual(await it.verify(), { instances: 1, violations: [] });
  const rows = await it.world.sql('select task, state, attempt from finished_task order by task');
  assert.deepEqual(
    rows.map(({ task, state, attempt }) => `${task} ${state} ${attempt}`),
    ['a stopped 1', 'b stopped 0', 'c stopped 0', 'd stopped 1'],
  );
});

/** What is done to an instance in the middle ($1) or to one that has ended ($2); the check that has to notice. */
const DAMAGES: readonly (readonly [string, string, task?: string])[] = [
  ['delete from instance_end', 'end-row'],
  ["insert into instance_end (instance_id, generation, state) values ($1, 1, 'failed')", 'end-row'],
  ['update live_instance set unfinished = 1', 'live-row'],
  ['update live_instance set generation = 2', 'live-row'],
  ['delete from live_instance', 'live-row'],
  ["delete from finished_task where instance_id = $2 and task = 'c'", 'finished-task', 'c'],
  [
    `insert into finished_task (instance_id, generation, task, state, attempt, ended_at) values ($1, 1, 'b', 'skipped', 0, now())`,
    'finished-task',
    'b',
  ],
  ['delete from earlier_attempt', 'earlier-attempts', 'a'],
  ['delete from ready', 'ready', 'd'],
  ["update ready set task = 'b'", 'ready', 'b'],
  ['delete from active', 'active', 'a'],
  ['update active set attempt = 5', 'active', 'a'],
  ["insert into need_counter values ($1, 'c', 1)", 'need-counter', 'c'],
  ['delete from history where instance_id = $1', 'creation'],
  ['delete from history where instance_id = $2 and events @> \'[{"type": "task-dispatched"}]\'', 'wrong-attempt'],
  [
    `insert into history (instance_id, events) values ($2, '[{"type": "task-ready", "task": "a", "attempt": 9}]')`,
    'event-after-end',
    'a',
  ],
  [
    `insert into history (instance_id, events) values ($1, '[{"type": "task-ready", "task": "c", "attempt": 1}]')`,
    'need-not-ended',
    'c',
  ],
  ['update active set id = (select min(attempt_id) from finished_task)', 'token'],
  [`insert into history (instance_id, events) values (404, '[]')`, 'instance'],
  [
    `insert into held (instance_id, task, generation, attempt, worker_group, capability, priority) values ($1, 'd', 1, 1, 'g', 'c', 0)`,
    'held',
    'd',
  ],
  [
    `insert into instance_generation (instance_id, generation, mode, version_id, params, created_by) values ($2, 2, 'rerun', 1, '{}', 'x')`,
    'generation',
  ],
];

for (const [sql, check, task] of DAMAGES) {
  test(`noticed as ${check}: ${sql}`, async (t) => {
    const it = await house(t);
    const middle = await it.bench.start();
    let first = true;
    const fate = (report: ReportedEnd): ReportedEnd => {
      const fails = first && report.task === 'a';
      if (fails) first = false;
      return fails ? { ...report, ...failing } : report;
    };
    await it.world.sql('update command set not_before = $1', ['infinity']);
    const ended = await it.bench.start();
    while ((await turn(it, 5, fate)) > 0);
    await it.world.sql('update command set not_before = $1', ['-infinity']);
    await it.bench.commands();
    assert.equal((await claim(it.bench, 1))[0]?.task, 'a');
    // Behind the middle one, so that what has no instance lies between two that are looked at.
    await it.world.sql("select setval('instance_id', 500)");
    assert.deepEqual(await it.verify(), { instances: 2, violations: [] });
    await it.world.sql(sql.replaceAll('$1', middle).replaceAll('$2', ended));
    if (check === 'instance')
      await it.world.sql(
        'insert into workflow_instance select 500, workflow_id, version_id, params, run_time, trigger, priority, created_by from workflow_instance limit 1',
      );
    const { violations } = await it.verify();
    const seen = violations.find((one) => one.check === check && (task === undefined || one.task === task));
    assert.ok(seen, JSON.stringify(violations));
  });
}

const SPREAD = namedWorkflow('demo', 'etl', [
  taskOf('f', [], {
    broadcast: { parallel: 2, maxFailed: 3, after: { uses: 'processor', with: {}, env: {} } },
    retry: { max: 1, delayMs: 0, backoff: 'fixed', maxDelayMs: 1000 },
  }),
]);

test('the subtasks of a broadcast fold to their rows, and a row on another worker is noticed', async (t) => {
  const it = await house(t, SPREAD);
  const { engine, workers } = it.bench;
  const holders = [it.bench.incarnationId, await it.bench.register('w2'), await it.bench.register('w3')];
  const id = await it.bench.start();
  await it.bench.commands();
  const held = async () => {
    assert.deepEqual((await it.verify()).violations, []);
    return engine.activeOf(holders);
  };
  const first = await held();
  assert.equal(first.length, 2, 'two at once');
  await engine.started(first.map((one) => ({ ...one, startedAgoMs: 1 })));
  const said = { startedAgoMs: 5, endedAgoMs: 1 };
  await it.bench.report(first.slice(0, 1).map((one) => ({ ...one, ...said, ...failing })));
  assert.equal((await held()).length, 2, 'one of them again');
  await workers.leave(holders[1] ?? '');
  await it.bench.commands();
  for (let round = 0; round < 3; round++)
    await it.bench.report((await held()).map((one) => ({ ...one, ...said, end: 'succeeded' })));
  await held();
  const [after] = await claim(it.bench, 1);
  assert.ok(after);
  await it.bench.report([after]);
  assert.deepEqual(await it.verify(), { instances: 1, violations: [] });
  const ends = await it.world.sql('select state from finished_subtask order by state');
  assert.deepEqual(
    ends.map(({ state }) => state),
    ['lost', 'succeeded', 'succeeded'],
  );
  await it.world.sql('alter table finished_subtask disable trigger append_only');
  await it.world.sql("update finished_subtask set incarnation_id = 77 where instance_id = $1 and state = 'lost'", [id]);
  const checks = (await it.verify()).violations.map(({ check, task }) => `${check} ${task}`);
  assert.deepEqual(checks, ['subtask f', 'subtask f'], 'one that is missing, and one that is strange');
});

test('what the doctor repairs folds to its rows again', async (t) => {
  const it = await house(t);
  await it.bench.start();
  await it.bench.commands();
  await claim(it.bench, 1);
  await it.world.sql('delete from ready');
  assert.notDeepEqual((await it.verify()).violations, []);
  const doctor = createDoctor(it.world.pool, () => openSession(it.world.settings));
  const repairs = await doctor.repair('me');
  assert.deepEqual(
    repairs.map(({ rule }) => rule),
    ['task-without-driver'],
  );
  assert.deepEqual((await it.verify()).violations, []);
  await it.world.sql("update worker_incarnation set state = 'dead'");
  await doctor.repair('me');
  for (let index = 0; index < 3; index++) await it.bench.commands();
  assert.deepEqual((await it.verify()).violations, []);
  const lines = await it.world.sql('select task, attempt, losses from ready order by task');
  assert.deepEqual(
    lines.map(({ task, attempt, losses }) => [task, attempt, losses]),
    [
      ['a', 2, 1],
      ['d', 2, 1],
    ],
  );
});

test('only one instance, or only those since an id or a time', async (t) => {
  const it = await house(t);
  const ids = [await it.bench.start(), await it.bench.start(), await it.bench.start()];
  assert.equal((await it.verify({ instance: ids[1] })).instances, 1);
  assert.equal((await it.verify({ sinceId: ids[1] })).instances, 2);
  const [row] = await it.world.sql('select created_at::text as time from workflow_instance where id = $1', [ids[2]]);
  assert.equal((await it.verify({ sinceTime: row?.time })).instances, 1);
  assert.equal((await it.verify({ sinceTime: '2100-01-01T00:00:00Z' })).instances, 0);
});

test('a token is known again, however far apart the tokens are', () => {
  const tokens = tokenSet();
  for (const token of ['1', '2', '65536', '65537', '9007199254740000']) assert.equal(tokens.add(token), true, token);
  for (const token of ['2', '65536', '9007199254740000']) assert.equal(tokens.add(token), false, token);
  assert.equal(tokens.add('3'), true);
});
