import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { OPERATION_TABLE } from '@keelson/core';
import type { InstanceState, Operation } from '@keelson/core';
import { startDevProcess, temporaryFolder } from './support/dev-process.ts';
import { publish, publishAndStart, waitForEnd } from './support/instances.ts';
import { answerOf, CALLS, makeLeash, statesOf, storyOf, waitForState, waitForTask } from './support/operations.ts';
import { waitFor } from './support/wait-for.ts';

const SLOTS = 12;
const dev = await startDevProcess({ after }, { args: ['--slots', String(SLOTS), '--masters', '2'] });
const { client } = dev;
const folder = await temporaryFolder({ after });

const OPERATIONS = Object.keys(OPERATION_TABLE) as Operation[];

/** How an instance gets into a state and stays there: `hold` is what keeps it, `next` comes after it. */
async function instancesIn(state: InstanceState): Promise<() => Promise<string>> {
  const name = `table-${state}`;
  const next = { needs: ['hold'], run: 'true' } as const;
  const start = async () => (await client.start('default', name)).id;
  const delayed = { run: 'true', delay: '1h' };
  switch (state) {
    case 'running':
      await publish(dev, { name, tasks: { hold: delayed, next } });
      return async () => reached(await start(), async (id) => waitForTask(client, id, 'hold', 'delayed'));
    case 'queued': {
      await publish(dev, { name, concurrency: { policy: 'serial-wait' }, tasks: { hold: delayed, next } });
      const first = await start();
      after(async () => void (await client.stopInstance(first).catch(() => undefined)));
      return start;
    }
    case 'pausing': {
      const leash = await makeLeash(folder, name);
      after(() => leash.letGo('hold'));
      await publish(dev, { name, tasks: { hold: leash.task, next } });
      return async () =>
        reached(await start(), async (id) => {
          await waitForTask(client, id, 'hold', 'running');
          await client.pauseInstance(id);
        });
    }
    case 'paused':
      await publish(dev, { name, tasks: { hold: delayed, next } });
      return async () => reached(await start(), async (id) => void (await client.pauseInstance(id)));
    case 'stopping': {
      // What does not listen is killed after its grace; until then the instance is stopping.
      const deaf = { run: `trap '' TERM; echo deaf; while :; do sleep 1; done` };
      await publish(dev, { name, tasks: { hold: deaf, next } });
      const id = await start();
      await waitFor('the deaf task', async () =>
        new TextDecoder().decode((await client.readLog((await client.getTask(id, 'hold')).id)).bytes).includes('deaf')
          ? true
          : undefined,
      );
      await client.stopInstance(id);
      return async () => id;
    }
    case 'stopped':
      await publish(dev, { name, tasks: { hold: delayed, next } });
      return async () => reached(await start(), async (id) => void (await client.stopInstance(id)));
    case 'failed':
      await publish(dev, { name, tasks: { hold: { run: 'false' }, next } });
      return start;
    case 'succeeded':
      await publish(dev, { name, tasks: { hold: { run: 'true' }, next } });
      return start;
  }
}

async function reached(id: string, lead: (id: string) => Promise<void>): Promise<string> {
  await lead(id);
  return id;
}

/** From the table; what the task's own state forbids beside it. */
function expectedAnswer(operation: Operation, state: InstanceState): string {
  if (operation === 'force-success' && state === 'succeeded') return '409 task-not-failed';
  const answer = OPERATION_TABLE[operation][state];
  if (answer.kind === 'refuse') return `409 ${answer.code}`;
  return answer.kind === 'apply' ? 'requested' : 'already';
}

for (const state of Object.keys(OPERATION_TABLE.pause) as InstanceState[]) {
  test(`an instance that is ${state} answers each operation as the table says`, async () => {
    const make = await instancesIn(state);
    const answers = await Promise.all(
      OPERATIONS.map(async (operation) => {
        const id = await make();
        await waitForState(client, id, state);
        const asking = CALLS[operation]?.call(client, id) ?? assert.fail(operation);
        return { operation, id, answer: await answerOf(asking) };
      }),
    );
    for (const { operation, answer } of answers)
      assert.equal(answer, expectedAnswer(operation, state), `${operation} of an instance that is ${state}`);
    // Whatever was asked, it can be stopped, and then it ends.
    for (const { id } of answers) await answerOf(client.stopInstance(id));
    for (const { id } of answers) await waitForEnd(client, id);
  });
}

