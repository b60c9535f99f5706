import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { JsonObject } from '@keelson/core';
import type { InstanceDetail } from '@keelson/protocol';
import { endProcess, startDevProcess, temporaryFolder } from './support/dev-process.ts';
import { waitForEnd, waitForReason } from './support/instances.ts';
import type { LaunchOptions } from './support/processes.ts';
import { launch } from './support/processes.ts';
import { sourceDays, sourceTotals } from './support/weather.ts';

const dev = await startDevProcess({ after }, { args: ['--slots', '8'] });
const applied = await dev.keelson(['apply', 'examples', '--json']);

/** Runs a workflow to its end. */
async function run(args: readonly string[], expected: 'succeeded' | 'failed' = 'succeeded'): Promise<InstanceDetail> {
  const { code, stdout, stderr } = await dev.keelson(['run', ...args, '--wait', '--json']);
  const instance = JSON.parse(stdout) as InstanceDetail;
  assert.equal(instance.state, expected, `${stderr}\n${stdout}`);
  assert.equal(code, expected === 'succeeded' ? 0 : 1);
  return instance;
}

const outputsOf = async (instance: InstanceDetail, task: string) =>
  (await dev.client.getTask(instance.id, task)).outputs;

/** What the warehouse answers to a question, asked as any task asks. */
async function askWarehouse(sql: string): Promise<unknown> {
  const folder = await temporaryFolder({ after });
  const file = join(folder, 'ask.json');
  const tasks = { ask: { uses: 'sql', with: { datasource: 'warehouse', sql } } };
  await writeFile(file, JSON.stringify({ name: 'ask', tasks }));
  assert.equal((await dev.keelson(['apply', file])).code, 0);
  return (await outputsOf(await run(['ask']), 'ask'))?.['row'];
}

const inTable = (month: number) =>
  askWarehouse(
    `select count(*)::int as days, sum(precipitation)::numeric(9,1)::float8 as precipitation, sum(temp_max)::numeric(9,1)::float8 as temp_max,
            count(*) filter (where weather = 'drizzle')::int as drizzle
       from weather_day where extract(month from day) = ${month}`,
  );

const inSource = (month: number) => {
  const days = sourceDays(month);
  const sum = (key: 'precipitation' | 'tempMax') =>
    days.reduce((total, day) => total + Math.round(day[key] * 10), 0) / 10;
  return { days: days.length, precipitation: sum('precipitation'), temp_max: sum('tempMax'), drizzle: 0 };
};

test('all examples are applied with one command, and a second time changes nothing', async () => {
  assert.equal(applied.code, 0, applied.stderr);
  const again = await dev.keelson(['apply', 'examples']);
  assert.equal(again.code, 0, again.stderr);
  assert.doesNotMatch(again.stdout, /created|new version/);
  assert.match(again.stdout, /daily-etl {2}unchanged, version 1/);
});

test('daily-etl: the rows of the source are in PostgreSQL, and the chart says what the source says', async (t) => {
  const instance = await run(['daily-etl', '-p', 'day=2015-07-04']);
  assert.deepEqual(instance.params, { day: '2015-07-04' });
  assert.equal(instance.tasks.length, 5);
  assert.ok(instance.tasks.every(({ state, attempt }) => state === 'succeeded' && attempt === 1));
  assert.deepEqual(await outputsOf(instance, 'extract'), { seattle: 124, new_york: 124 });
  assert.deepEqual((await outputsOf(instance, 'load'))?.['rowCounts'], [0, sourceDays(7).length, 1]);
  assert.deepEqual(await inTable(7), inSource(7));

  const folder = await temporaryFolder(t);
  const saved = await dev.keelson(['artifacts', `${instance.id}/report`, '--save', folder]);
  assert.equal(saved.code, 0, saved.stderr);
  const svg = await readFile(join(folder, 'weather.svg'), 'utf8');
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"[\s\S]*<\/svg>\n$/);
  assert.match(svg, />July, 2012 to 2015: mean daily lows and highs/);
  for (const { location, days, wet_days, precipitation } of sourceTotals(7)) {
    assert.ok(svg.includes(`>${location}: ${precipitation} mm of rain and snow on ${wet_days} of ${days} days<`), svg);
    const points = new RegExp(`<polygon data-city="${location}" points="([^"]+)"`).exec(svg)?.[1]?.split(' ');
    assert.equal(points?.length, 2 * 31);
  }
});

