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
  assert.deepEqual(lines.map((line) => line.split(' ')[0]).toSorted(), ['0/3', '1/3', '2/3']);
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