test('an instance that there never was', async () => {
  for (const operation of OPERATIONS)
    assert.equal(await answerOf(CALLS[operation]?.call(client, '999999') ?? assert.fail()), '404 unknown-instance');
});

test('pause lets running tasks finish and starts nothing; resume goes on', async () => {
  const leash = await makeLeash(folder, 'paused');
  const id = await publishAndStart(dev, {
    name: 'paused',
    tasks: { a: leash.task, b: { ...leash.task, needs: ['a'] }, c: { ...leash.task, needs: ['b'] } },
  });
  await waitForTask(client, id, 'a', 'running');
  const pausing = dev.keelson(['pause', id, '--wait']);
  await waitForState(client, id, 'pausing');
  await leash.letGo('a', 'b', 'c');
  const { code, stderr } = await pausing;
  assert.equal(code, 0, stderr);
  const paused = await waitForState(client, id, 'paused');
  assert.equal(statesOf(paused)['a'], 'succeeded');
  assert.deepEqual(await leash.ran(), ['a']);
  const resumed = await dev.keelson(['resume', id, '--wait']);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.deepEqual(await leash.ran(), ['a', 'b', 'c']);
  const story = await storyOf(client, id);
  for (const event of [/^pause-requested by \S/, /^instance-paused$/, /^resumed by \S/])
    assert.ok(
      story.some((line) => event.test(line)),
      `${event} in ${story.join(', ')}`,
    );
});

test('two people press opposite buttons at the same time: each is answered, the instance goes one way', async () => {
  const leash = await makeLeash(folder, 'opposite');
  await publish(dev, { name: 'opposite', tasks: { a: leash.task, b: { ...leash.task, needs: ['a'] } } });
  const { id } = await client.start('default', 'opposite');
  for (let round = 0; round < 15; round++) {
    const answers = await Promise.all([
      answerOf(client.pauseInstance(id)),
      answerOf(client.resumeInstance(id)),
      answerOf(client.pauseInstance(id)),
      answerOf(client.resumeInstance(id)),
    ]);
    for (const answer of answers) assert.match(answer, /^(?:requested|already)$/);
  }
  await answerOf(client.resumeInstance(id));
  await waitForState(client, id, 'running');
  await leash.letGo('a', 'b');
  assert.equal((await waitForEnd(client, id)).state, 'succeeded');
  assert.deepEqual(await leash.ran(), ['a', 'b']);
});

test('stop beats whatever is pressed at the same time', async () => {
  await publish(dev, { name: 'beaten', tasks: { hold: { run: 'sleep 600' }, next: { needs: ['hold'], run: 'true' } } });
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      const { id } = await client.start('default', 'beaten');
      const answers = await Promise.all([
        answerOf(client.resumeInstance(id)),
        answerOf(client.pauseInstance(id)),
        answerOf(client.stopInstance(id)),
        answerOf(client.skipTask(id, 'next')),
        answerOf(client.resumeInstance(id)),
        answerOf(client.stopInstance(id)),
      ]);
      for (const answer of answers) assert.match(answer, /^(?:requested|already|409 instance-(?:stopping|ended))$/);
      assert.equal((await waitForEnd(client, id)).state, 'stopped');
    }),
  );
});

test('two reruns at once begin one generation', async () => {
  const id = await publishAndStart(dev, { name: 'twice', tasks: { a: { run: 'true' } } });
  await waitForEnd(client, id);
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => answerOf(client.rerunInstance(id, { generation: 1 }))),
  );
  assert.deepEqual(answers.toSorted(), [...Array.from({ length: 7 }, () => 'already'), 'requested']);
  const ended = await waitFor('generation 2 to end', async () => {
    const found = await client.getInstance(id);
    return found.endedAt === null ? undefined : found;
  });
  assert.deepEqual([ended.generation, ended.state], [2, 'succeeded']);
  assert.equal(await answerOf(client.recoverInstance(id, { generation: 1 })), '409 generation-changed');
});

