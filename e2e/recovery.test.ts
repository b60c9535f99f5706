import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { TaskSource } from '@keelson/sdk';
import { endProcess, startDevProcess, temporaryFolder, waitForDeath } from './support/dev-process.ts';
import type { DevProcess } from './support/dev-process.ts';
import { publish, publishAndStart, waitForEnd } from './support/instances.ts';
import { KEELSON, isAlive, launch } from './support/processes.ts';
import type { Running } from './support/processes.ts';
import { waitFor } from './support/wait-for.ts';

/** What a task wrote outside of the system when it ran. */
interface Entry {
  readonly task: string;
  readonly attempt: number;
  /** The fencing token. */
  readonly token: number;
}

async function entriesOf(ledger: string): Promise<Entry[]> {
  const lines = (await readFile(ledger, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [task = '', attempt, token] = line.split(' ');
    return { task, attempt: Number(attempt), token: Number(token) };
  });
}

const LENGTH = 40;
const ids = Array.from({ length: LENGTH }, (_, index) => `t${String(index).padStart(2, '0')}`);

/** Tasks in a row that write into the ledger; long enough to be in the middle of it. */
function chain(ledger: string) {
  const tasks: Record<string, TaskSource> = {};
  for (const [index, id] of ids.entries()) {
    const previous = ids[index - 1];
    tasks[id] = {
      run: 'echo "$KEELSON_TASK $KEELSON_ATTEMPT $KEELSON_FENCING_TOKEN" >> "$LEDGER"; sleep 0.05',
      env: { LEDGER: ledger },
      ...(previous !== undefined && { needs: [previous] }),
    };
  }
  return { name: 'chain', tasks };
}

async function runSome(dev: DevProcess, ledger: string): Promise<string> {
  const id = await publishAndStart(dev, chain(ledger));
  await waitFor('some tasks of the chain', async () => ((await entriesOf(ledger)).length >= 5 ? true : undefined));
  return id;
}

/** Every task ran, in order; no token ran twice; a second attempt only where the first was lost. */
function checkLedger(entries: readonly Entry[]): void {
  const tokens = entries.map(({ token }) => token);
  assert.equal(new Set(tokens).size, tokens.length, 'a token ran twice');
  assert.deepEqual(
    tokens,
    tokens.toSorted((a, b) => a - b),
    'fencing tokens grow',
  );
  assert.deepEqual([...new Set(entries.map(({ task }) => task))], ids, 'every task, in order');
  const byTask = Map.groupBy(entries, ({ task }) => task);
  for (const [task, runs] of byTask) {
    const attempts = runs.map(({ attempt }) => attempt);
    assert.equal(new Set(attempts).size, attempts.length, `${task} ran an attempt twice`);
  }
}

async function restarted(t: TestContext, signal: 'SIGTERM' | 'SIGKILL') {
  const folder = await temporaryFolder(t);
  const [ledger, dataDir] = [join(folder, 'ledger'), join(folder, 'data')];
  const first = await startDevProcess(t, { dataDir });
  const id = await runSome(first, ledger);
  const { code } = await first.end(signal);
  const then = await entriesOf(ledger);
  assert.ok(then.length < LENGTH, 'it was interrupted');
  const second = await startDevProcess(t, { dataDir });
  const instance = await waitForEnd(second.client, id);
  assert.equal(instance.state, 'succeeded');
  assert.deepEqual(instance.counts, { succeeded: LENGTH });
  const entries = await entriesOf(ledger);
  checkLedger(entries);
  const doctor = await second.keelson(['doctor']);
  assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr);
  return { code, entries };
}

test('dev is stopped and started again: a running instance goes on, and no task runs twice', async (t) => {
  const { code, entries } = await restarted(t, 'SIGTERM');
  assert.equal(code, 0);
  assert.equal(entries.length, LENGTH, 'what ran was allowed to finish');
});

test('dev is killed and started again: the instance ends, and no attempt runs twice', async (t) => {
  await restarted(t, 'SIGKILL');
});

async function startWorker(t: TestContext, dev: DevProcess, name: string, dataDir: string): Promise<Running> {
  const { token } = await dev.client.createToken({ name, role: 'worker' });
  const args = ['worker', '--server', dev.url, '--group', 'own', '--name', name, '--slots', '2', '--data', dataDir];
  const worker = launch(KEELSON, args, { env: { KEELSON_TOKEN: token } });
  t.after(() => endProcess(worker, 'SIGKILL').then(() => undefined));
  await waitFor(
    `${name} has joined`,
    async () =>
      (await dev.client.listNodes()).items.some((node) => node.kind === 'worker' && node.name === name) || undefined,
  );
  return worker;
}

test('a worker is killed: what it ran is lost, dies with it, and runs again elsewhere', async (t) => {
  const dev = await startDevProcess(t);
  const folder = await temporaryFolder(t);
  const [ledger, pids] = [join(folder, 'ledger'), join(folder, 'pids')];
  const first = await startWorker(t, dev, 'first', join(folder, 'first'));
  const run = `echo "$KEELSON_TASK $KEELSON_ATTEMPT $KEELSON_FENCING_TOKEN" >> "$LEDGER"
if [ "$KEELSON_ATTEMPT" = 1 ]; then echo $$ >> "$PIDS"; sleep 600; fi`;
  await publish(dev, {
    name: 'lost',
    tasks: { work: { run, workerGroup: 'own', env: { LEDGER: ledger, PIDS: pids } } },
  });
  const { id } = await dev.client.start('default', 'lost');
  const pid = await waitFor('the task', async () => Number(await readFile(pids, 'utf8').catch(() => '')) || undefined);
  const second = await startWorker(t, dev, 'second', join(folder, 'second'));
  assert.ok(isAlive(pid));
  await endProcess(first, 'SIGKILL');
  await waitForDeath(pid);
  const instance = await waitForEnd(dev.client, id);
  assert.equal(instance.state, 'succeeded');
  const { attempts } = await dev.client.getTask(id, 'work');
  assert.deepEqual(
    attempts.map(({ state, worker }) => [state, worker]),
    [
      ['lost', 'first'],
      ['succeeded', 'second'],
    ],
  );
  assert.deepEqual(
    (await entriesOf(ledger)).map(({ attempt }) => attempt),
    [1, 2],
  );
  assert.equal((await endProcess(second)).code, 0);
});
