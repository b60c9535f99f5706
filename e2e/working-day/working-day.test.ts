import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runWorker } from '@keelson/sdk';
import { createClient } from '@keelson/sdk/client';
import { checkDatabase, createToken, migrateDatabase, startServer, verifyDatabase } from '@keelson/server';
import type { RunningServer } from '@keelson/server';
import pg from 'pg';
import pino from 'pino';
import { waitFor } from '../support/wait-for.ts';
import { fastDatabase } from './fast-clock.ts';
import type { FastTime } from './fast-clock.ts';
import { backfillFindings, findingsOf } from './findings.ts';
import type { FireRow, InstanceRow } from './findings.ts';
import { BACKFILL, BACKFILLED, DAY, workflowsOfTheDay } from './workflows.ts';

/** Ten hours in 36 seconds. */
const FACTOR = 1000;
const HOUR_MS = 3_600_000;
/** Longer than the misfire threshold: nobody is there to fire anything. */
const DOWN = { fromMs: DAY.fromMs + 4 * HOUR_MS, toMs: DAY.fromMs + 5.5 * HOUR_MS };
const WITHIN_MS = 240_000;

const DAY_ENDS = new Date(DAY.toMs).toISOString();
/** Some schedules begin after the day. */
const FIRES = `
  select w.name as workflow, extract(epoch from f.due_at)::float8 * 1000 as "dueMs", extract(epoch from f.decided_at)::float8 * 1000 as "decidedMs",
         f.outcome, f.reason->>'code' as code, f.instance_id::text as instance
    from fire f join schedule s on s.id = f.schedule_id join workflow w on w.id = s.workflow_id where f.due_at <= '${DAY_ENDS}'`;
const INSTANCES = `
  select i.id::text, w.name as workflow, i.trigger, extract(epoch from i.run_time)::float8 * 1000 as "runMs", e.state, e.reason->>'code' as reason,
         extract(epoch from i.created_at)::float8 * 1000 as "createdMs", extract(epoch from e.ended_at)::float8 * 1000 as "endedMs",
         extract(epoch from (select min(h.at) from history h where h.instance_id = i.id and h.events @> '[{"type": "instance-started"}]'))::float8 * 1000 as "startedMs"
    from workflow_instance i join workflow w on w.id = i.workflow_id left join instance_end e on e.instance_id = i.id
   where i.run_time <= '${DAY_ENDS}'`;

interface House {
  readonly time: FastTime;
  readonly token: string;
  sql<Row extends pg.QueryResultRow>(text: string): Promise<Row[]>;
  serve(port?: number): Promise<RunningServer>;
}

async function house(t: TestContext): Promise<House> {
  const time = await fastDatabase(t, DAY.fromMs - 10 * 60_000, FACTOR);
  const { databaseUrl } = time;
  await migrateDatabase(databaseUrl);
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  t.after(() => client.end());
  // The worker lives in real time, in which its lease is not to end.
  await client.query('alter table worker_group drop constraint worker_group_lease_ms_check');
  await client.query('update worker_group set lease_ms = 20 * 86400000');
  const running = new Set<RunningServer>();
  t.after(() => Promise.all([...running].map((server) => server.stop(0))));
  return {
    time,
    token: await createToken({ databaseUrl, role: 'admin', name: 'test' }),
    sql: async <Row extends pg.QueryResultRow>(text: string) => (await client.query<Row>(text)).rows,
    serve: async (port = 0) => {
      const log = pino({ level: process.env['DAY_LOG'] ?? 'error' }, pino.destination(2));
      const options = {
        roles: ['api', 'master'] as const,
        databaseUrl,
        secretKey: randomBytes(32).toString('base64'),
        log,
        clock: time.clock,
      };
      const server = await startServer({ ...options, listen: { host: '127.0.0.1', port } });
      running.add(server);
      return server;
    },
  };
}

