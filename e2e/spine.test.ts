import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { endProcess, startDevProcess, temporaryFolder, waitForDeath } from './support/dev-process.ts';
import { publish, publishAndStart, waitForEnd, waitForReason } from './support/instances.ts';
import { KEELSON, isAlive, launch } from './support/processes.ts';
import { waitFor } from './support/wait-for.ts';

const SLOTS = 4;
const dev = await startDevProcess({ after }, { args: ['--slots', String(SLOTS)] });
const folder = await temporaryFolder({ after });

/** Shell that goes on once the file is there. */
const untilFile = 'while [ ! -e "$GO" ]; do sleep 0.05; done';

async function pidsIn(file: string, count: number): Promise<number[]> {
  return waitFor(`${count} process ids in ${file}`, async () => {
    const pids = (await readFile(file, 'utf8').catch(() => '')).trim().split(/\s+/).map(Number);
    return pids.length === count && pids.every((pid) => pid > 0) ? pids : undefined;
  });
}

test('the same key starts one instance; another body under it is refused', async () => {
  await publish(dev, { name: 'keyed', params: { n: { type: 'integer', default: 1 } }, tasks: { a: { run: 'true' } } });
  const start = (key: string, body: object) =>
    dev.fetch('projects/default/workflows/keyed/instances', {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'idempotency-key': key },
    });
  const answers = await Promise.all(Array.from({ length: 5 }, () => start('one', { params: { n: 7 } })));
  assert.deepEqual(
    answers.map(({ status }) => status).toSorted((a, b) => a - b),
    [200, 200, 200, 200, 201],
  );
  const ids = await Promise.all(answers.map(async (answer) => ((await answer.json()) as { id: string }).id));
  assert.equal(new Set(ids).size, 1);
  const other = await start('one', { params: { n: 8 } });
  assert.equal(other.status, 422);
  assert.match(other.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.equal((await start('two', { params: { n: 8 } })).status, 201);
});

test('a value of the wrong type is refused at the start, and nothing is started', async () => {
  await publish(dev, { name: 'typed', params: { n: { type: 'integer' } }, tasks: { a: { run: 'true' } } });
  for (const params of [{ n: 'seven' }, { n: 1.5 }, {}, { n: 1, m: 2 }]) {
    const path = 'projects/default/workflows/typed/instances';
    const answer = await dev.fetch(path, { method: 'POST', body: JSON.stringify({ params }) });
    assert.equal(answer.status, 422, JSON.stringify(params));
    assert.match(JSON.stringify(await answer.json()), /"code":"[a-z-]+"/);
  }
  const cli = await dev.keelson(['run', 'typed', '-p', 'n=seven']);
  assert.notEqual(cli.code, 0);
  assert.match(cli.stderr, /parameter n must be a whole number/);
  assert.deepEqual((await dev.client.listInstances({ workflow: 'typed' })).items, []);
});

test('a followed log shows what is printed while the task still runs', async () => {
  const go = join(folder, 'go-log');
  const run = `echo first; ${untilFile}; echo last`;
  const id = await publishAndStart(dev, { name: 'followed', tasks: { talk: { run, env: { GO: go } } } });
  const follower = launch(KEELSON, ['logs', `${id}/talk`, '--follow', '--data', dev.dataDir]);
  after(() => endProcess(follower, 'SIGKILL'));
  await waitFor('the first line', () => follower.said().stdout.includes('first\n') || undefined);
  assert.equal((await dev.client.getTask(id, 'talk')).state, 'running');
  assert.doesNotMatch(follower.said().stdout, /last/);
  await writeFile(go, '');
  assert.equal((await follower.ended).code, 0);
  assert.equal(follower.said().stdout, 'first\nlast\n');
});

test('a secret reaches the task and nobody else', async () => {
  const value = 'correct-horse-battery-staple';
  const set = await dev.keelson(['secret', 'set', 'PASSPHRASE'], { input: `${value}\n` });
  assert.equal(set.code, 0, set.stderr);
  const id = await publishAndStart(dev, {
    name: 'secretive',
    tasks: {
      tell: {
        run: 'echo "it is $PASSPHRASE, in two: $(printf %s "$PASSPHRASE")"; echo "length=${#PASSPHRASE}" >> "$KEELSON_OUTPUT"',
        env: { PASSPHRASE: '${{ secrets.PASSPHRASE }}' },
      },
    },
  });
  assert.equal((await waitForEnd(dev.client, id)).state, 'succeeded');
  assert.deepEqual((await dev.client.getTask(id, 'tell')).outputs, { length: String(value.length) });
  const log = await dev.keelson(['logs', `${id}/tell`]);
  assert.equal(log.stdout, 'it is ***, in two: ***\n');
  for (const path of [
    `instances/${id}`,
    `instances/${id}/tasks/tell`,
    `instances/${id}/history`,
    'projects/default/secrets',
  ]) {
    assert.ok(!(await (await dev.fetch(path)).text()).includes(value), path);
  }
});

test('outputs keep their types, and files reach those who need them only', async () => {
  const id = await publishAndStart(dev, {
    name: 'handed-on',
    tasks: {
      make: {
        run: 'mkdir "$KEELSON_OUTPUT_DIR/sub"; printf "a ü" > "$KEELSON_OUTPUT_DIR/sub/x.txt"; printf "text=1\\nlist:=[1,2]\\n" >> "$KEELSON_OUTPUT"',
      },
      take: {
        needs: ['make'],
        uses: 'python',
        with: {
          script:
            'import os,sys,json\nprint(open(os.environ["KEELSON_INPUT_DIR"]+"/make/sub/x.txt").read(), json.loads(os.environ["LIST"]), sys.argv[1])',
          args: ['${{ tasks.make.outputs.text }}'],
        },
        env: { LIST: '${{ tasks.make.outputs.list }}' },
      },
      other: { needs: ['take'], run: 'ls "$KEELSON_INPUT_DIR"' },
    },
  });
  assert.equal((await waitForEnd(dev.client, id)).state, 'succeeded');
  assert.deepEqual((await dev.client.getTask(id, 'make')).outputs, { text: '1', list: [1, 2] });
  assert.equal((await dev.keelson(['logs', `${id}/take`])).stdout, 'a ü [1, 2] 1\n');
  assert.doesNotMatch((await dev.keelson(['logs', `${id}/other`])).stdout, /make/);
});