test('daily-etl: the default day is yesterday in its own zone, and a second run adds no row', async () => {
  // Already the 10th in UTC, still the 9th of March in Los Angeles.
  const march = await run(['daily-etl', '--at', '2026-03-10T01:00:00Z']);
  assert.deepEqual(march.params, { day: '2026-03-08' });
  await run(['daily-etl', '-p', 'day=2012-03-31']);
  assert.deepEqual(await inTable(3), inSource(3));
});

test('fan-out: 200 tasks between two, and none is lost', async () => {
  const instance = await run(['fan-out', '-p', 'upTo=50000']);
  assert.deepEqual(instance.counts, { succeeded: 202 });
  assert.deepEqual(await outputsOf(instance, 'total'), { pieces: 200, primes: primesUpTo(50_000) });
  const last = Math.max(
    ...instance.tasks.filter(({ task }) => task.startsWith('piece_')).map(({ endedAt }) => Date.parse(endedAt ?? '')),
  );
  const total = instance.tasks.find(({ task }) => task === 'total');
  assert.ok(Date.parse(total?.startedAt ?? '') >= last, 'total starts after the last piece has ended');
});

test('failure: every task ends as its README says, and why names the reasons', async () => {
  const instance = await run(['failure'], 'failed');
  const ends = instance.tasks.map(({ task, state, attempt, reason }) => [task, state, attempt, reason?.code ?? null]);
  assert.deepEqual(ends, [
    ['flaky', 'succeeded', 3, null],
    ['broken', 'failed', 2, 'exit-code'],
    ['slow', 'failed', 1, 'timeout'],
    ['nice_to_have', 'failed', 1, 'command-not-found'],
    ['publish', 'skipped', 0, 'need-not-met'],
    ['celebrate', 'skipped', 0, 'need-not-met'],
    ['notify', 'succeeded', 1, null],
  ]);
  assert.equal(instance.tasks.find(({ task }) => task === 'broken')?.reason?.exitCode, 3);
  assert.equal(instance.reason?.code, 'task-failed');
  const notice = await dev.keelson(['logs', `${instance.id}/notify`]);
  assert.equal(notice.stdout, 'broken is failed and publish is skipped\n');
  const why = await dev.keelson(['why', instance.id]);
  assert.match(why.stdout, /broken {2}failed\n {2}exit code 3 \(exit-code/);
  assert.match(why.stdout, /publish {2}skipped\n {2}needs broken to end succeeded, but it ended failed \(need-not-met/);
  assert.match(why.stdout, /slow {2}failed\n {2}did not end within its timeout.* \(timeout/);
});

/** Starts an instance that nobody can run yet, then its worker; gives its end. */
async function withOwnWorker(
  workflow: string,
  params: JsonObject,
  first: string,
  command: string,
  args: readonly string[],
  options: LaunchOptions,
) {
  const { id } = await dev.client.start('default', workflow, { params });
  const waiting = await waitForReason(dev.client, id, first, 'no-worker-with-capability');
  assert.match(waiting.message, /no live worker in group default can run processor:/);
  const { token } = await dev.client.createToken({ name: workflow, role: 'worker' });
  const worker = launch(command, args, { ...options, env: { KEELSON_URL: dev.url, KEELSON_TOKEN: token } });
  after(() => endProcess(worker, 'SIGKILL'));
  const ended = await waitForEnd(dev.client, id);
  assert.equal(ended.state, 'succeeded', worker.said().stderr);
  const left = await endProcess(worker);
  assert.equal(left.code, 0, left.stderr);
  return ended;
}

test('processor: waits for a worker of its own, says so, and goes on when it has come', async () => {
  const instance = await withOwnWorker(
    'word-count',
    {},
    'split',
    process.execPath,
    ['examples/processor/worker.ts'],
    {},
  );
  assert.deepEqual(await outputsOf(instance, 'count'), {
    total: 11,
    most: [
      { word: 'the', count: 5 },
      { word: 'keel', count: 2 },
      { word: 'ship', count: 2 },
    ],
  });
});

test('python-worker: the worker protocol spoken by a program that shares no code with this repository', async () => {
  const worker = ['examples/python-worker/worker.py'];
  const instance = await withOwnWorker('python-words', { text: 'keel' }, 'count', 'python3', worker, {});
  assert.deepEqual(await outputsOf(instance, 'count'), { words: 1, longest: 'keel' });
});

function primesUpTo(limit: number): number {
  const composite = new Uint8Array(limit + 1);
  let count = 0;
  for (let n = 2; n <= limit; n++) {
    if (composite[n] === 1) continue;
    count += 1;
    for (let multiple = n * n; multiple <= limit; multiple += n) composite[multiple] = 1;
  }
  return count;
}
