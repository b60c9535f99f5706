import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { InstanceDetail } from '@keelson/protocol';
import type { TaskSource, WorkflowSource } from '@keelson/sdk';
import { startDevProcess, temporaryFolder } from './support/dev-process.ts';
import { publish, waitForEnd } from './support/instances.ts';
import { makeLeash, waitForState, waitForTask } from './support/operations.ts';
import type { Leash } from './support/operations.ts';
import { waitFor } from './support/wait-for.ts';

const dev = await startDevProcess({ after }, { args: ['--slots', '12', '--masters', '2'] });
const { client } = dev;
const folder = await temporaryFolder({ after });

/** A leash for each of the instances, whose task waits for the file of its own instance. */
async function onLeashes(
  name: string,
): Promise<{ task: TaskSource; leash: Leash; letGo: (id: string) => Promise<void> }> {
  const leash = await makeLeash(folder, name);
  const run = `echo "$KEELSON_INSTANCE_ID" >> "$LEASH/ran"
while [ ! -e "$LEASH/$KEELSON_INSTANCE_ID.go" ]; do sleep 0.02; done`;
  const task = { ...leash.task, run } as TaskSource;
  return { task, leash, letGo: (id) => leash.letGo(id) };
}

type Rule = NonNullable<WorkflowSource<object>['concurrency']>;

async function limited(name: string, concurrency: Rule) {
  const { task, leash, letGo } = await onLeashes(name);
  const apply = (rule: Rule) => publish(dev, { name, concurrency: rule, tasks: { t: task } });
  await apply(concurrency);
  return {
    leash,
    letGo,
    apply,
    start: async (priority = 0) => (await client.start('default', name, { priority })).id,
    stateOf: async (id: string) => (await client.getInstance(id)).state,
  };
}

const running = (id: string) => waitForTask(client, id, 't', 'running');
const succeeded = async (id: string): Promise<InstanceDetail> => {
  const ended = await waitForEnd(client, id, 30_000);
  assert.equal(ended.state, 'succeeded', JSON.stringify(ended.reason));
  return ended;
};

test('serial-wait: one at a time, in the order of the starts; why names who has the slot', async () => {
  const it = await limited('waits', { policy: 'serial-wait' });
  const ids = [await it.start(), await it.start(), await it.start()];
  const [first = '', second = '', third = ''] = ids;
  await running(first);
  assert.deepEqual(await Promise.all([second, third].map(it.stateOf)), ['queued', 'queued']);
  const why = (await client.getWhy(third)).instance.reasons.find(({ code }) => code === 'waiting-for-slot');
  assert.match(
    why?.message ?? '',
    new RegExp(`1 of 1 slots are taken \\(by instance ${first}\\), 1 instance is before it`),
  );
  const queued = await client.listInstances({ workflow: 'waits', state: 'queued' });
  assert.equal(queued.items.length, 2);
  for (const id of ids) {
    await running(id);
    await it.letGo(id);
    await succeeded(id);
  }
  assert.deepEqual(await it.leash.ran(), ids);
});

test('serial-priority: the highest first; a limit of two lets two go', async () => {
  const it = await limited('ranks', { policy: 'serial-priority', limit: 2 });
  const [one, two] = [await it.start(), await it.start()];
  await running(one);
  await running(two);
  const [low, high] = [await it.start(-1), await it.start(9)];
  await it.letGo(one);
  await running(high);
  assert.equal(await it.stateOf(low), 'queued');
  for (const id of [two, high, low]) await it.letGo(id);
  for (const id of [two, high, low]) await succeeded(id);
});

test('serial-discard: what finds another one at work is stopped, and says so', async () => {
  const it = await limited('discards', { policy: 'serial-discard' });
  const first = await it.start();
  await running(first);
  const refused = await waitForEnd(client, await it.start());
  assert.equal(refused.state, 'stopped');
  assert.equal(refused.reason?.code, 'discarded');
  assert.match(refused.reason?.message ?? '', /serial-discard/);
  await it.letGo(first);
  await succeeded(first);
  const next = await it.start();
  await it.letGo(next);
  await succeeded(next);
});

test('parallel with a limit; an apply that raises it, and one that takes it away', async () => {
  const it = await limited('widens', { limit: 1 });
  const ids: string[] = [];
  for (let count = 0; count < 5; count++) ids.push(await it.start());
  const [first = '', second = '', third = '', ...others] = ids;
  await running(first);
  await it.apply({ limit: 2 });
  await running(second);
  assert.equal(await it.stateOf(third), 'queued');
  await it.apply({ policy: 'parallel' });
  for (const id of [third, ...others]) await running(id);
  await it.apply({ policy: 'serial-wait' });
  const last = await it.start();
  for (const id of ids.slice(1)) await it.letGo(id);
  for (const id of ids.slice(1)) await succeeded(id);
  assert.equal(await it.stateOf(last), 'queued', 'the first still goes');
  await it.letGo(first);
  await running(last);
  await it.letGo(last);
  await succeeded(last);
});

test('a queued instance is stopped; an ended one is run again, in its turn', async () => {
  const it = await limited('again', { policy: 'serial-wait' });
  const [first, second, third] = [await it.start(), await it.start(), await it.start()];
  await running(first);
  await client.stopInstance(second);
  assert.equal((await waitForEnd(client, second)).state, 'stopped');
  await it.letGo(first);
  await succeeded(first);
  await running(third);
  await client.rerunInstance(first);
  await waitForState(client, first, 'queued');
  await it.letGo(third);
  const rerun = await waitFor('the second generation to end', async () => {
    const found = await client.getInstance(first);
    return found.generation === 2 && found.endedAt !== null ? found : undefined;
  });
  assert.equal(rerun.state, 'succeeded');
  assert.deepEqual(await it.leash.ran(), [first, third, first]);
});

test('a paused instance keeps its slot', async () => {
  const { leash, task } = await (async () => {
    const made = await makeLeash(folder, 'pauses');
    return { leash: made, task: made.task };
  })();
  await publish(dev, {
    name: 'pauses',
    concurrency: { policy: 'serial-wait' },
    tasks: { a: task, b: { needs: ['a'], run: 'true' } },
  });
  const [first, second] = [(await client.start('default', 'pauses')).id, (await client.start('default', 'pauses')).id];
  await waitForTask(client, first, 'a', 'running');
  await client.pauseInstance(first);
  await leash.letGo('a');
  await waitForState(client, first, 'paused');
  assert.equal((await client.getInstance(second)).state, 'queued');
  await client.resumeInstance(first);
  await succeeded(first);
  await succeeded(second);
});

test('nothing is left that the doctor would find', async () => {
  const { code, stdout } = await dev.keelson(['doctor', '--json']);
  assert.equal(code, 0, stdout);
});