test('rerun with another parameter: the id stays, the rest of the parameters too', async () => {
  const id = await publishAndStart(dev, {
    name: 'changed',
    params: { day: { type: 'date', default: '2026-01-01' }, size: { type: 'integer', default: 1 } },
    tasks: {
      say: {
        run: 'echo "said=$DAY $SIZE" >> "$KEELSON_OUTPUT"',
        env: { DAY: '${{ params.day }}', SIZE: '${{ params.size }}' },
      },
    },
  });
  await waitForEnd(client, id);
  const bad = await dev.keelson(['rerun', id, '-p', 'size=big']);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /size must be a whole number/);
  const { code, stderr } = await dev.keelson(['rerun', id, '-p', 'size=7', '--wait']);
  assert.equal(code, 0, stderr);
  assert.deepEqual((await client.getTask(id, 'say')).outputs, { said: '2026-01-01 7' });
  const { items } = await client.listGenerations(id);
  assert.deepEqual(
    items.map(({ generation, mode, params, state }) => [generation, mode, params['size'], state]),
    [
      [1, 'first', 1, 'succeeded'],
      [2, 'rerun', 7, 'succeeded'],
    ],
  );
  assert.match((await dev.keelson(['show', id])).stdout, /generation 2/);
});

test('rerun --from runs the task and what is after it; --only the task alone', async () => {
  const leash = await makeLeash(folder, 'from');
  await leash.letGo('a', 'b', 'side', 'c');
  const { task } = leash;
  const id = await publishAndStart(dev, {
    name: 'from',
    tasks: { a: task, b: { ...task, needs: ['a'] }, side: { ...task, needs: ['a'] }, c: { ...task, needs: ['b'] } },
  });
  assert.equal((await waitForEnd(client, id)).state, 'succeeded');
  const before = (await leash.ran()).length;
  assert.equal((await dev.keelson(['rerun', id, '--from', 'b', '--wait'])).code, 0);
  assert.deepEqual((await leash.ran()).slice(before), ['b', 'c']);
  assert.equal((await dev.keelson(['rerun', id, '--only', 'b', '--wait'])).code, 0);
  assert.deepEqual((await leash.ran()).slice(before + 2), ['b']);
  const last = await client.getInstance(id);
  assert.deepEqual([last.generation, last.state], [3, 'succeeded']);
  assert.deepEqual(new Set(Object.values(statesOf(last))), new Set(['succeeded']));
  const unknown = await dev.keelson(['rerun', id, '--from', 'bb']);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /no task "bb"/);
});

test('recover runs what failed and what never ran, and nothing else', async () => {
  const leash = await makeLeash(folder, 'recovered');
  await leash.letGo('a', 'b', 'side', 'c');
  await leash.fail('b');
  const { task } = leash;
  const id = await publishAndStart(dev, {
    name: 'recovered',
    tasks: {
      a: task,
      b: { ...task, needs: ['a'] },
      side: { ...task, needs: ['a'] },
      c: { ...task, needs: ['b', 'side'] },
    },
  });
  assert.equal((await waitForEnd(client, id)).state, 'failed');
  const before = (await leash.ran()).length;
  await leash.mend('b');
  const { code, stderr } = await dev.keelson(['recover', id, '--wait']);
  assert.equal(code, 0, stderr);
  assert.deepEqual((await leash.ran()).slice(before), ['b', 'c']);
  const nothing = await dev.keelson(['recover', id]);
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /nothing to recover/);
});