test('a database that does not answer is said in the words of its driver, without its password', async () => {
  const url = (user: string) => `postgresql://${user}@127.0.0.1:1/sales`;
  const password = 'opensesame';
  assert.equal((await dev.keelson(['datasource', 'set', 'down', url('etl')], { input: password })).code, 0);
  assert.equal((await dev.keelson(['datasource', 'set', 'open', url('guest'), '--no-password'])).code, 0);
  const ask = (datasource: string) => ({ uses: 'sql', with: { datasource, sql: 'select 1' } }) as const;
  const id = await publishAndStart(dev, { name: 'database-down', tasks: { a: ask('down'), b: ask('open') } });
  const ended = await waitForEnd(dev.client, id);
  assert.deepEqual(
    ended.tasks.map(({ state, reason }) => [state, reason?.code]),
    [
      ['failed', 'sql-connect'],
      ['failed', 'sql-connect'],
    ],
  );
  for (const { reason } of ended.tasks)
    assert.match(reason?.message ?? '', /no connection to .*127\.0\.0\.1:1\/sales: .*ECONNREFUSED/);
  assert.ok(!JSON.stringify(ended).includes(password));
});

/** A task whose shell, child and grandchild write down who they are, and wait. */
const family = `sh -c 'sleep 600 & echo $$ $! >> "$PIDS"; wait' & echo $$ >> "$PIDS"; wait`;

test('stop ends the whole tree of processes', async () => {
  const pids = join(folder, 'stopped-pids');
  const id = await publishAndStart(dev, {
    name: 'stopped',
    tasks: { wait: { run: family, env: { PIDS: pids } }, next: { needs: ['wait'], run: 'true' } },
  });
  const alive = await pidsIn(pids, 3);
  assert.ok(alive.every(isAlive));
  const stop = await dev.keelson(['stop', id]);
  assert.equal(stop.code, 0, stop.stderr);
  const ended = await waitForEnd(dev.client, id);
  assert.deepEqual([ended.state, ...ended.tasks.map(({ state }) => state)], ['stopped', 'stopped', 'stopped']);
  for (const pid of alive) await waitForDeath(pid);
});

test('a timeout ends the whole tree of processes, and says so', async () => {
  const pids = join(folder, 'late-pids');
  const id = await publishAndStart(dev, {
    name: 'late',
    tasks: { wait: { run: family, timeout: '700ms', env: { PIDS: pids } } },
  });
  const alive = await pidsIn(pids, 3);
  const ended = await waitForEnd(dev.client, id);
  assert.deepEqual([ended.state, ended.tasks[0]?.reason?.code], ['failed', 'timeout']);
  for (const pid of alive) await waitForDeath(pid);
});

test('why: what each task waits for', async () => {
  const go = join(folder, 'go-why');
  const busy = { run: untilFile, env: { GO: go } };
  const { client } = dev;
  const id = await publishAndStart(dev, {
    name: 'waiting',
    tasks: {
      nobody: { run: 'true', workerGroup: 'moon' },
      unable: { uses: 'processor', with: { processor: 'unheard-of' } },
      again: { run: 'exit 9', retry: { max: 1, delay: '1h' } },
      later: { run: 'true', delay: '1h' },
      after: { needs: ['nobody', 'again'], run: 'true' },
    },
  });
  const nobody = await waitForReason(client, id, 'nobody', 'no-worker-in-group');
  assert.match(nobody.message, /moon/);
  assert.match(
    (await waitForReason(client, id, 'unable', 'no-worker-with-capability')).message,
    /processor:unheard-of/,
  );
  assert.match((await waitForReason(client, id, 'again', 'retry-delay')).message, /attempt|retry/i);
  await waitForReason(client, id, 'later', 'delayed');
  assert.match((await waitForReason(client, id, 'after', 'waiting-for-upstream')).message, /nobody.*again/s);

  const tasks = Object.fromEntries(Array.from({ length: SLOTS + 2 }, (_, index) => [`t${index}`, busy]));
  const full = await publishAndStart(dev, { name: 'full', tasks });
  const line = await waitFor('two tasks that find the group full', async () => {
    const waits = (await client.getWhy(full)).tasks.flatMap(({ reasons }) =>
      reasons.filter(({ code }) => code === 'group-full'),
    );
    return waits.length === 2 ? waits : undefined;
  });
  assert.match(line[0]?.message ?? '', new RegExp(`${SLOTS} of ${SLOTS}`));
  assert.deepEqual(new Set(line.map(({ details }) => details['position'])), new Set([1, 2]));
  const shown = await dev.keelson(['why', full]);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, /group-full/);
  await writeFile(go, '');
  assert.equal((await waitForEnd(client, full)).state, 'succeeded');
  await client.stopInstance(id);
  assert.equal((await waitForEnd(client, id)).state, 'stopped');
});

test('doctor finds nothing after all this', async () => {
  const { code, stdout, stderr } = await dev.keelson(['doctor']);
  assert.equal(code, 0, stdout + stderr);
});
