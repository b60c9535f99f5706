import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { WorkflowSource } from '@keelson/sdk';
import { startDevProcess, temporaryFolder } from './support/dev-process.ts';
import { publishAndStart, waitForEnd } from './support/instances.ts';
import { waitFor } from './support/wait-for.ts';

const WORKERS = 3;
const dev = await startDevProcess({ after }, { args: ['--workers', String(WORKERS), '--slots', '1'] });
const folder = await temporaryFolder({ after });
await waitFor('all workers', async () => {
  const { items } = await dev.client.listNodes();
  return items.filter((node) => node.kind === 'worker' && node.state === 'live').length === WORKERS ? true : undefined;
});

const ledger = (name: string) => join(folder, name);
const linesOf = async (name: string): Promise<string[]> =>
  (await readFile(ledger(name), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');

test('a broadcast runs once on every worker, between its before and its after', async () => {
  const definition: WorkflowSource<object> = {
    name: 'everywhere',
    tasks: {
      clean: {
        run: `echo "$KEELSON_BROADCAST_INDEX/$KEELSON_BROADCAST_TOTAL $KEELSON_BROADCAST_WORKER" >> "$LEDGER"
grep -q '"what":"tmp"' "$KEELSON_BROADCAST_BEFORE"
echo "freed:=$((KEELSON_BROADCAST_INDEX + 1))" >> "$KEELSON_OUTPUT"`,
        env: { LEDGER: ledger('everywhere') },
        mode: 'broadcast',
        broadcast: {
          before: { run: 'echo "what=tmp" >> "$KEELSON_OUTPUT"; echo before >> "$LEDGER"' },
          after: {
            uses: 'node',
            with: {
              script: `export default ({ broadcast, log }) => {
                log.info(broadcast.results.length);
                return { freed: broadcast.results.reduce((sum, { outputs }) => sum + outputs.freed, 0), what: broadcast.before.what };
              }`,
            },
          },
        },
      },
      report: { needs: ['clean'], run: 'test "$FREED" = 6', env: { FREED: '${{ tasks.clean.outputs.freed }}' } },
    },
  };
  const id = await publishAndStart(dev, definition);
  const instance = await waitForEnd(dev.client, id);
  assert.equal(instance.state, 'succeeded', JSON.stringify(instance.tasks));
  const [first, ...lines] = await linesOf('everywhere');
  assert.equal(first, 'before');
  assert.deepEqual(new Set(lines.map((line) => line.split(' ')[0])), new Set(['0/3', '1/3', '2/3']));
  assert.equal(lines.length, WORKERS);
  assert.equal(new Set(lines.map((line) => line.split(' ')[1])).size, WORKERS, 'each on a worker of its own');
  assert.deepEqual((await dev.client.getTask(id, 'clean')).outputs, { freed: 6, what: 'tmp' });
});

test('a failing subtask is retried on its own worker; one place at a time, one after the other', async () => {
  const definition: WorkflowSource<object> = {
    name: 'one-by-one',
    tasks: {
      restart: {
        run: `echo "$KEELSON_BROADCAST_INDEX $KEELSON_ATTEMPT $KEELSON_BROADCAST_WORKER" >> "$LEDGER"
if [ "$KEELSON_BROADCAST_INDEX" = 1 ] && [ "$KEELSON_ATTEMPT" = 1 ]; then exit 3; fi
sleep 0.1; echo "$KEELSON_BROADCAST_INDEX ends" >> "$LEDGER"`,
        env: { LEDGER: ledger('one-by-one') },
        retry: { max: 1, delay: '100ms' },
        mode: 'broadcast',
        broadcast: { parallel: 1 },
      },
    },
  };
  const id = await publishAndStart(dev, definition);
  const instance = await waitForEnd(dev.client, id);
  assert.equal(instance.state, 'succeeded', JSON.stringify(instance.tasks));
  const lines = await linesOf('one-by-one');
  assert.equal(lines.length, 7);
  assert.deepEqual(
    lines.map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['0 1', '0 ends', '1 1', '1 2', '1 ends', '2 1', '2 ends'],
  );
  assert.equal(lines[2]?.split(' ')[2], lines[3]?.split(' ')[2], 'the retry is on the same worker');
  assert.deepEqual((await dev.client.getTask(id, 'restart')).outputs, { total: 3, succeeded: 3, failed: 0, lost: 0 });
});

test('too many failures: what waits is skipped, after still sees everything, and the task fails', async () => {
  const id = await publishAndStart(dev, {
    name: 'failing',
    tasks: {
      check: {
        run: 'exit 1',
        mode: 'broadcast',
        broadcast: {
          parallel: 1,
          after: { run: 'cp "$KEELSON_BROADCAST_RESULTS" "$COPY"', env: { COPY: ledger('failing') } },
        },
      },
    },
  });
  const instance = await waitForEnd(dev.client, id);
  assert.equal(instance.state, 'failed');
  assert.equal(instance.tasks[0]?.reason?.code, 'broadcast-failed');
  const results = JSON.parse(await readFile(ledger('failing'), 'utf8')) as { state: string }[];
  assert.deepEqual(
    results.map(({ state }) => state),
    ['failed', 'skipped', 'skipped'],
  );
});

test('a stop ends what runs and never starts what waits', async () => {
  const file = ledger('stopped');
  await writeFile(file, '');
  const id = await publishAndStart(dev, {
    name: 'stopped',
    tasks: {
      long: { run: `echo run >> ${file}; sleep 600`, mode: 'broadcast', broadcast: { parallel: 2 } },
    },
  });
  await waitFor('two of them', async () => ((await linesOf('stopped')).length === 2 ? true : undefined));
  await dev.client.stopInstance(id);
  const instance = await waitForEnd(dev.client, id);
  assert.equal(instance.state, 'stopped');
  assert.equal(instance.tasks[0]?.state, 'stopped');
  assert.equal((await linesOf('stopped')).length, 2);
});

test('a group without a worker fails the broadcast at once', async () => {
  const id = await publishAndStart(dev, {
    name: 'nobody',
    tasks: { none: { run: 'true', workerGroup: 'nobody', mode: 'broadcast' } },
  });
  const instance = await waitForEnd(dev.client, id);
  assert.equal(instance.tasks[0]?.reason?.code, 'no-workers');
});

test('the example asks every worker, and the CLI shows each of them', async () => {
  assert.equal((await dev.keelson(['apply', 'examples/broadcast'])).code, 0);
  const run = await dev.keelson(['run', 'disk-check', '-p', 'limit=100', '--wait', '--json']);
  assert.equal(run.code, 0, run.stderr);
  const { id } = JSON.parse(run.stdout) as { id: string };
  const { outputs, subtasks = [], broadcast } = await dev.client.getTask(id, 'check');
  assert.equal(outputs?.['workers'], WORKERS);
  assert.deepEqual([broadcast?.phase, broadcast?.succeeded], ['ended', WORKERS]);
  assert.ok(subtasks.every(({ state, outputs: own }) => state === 'succeeded' && typeof own['used'] === 'number'));
  const tree = await dev.keelson(['show', id]);
  assert.match(tree.stdout, /check.*broadcast 3\/3 succeeded/);
  const worker = subtasks[1]?.worker ?? '';
  const shown = await dev.keelson(['show', `${id}/check`]);
  assert.match(shown.stdout, new RegExp(`${worker}\\s+succeeded\\s+1`));
  const log = await dev.keelson(['logs', `${id}/check`, '--worker', worker]);
  assert.match(log.stdout, new RegExp(`^worker ${worker} \\(2 of 3\\): \\d+ % used\n$`));
  const nobody = await dev.keelson(['logs', `${id}/check`, '--worker', 'nobody']);
  assert.notEqual(nobody.code, 0);
  assert.match(nobody.stderr, /has no subtask on a worker "nobody"/);
});

test('a killed worker loses its subtask, and no other worker gets it', async () => {
  const file = ledger('killed');
  const id = await publishAndStart(dev, {
    name: 'killed',
    tasks: {
      each: {
        run: `echo "$KEELSON_BROADCAST_WORKER $PPID" >> ${file}; while [ ! -e ${file}.go ]; do sleep 0.05; done; echo "$KEELSON_BROADCAST_WORKER ends" >> ${file}`,
        mode: 'broadcast',
        broadcast: { maxFailed: 1 },
        onLost: { retry: 5 },
      },
    },
  });
  await waitFor('all of them', async () => ((await linesOf('killed')).length === WORKERS ? true : undefined));
  const { subtasks = [] } = await dev.client.getTask(id, 'each');
  const victim = subtasks[0]?.worker ?? '';
  const { items } = await dev.client.listNodes();
  const node = items.find((one) => one.kind === 'worker' && one.name === victim);
  assert.ok(node !== undefined);
  process.kill(node.pid, 'SIGKILL');
  await waitFor('it is lost', async () => {
    const { broadcast } = await dev.client.getTask(id, 'each');
    return broadcast?.lost === 1 ? true : undefined;
  });
  await writeFile(`${file}.go`, '');
  const instance = await waitForEnd(dev.client, id);
  assert.equal(instance.state, 'succeeded');
  const lines = await linesOf('killed');
  assert.equal(lines.filter((line) => line.startsWith(`${victim} `)).length, 1, 'it began there, and never again');
  assert.equal(lines.filter((line) => line.endsWith(' ends')).length, WORKERS - 1);
  const after = (await dev.client.getTask(id, 'each')).subtasks ?? [];
  assert.deepEqual(
    after.map(({ worker, state }) => [worker, state]),
    subtasks.map(({ worker }) => [worker, worker === victim ? 'lost' : 'succeeded']),
  );
});