test('what is carried into a generation keeps its outputs, files and log', async () => {
  const id = await publishAndStart(dev, {
    name: 'carried',
    params: { good: { type: 'boolean', default: false } },
    tasks: {
      make: { run: 'echo made; echo n=41 >> "$KEELSON_OUTPUT"; printf file > "$KEELSON_OUTPUT_DIR/x.txt"' },
      take: {
        needs: ['make'],
        run: 'test "$GOOD" = true && echo "got=$(cat "$KEELSON_INPUT_DIR/make/x.txt") $N" >> "$KEELSON_OUTPUT"',
        env: { GOOD: '${{ params.good }}', N: '${{ tasks.make.outputs.n }}' },
      },
    },
  });
  assert.equal((await waitForEnd(client, id)).state, 'failed');
  assert.equal((await dev.keelson(['rerun', id, '--from', 'take', '-p', 'good=true', '--wait'])).code, 0);
  assert.deepEqual((await client.getTask(id, 'take')).outputs, { got: 'file 41' });
  const make = await client.getTask(id, 'make');
  assert.deepEqual([make.carriedFrom, make.attempts.length, make.outputs], [1, 1, { n: '41' }]);
  assert.equal((await dev.keelson(['logs', `${id}/make`])).stdout, 'made\n');
  assert.deepEqual(
    make.artifacts.map(({ path }) => path),
    ['x.txt'],
  );
  const shown = await dev.keelson(['show', `${id}/make`]);
  assert.match(shown.stdout, /carried from generation 1/);
});

test('recover --latest takes the mended version', async () => {
  const id = await publishAndStart(dev, {
    name: 'mended',
    tasks: { a: { run: 'echo n=1 >> "$KEELSON_OUTPUT"' }, b: { needs: ['a'], run: 'exit 3' } },
  });
  assert.equal((await waitForEnd(client, id)).state, 'failed');
  await publish(dev, {
    name: 'mended',
    tasks: {
      a: { run: 'echo n=2 >> "$KEELSON_OUTPUT"' },
      b: { needs: ['a'], run: 'echo "got=$N" >> "$KEELSON_OUTPUT"', env: { N: '${{ tasks.a.outputs.n }}' } },
    },
  });
  assert.equal((await dev.keelson(['recover', id, '--wait'])).code, 1);
  assert.equal((await dev.keelson(['recover', id, '--latest', '--wait'])).code, 0);
  assert.equal((await client.getInstance(id)).version, 2);
  assert.deepEqual((await client.getTask(id, 'b')).outputs, { got: '1' });
});

test('a waiting task is skipped, and what is after it runs; a running one is not', async () => {
  const leash = await makeLeash(folder, 'skipped');
  await leash.letGo('b', 'c');
  const { task } = leash;
  const id = await publishAndStart(dev, {
    name: 'skipped',
    tasks: { a: task, b: { ...task, needs: ['a'] }, c: { ...task, needs: ['b'] } },
  });
  await waitForTask(client, id, 'a', 'running');
  const skip = await dev.keelson(['skip', `${id}/b`, '--json']);
  assert.equal(skip.code, 0, skip.stderr);
  assert.equal(JSON.parse(skip.stdout).outcome, 'requested');
  await waitForTask(client, id, 'b', 'skipped');
  assert.equal(await answerOf(client.skipTask(id, 'b')), 'already');
  assert.equal(await answerOf(client.skipTask(id, 'a')), '409 task-running');
  assert.equal(await answerOf(client.skipTask(id, 'nobody')), '404 unknown-task');
  await leash.letGo('a');
  const ended = await waitForEnd(client, id);
  assert.equal(ended.state, 'succeeded');
  assert.deepEqual(await leash.ran(), ['a', 'c']);
  assert.equal(ended.tasks.find((each) => each.task === 'b')?.reason?.code, 'skipped-by-operator');
});

test('a failed task is forced to success, and what waited for it runs', async () => {
  const leash = await makeLeash(folder, 'forced');
  await leash.letGo('a', 'b', 'c');
  await leash.fail('b');
  const { task } = leash;
  const id = await publishAndStart(dev, {
    name: 'forced',
    tasks: { a: task, b: { ...task, needs: ['a'] }, c: { ...task, needs: ['b'] } },
  });
  assert.equal((await waitForEnd(client, id)).state, 'failed');
  assert.equal(await answerOf(client.forceTaskSuccess(id, 'a')), '409 task-not-failed');
  const { code, stderr } = await dev.keelson(['force-success', `${id}/b`, '--wait']);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await leash.ran(), ['a', 'b', 'c']);
  const forced = await client.getTask(id, 'b');
  assert.deepEqual([forced.state, forced.reason?.code], ['succeeded', 'forced-success']);
});

