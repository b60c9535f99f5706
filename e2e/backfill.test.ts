import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { BackfillDetail, BackfillRun } from '@keelson/protocol';
import { allItems } from '@keelson/sdk/client';
import { startDevProcess, temporaryFolder } from './support/dev-process.ts';
import type { DevProcess } from './support/dev-process.ts';
import { publish } from './support/instances.ts';
import { waitFor } from './support/wait-for.ts';

/** What tasks wrote outside of the system: a line `workflow date begin|end` each. */
async function ledgerLines(ledger: string): Promise<string[]> {
  return (await readFile(ledger, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
}

const RUN =
  'echo "$NAME $KEELSON_RUN_TIME begin" >> "$LEDGER"; sleep "$NAP"; echo "$NAME $KEELSON_RUN_TIME end" >> "$LEDGER"';

/** A workflow of one task, due each day at six in Berlin. */
function daily(name: string, ledger: string, nap: string, more: object = {}) {
  const task = { run: RUN, env: { NAME: name, LEDGER: ledger, NAP: nap } };
  return {
    name,
    timezone: 'Europe/Berlin',
    triggers: [{ cron: '0 6 * * *', enabled: false }],
    tasks: { task },
    ...more,
  };
}

async function runsOf({ client }: DevProcess, id: string): Promise<BackfillRun[]> {
  const runs: BackfillRun[] = [];
  for await (const run of allItems((cursor) => client.listBackfillRuns(id, { cursor, limit: 500 }))) runs.push(run);
  return runs;
}

const dayOf = (line: string): string => line.split(' ')[1]?.slice(0, 10) ?? '';

/** Runs that were under way at once, at most. */
function mostAtOnce(lines: readonly string[]): number {
  let now = 0;
  let most = 0;
  for (const line of lines) {
    now += line.endsWith('begin') ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
}

async function assertHealthy(dev: DevProcess): Promise<void> {
  const doctor = await dev.keelson(['doctor']);
  assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr);
}

async function opened(t: TestContext) {
  const folder = await temporaryFolder(t);
  return { ledger: join(folder, 'ledger'), dataDir: join(folder, 'data') };
}

test('a month is backfilled: previewed, each date once and in order, what had succeeded left out', async (t) => {
  const { ledger, dataDir } = await opened(t);
  const dev = await startDevProcess(t, { dataDir });
  await publish(dev, daily('sales', ledger, '0'));
  const range = ['backfill', 'sales', '--from', '2025-03-25', '--to', '2025-04-05'];
  const first = await dev.keelson(['backfill', 'sales', '--date', '2025-03-30', '--wait']);
  assert.equal(first.code, 0, first.stdout + first.stderr);
  const look = await dev.keelson([...range, '--dry-run']);
  assert.equal(look.code, 0, look.stderr);
  assert.match(look.stdout, /11 runs would be started; left out: 1 had succeeded already/);
  // The clocks went forward on the 30th: six o'clock is another hour in UTC from then on.
  assert.match(look.stdout, /2025-03-29 06:00:00 +2025-03-29T05:00:00.000Z +would run/);
  assert.match(
    look.stdout,
    /2025-03-30 06:00:00 +2025-03-30T04:00:00.000Z +left out: instance \d+ of this time has succeeded/,
  );
  const run = await dev.keelson([...range, '--wait', '--json']);
  assert.equal(run.code, 0, run.stderr);
  const made = JSON.parse(run.stdout) as BackfillDetail;
  assert.deepEqual([made.state, made.succeeded, made.counts.succeeded, made.counts.skipped], ['done', true, 11, 1]);
  const lines = (await ledgerLines(ledger)).slice(2);
  assert.equal(mostAtOnce(lines), 1, 'one after the other');
  const days = lines.filter((line) => line.endsWith('begin')).map(dayOf);
  assert.deepEqual(days, [
    ...Array.from({ length: 5 }, (_, index) => `2025-03-${25 + index}`),
    '2025-03-31',
    ...Array.from({ length: 5 }, (_, index) => `2025-04-0${1 + index}`),
  ]);
  const again = await dev.keelson([...range, '--wait']);
  assert.equal(again.code, 0, 'nothing is left to do');
  const { items } = await dev.client.listInstances({ workflow: 'sales', limit: 50 });
  assert.equal(items.length, 12);
  assert.ok(items.every(({ trigger, priority }) => trigger === 'backfill' && priority === -10));
  await assertHealthy(dev);
});

test('the server is killed in the middle: it goes on, nothing twice, never more at once than allowed', async (t) => {
  const { ledger, dataDir } = await opened(t);
  const first = await startDevProcess(t, { dataDir });
  await publish(first, daily('etl', ledger, '0.3'));
  await publish(first, daily('mart', ledger, '0.1', { dependsOn: ['etl'], triggers: [] }));
  const { id } = await first.client.createBackfill('default', 'etl', {
    from: '2025-01-01',
    to: '2025-01-12',
    parallel: 3,
    dependents: true,
  });
  await waitFor('some of it', async () => ((await ledgerLines(ledger)).length >= 12 ? true : undefined));
  await first.end('SIGKILL');
  assert.ok((await ledgerLines(ledger)).length < 48, 'it was interrupted');
  const dev = await startDevProcess(t, { dataDir });
  const wait = await dev.keelson(['backfill', 'show', id, '--wait', '--json']);
  assert.equal(wait.code, 0, wait.stdout + wait.stderr);
  const runs = await runsOf(dev, id);
  assert.equal(runs.length, 24);
  assert.ok(runs.every(({ state }) => state === 'succeeded'));
  assert.equal(new Set(runs.map(({ instanceId }) => instanceId)).size, 24, 'an instance each, and no more');
  for (const { startedAt } of runs) {
    const at = Date.parse(startedAt ?? '');
    const others = runs.filter((one) => Date.parse(one.startedAt ?? '') <= at && Date.parse(one.endedAt ?? '') > at);
    assert.ok(others.length <= 3, `${others.length} at once`);
  }
  const { items } = await dev.client.listInstances({ limit: 100 });
  assert.equal(items.length, 24);
  for (const { workflow, runTime, startedAt } of runs) {
    if (workflow !== 'mart') continue;
    const upstream = runs.find((run) => run.workflow === 'etl' && run.runTime === runTime);
    assert.ok(Date.parse(startedAt ?? '') >= Date.parse(upstream?.endedAt ?? ''), `mart of ${runTime} came after`);
  }
  await assertHealthy(dev);
});

test('a run fails: dependents are left out, the wait says so; pause and cancel from the outside', async (t) => {
  const { ledger, dataDir } = await opened(t);
  const dev = await startDevProcess(t, { dataDir });
  await publish(
    dev,
    daily('flaky', ledger, '0', { tasks: { a: { run: 'case "$KEELSON_RUN_TIME" in *-02T*) exit 3;; esac' } } }),
  );
  await publish(dev, daily('after', ledger, '0', { dependsOn: ['flaky'] }));
  const range = ['--from', '2025-02-01', '--to', '2025-02-03'];
  const run = await dev.keelson(['backfill', 'flaky', ...range, '--dependents', '--wait']);
  assert.equal(run.code, 1, run.stdout + run.stderr);
  assert.match(run.stdout, /1 failed, 4 succeeded, 1 skipped of 6/);
  assert.match(run.stdout, /left out: 1 their upstream did not succeed/);
  const stop = await dev.keelson(['backfill', 'flaky', ...range, '--again', '--on-failure', 'stop', '--wait']);
  assert.equal(stop.code, 1);
  assert.match(stop.stdout, /1 failed, 1 succeeded, 1 skipped of 3/);

  await publish(dev, daily('slow', ledger, '600'));
  const { id } = await dev.client.createBackfill('default', 'slow', {
    from: '2025-02-01',
    to: '2025-02-09',
    parallel: 2,
  });
  await waitFor('two runs', async () =>
    (await ledgerLines(ledger)).filter((line) => line.startsWith('slow')).length === 2 ? true : undefined,
  );
  assert.match((await dev.keelson(['backfill', 'pause', id])).stdout, /is paused/);
  assert.match((await dev.keelson(['backfill', 'pause', id])).stdout, /is paused already/);
  assert.match((await dev.keelson(['backfills'])).stdout, /default\/slow +paused +2 running, 7 to start of 9/);
  const cancelled = await dev.keelson(['backfill', 'cancel', id, '--stop', '--wait']);
  assert.equal(cancelled.code, 1);
  assert.match(cancelled.stdout, /2 stopped, 7 skipped of 9/);
  const late = await dev.keelson(['backfill', 'resume', id]);
  assert.equal(late.code, 1);
  assert.match(late.stderr, /was cancelled/);
  await assertHealthy(dev);
});