/** Works as many minutes of the day as it is told. */
async function work(t: TestContext, { time }: House, urls: readonly string[]): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'keelson-day-'));
  const token = await createToken({ databaseUrl: time.databaseUrl, role: 'worker', name: 'worker' });
  const worker = await runWorker({
    server: urls,
    token,
    slots: 250,
    name: 'worker',
    dataDir,
    handleSignals: false,
    processors: {
      work: async ({ args, signal }) => {
        await delay(time.real((args as { minutes: number }).minutes * 60_000), undefined, { signal });
        return {};
      },
    },
  });
  t.after(async () => {
    await worker.stop();
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  });
}

async function backfill(url: string, token: string): Promise<void> {
  const { name, from, to, parallel } = BACKFILL;
  const answer = await fetch(`${url}/api/v1/projects/default/workflows/${name}/backfills`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ from, to, parallel }),
  });
  assert.equal(answer.status, 201, await answer.text());
}

test('a working day of 300 workflows, fire by fire', { timeout: 2 * WITHIN_MS }, async (t) => {
  const it = await house(t);
  const { time, sql } = it;
  const workflows = workflowsOfTheDay();
  assert.equal(workflows.length, 300);
  const first = await it.serve();
  const second = await it.serve();
  const ports = [first, second].map(({ url }) => Number(new URL(url).port));
  await work(t, it, [first.url, second.url]);
  const client = createClient({ url: first.url, token: it.token });
  await client.apply({
    workflows: [...workflows, { name: BACKFILL.name, definition: BACKFILLED }].map(({ name, definition }) => ({
      file: `${name}.json`,
      source: JSON.stringify(definition),
      files: [],
    })),
  });
  const began = performance.now();
  await time.go();
  const until = (ms: number) =>
    waitFor(`the day comes to ${new Date(ms).toISOString()}`, () => time.nowMs() >= ms || undefined, WITHIN_MS);
  await until(DAY.fromMs + HOUR_MS);
  await backfill(first.url, it.token);
  await until(DOWN.fromMs);
  await Promise.all([first.stop(), second.stop()]);
  await until(DOWN.toMs);
  await Promise.all(ports.map((port) => it.serve(port)));
  await until(DAY.toMs + 1);
  const left = `select 1 from live_instance l join workflow_instance i using (id) where i.run_time <= '${DAY_ENDS}' union all select 1 from schedule where next_due <= '${DAY_ENDS}' or awaiting is not null
                union all select 1 from backfill where state = 'running' limit 1`;
  await waitFor('everything has ended', async () => ((await sql(left)).length === 0 ? true : undefined), WITHIN_MS);
  t.diagnostic(`${Math.round((performance.now() - began) / 1000)} s for the day`);

  const fires = await sql<FireRow & pg.QueryResultRow>(FIRES);
  const instances = await sql<InstanceRow & pg.QueryResultRow>(INSTANCES);
  assert.deepEqual(findingsOf(workflows, fires, instances).slice(0, 50), []);
  assert.deepEqual(backfillFindings(instances), []);
  const outcomes = Map.groupBy(fires, ({ outcome, code }) => `${outcome}${code === null ? '' : ` (${code})`}`);
  t.diagnostic(
    `the last one ended ${Math.round((Math.max(...instances.map(({ endedMs }) => endedMs ?? 0)) - DAY.toMs) / 60_000)} minutes after the day`,
  );
  t.diagnostic([...outcomes].map(([outcome, rows]) => `${rows.length} ${outcome}`).join(', '));
  assert.ok(
    fires.length > 2000 &&
      fires.some(({ code }) => code === 'fired-late') &&
      fires.some(({ outcome }) => outcome === 'misfired'),
  );
  assert.ok(instances.some(({ reason }) => reason === 'discarded'));
  assert.deepEqual(
    (await checkDatabase(time.databaseUrl)).filter(({ rows }) => rows.length > 0),
    [],
  );
  assert.deepEqual((await verifyDatabase(time.databaseUrl, {})).violations, []);
});