test('what has a higher priority starts first, also when it was raised in line', async () => {
  const leash = await makeLeash(folder, 'urgent');
  const blocker = await publishAndStart(dev, {
    name: 'blocker',
    tasks: Object.fromEntries(Array.from({ length: SLOTS }, (_, index) => [`t${index}`, leash.task])),
  });
  await waitFor('full slots', async () =>
    (await client.getInstance(blocker)).counts.running === SLOTS ? true : undefined,
  );
  await publish(dev, { name: 'urgent', tasks: { a: { run: 'sleep 0.2' } } });
  const ids: string[] = [];
  for (let index = 0; index < 3; index++) ids.push((await client.start('default', 'urgent')).id);
  for (const id of ids) await waitForTask(client, id, 'a', 'ready');
  const [first = '', , last = ''] = ids;
  assert.equal((await dev.keelson(['priority', last, '50'])).code, 0);
  assert.equal((await dev.keelson(['priority', first, '-5'])).code, 0);
  for (const [id, priority] of [
    [last, 50],
    [first, -5],
  ] as const)
    await waitFor(`priority ${priority}`, async () =>
      (await client.getInstance(id)).priority === priority ? true : undefined,
    );
  // One slot comes free: they go one after the other.
  await leash.letGo('t0');
  const times = new Map<string, string>();
  for (const id of ids) {
    await waitForEnd(client, id);
    times.set(id, (await client.getTask(id, 'a')).startedAt ?? '');
  }
  assert.deepEqual(
    ids.toSorted((x, y) => (times.get(x) ?? '').localeCompare(times.get(y) ?? '')),
    [last, ids[1], first],
  );
  await client.stopInstance(blocker);
  await waitForEnd(client, blocker);
});

test('in bulk: a dry run says what would be and does nothing; then it is done', async () => {
  await publish(dev, { name: 'many', tasks: { hold: { run: 'true', delay: '1h' } } });
  const ids: string[] = [];
  for (let index = 0; index < 5; index++) ids.push((await client.start('default', 'many')).id);
  await client.stopInstance(ids[0] ?? '');
  await waitForEnd(client, ids[0] ?? '');
  const outcomes = async (...args: string[]) => {
    const { code, stdout, stderr } = await dev.keelson([...args, '--json']);
    const { items } = JSON.parse(stdout) as { items: { id: string; outcome: string; code: string | null }[] };
    assert.equal(stderr, '');
    return { code, outcomes: items.map((item) => item.code ?? item.outcome) };
  };
  const expected = ['requested', 'requested', 'requested', 'requested', 'instance-ended'];
  assert.deepEqual(await outcomes('pause', '--workflow', 'many', '--dry-run'), { code: 0, outcomes: expected });
  assert.equal((await client.listInstances({ workflow: 'many', state: 'running' })).items.length, 4);
  assert.deepEqual(await outcomes('pause', '--workflow', 'many', '--yes'), { code: 1, outcomes: expected });
  for (const id of ids.slice(1)) await waitForState(client, id, 'paused');
  assert.deepEqual(await outcomes('resume', '--workflow', 'many', '--state', 'paused', '--limit', '1'), {
    code: 0,
    outcomes: ['requested'],
  });
  await waitForState(client, ids[4] ?? '', 'running');
  assert.deepEqual((await outcomes('stop', ...ids.slice(1))).outcomes, expected.slice(0, 4));
  for (const id of ids) assert.equal((await waitForEnd(client, id)).state, 'stopped');
  assert.deepEqual((await outcomes('rerun', '--workflow', 'many', '--state', 'stopped')).outcomes.length, 5);
  await waitFor('all to live again', async () =>
    (await client.listInstances({ workflow: 'many', state: 'running' })).items.length === 5 ? true : undefined,
  );
  assert.deepEqual((await outcomes('skip', 'hold', '--workflow', 'many')).outcomes.length, 5);
  for (const id of ids) assert.equal((await waitForEnd(client, id)).state, 'succeeded');
  assert.equal((await dev.keelson(['stop'])).code, 2);
});

test('doctor and verify find nothing after all this', async () => {
  const doctor = await dev.keelson(['doctor']);
  assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr);
  const verify = await dev.keelson(['verify']);
  assert.equal(verify.code, 0, verify.stdout + verify.stderr);
});
