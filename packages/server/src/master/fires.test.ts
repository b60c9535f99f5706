import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { TriggerDefinition, WorkflowDefinition } from '@keelson/core';
import { systemClock } from '@keelson/core/system';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { migrate, openStore } from '@keelson/store';
import type { Store } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import pg from 'pg';
import pino from 'pino';
import { createClockBound } from './clock-bound.ts';
import { startMaster } from './master.ts';
import type { Master } from './master.ts';
import { until } from './testing/gateway-house.ts';

interface House {
  readonly store: Store;
  master(): Promise<Master>;
  apply(definition: WorkflowDefinition): Promise<void>;
  sql(text: string, values?: readonly unknown[]): Promise<pg.QueryResultRow[]>;
}

async function openHouse(t: TestContext): Promise<House> {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'fires-test' });
  const pool = new pg.Pool({ connectionString: url, options: '-c search_path=keelson', max: 2 });
  const masters: Master[] = [];
  const stores: Store[] = [];
  t.after(async () => {
    await Promise.all(masters.map((master) => master.stop()));
    await Promise.all([pool.end(), store.close(), ...stores.map((one) => one.close())]);
  });
  return {
    store,
    master: async () => {
      const own = await openStore({ url, applicationName: 'fires-master' });
      stores.push(own);
      const master = startMaster({
        store: own,
        signals: own.signals,
        log: pino({ level: 'silent' }),
        clock: systemClock,
      });
      masters.push(master);
      return master;
    },
    apply: async (definition) => {
      const source = JSON.stringify(definition);
      const { project, name } = definition;
      await store.definitions.apply([{ project, name, definition, source, files: [], hash: source, createdBy: 'ann' }]);
      store.signals.send('followup', 'schedule');
    },
    sql: async (text, values = []) => (await pool.query(text, [...values])).rows,
  };
}

const RATE: TriggerDefinition = { id: 'often', fixedRateMs: 200, timezone: 'UTC', misfire: 'fire-once', params: {} };

const scheduled = (trigger: TriggerDefinition, more: Partial<WorkflowDefinition> = {}): WorkflowDefinition =>
  workflowOf([taskOf('a')], { project: 'p', name: 'w', triggers: [trigger], ...more });

/** Every fire has its own instance, of its time, and no time is left out. */
const FIRES = `select count(*)::int as fires, count(distinct i.id)::int as instances, count(*) filter (where i.run_time = f.due_at and i.trigger = 'schedule')::int as fitting,
       (extract(epoch from max(f.due_at) - min(f.due_at)) * 1000 / 200)::int + 1 as times
  from fire f left join workflow_instance i on i.id = f.instance_id where f.outcome = 'fired'`;

test('masters share the fires of a schedule: none is lost, none is doubled, and what runs has its time', async (t) => {
  const house = await openHouse(t);
  const masters = await Promise.all([house.master(), house.master(), house.master()]);
  await house.apply(scheduled(RATE));
  const fired = async (): Promise<number> => (await house.sql(FIRES))[0]?.['fires'];
  await until('some fires', async () => (await fired()) >= 5);
  await masters[0]?.stop();
  const before = await fired();
  await until('more fires', async () => (await fired()) >= before + 5);
  await house.store.schedules.pause({ project: 'p', name: 'w' }, undefined, 'ann');
  const [row] = await house.sql(FIRES);
  assert.equal(row?.['instances'], row?.['fires']);
  assert.equal(row?.['fitting'], row?.['fires']);
  assert.equal(row?.['times'], row?.['fires'], 'no time is left out');
  const counted = masters.reduce((sum, { metrics }) => sum + metrics.fires.fired, 0);
  assert.equal(counted, row?.['fires']);
});

test('params that cannot be resolved fail the fire with their reason, write an alert, and stop nothing', async (t) => {
  const house = await openHouse(t);
  await house.master();
  await house.apply(scheduled(RATE, { params: { day: { type: 'date' } } }));
  const fires = () =>
    house.sql(`select outcome, reason->>'code' as code, reason->>'message' as message from fire order by due_at`);
  await until('two fires', async () => (await fires()).length >= 2);
  assert.equal((await fires())[1]?.['outcome'], 'failed');
  assert.match((await fires())[1]?.['message'], /day.*has no default/);
  const [alert] = await house.sql(`select kind, payload from alert order by id limit 1`);
  assert.equal(alert?.['kind'], 'fire-failed');
  assert.equal(alert?.['payload'].workflow, 'w');
  await house.sql(`update project set params = '{"day": "2026-01-02"}'`);
  await until('a fire that starts', async () => (await fires()).some(({ outcome }) => outcome === 'fired'));
  const [made] = await house.sql('select params from workflow_instance');
  assert.deepEqual(made?.['params'], { day: '2026-01-02' });
});

test('a fixed delay counts from the end of its instance', async (t) => {
  const house = await openHouse(t);
  await house.master();
  const delay: TriggerDefinition = {
    id: 'again',
    fixedDelayMs: 300,
    timezone: 'UTC',
    misfire: 'fire-once',
    params: {},
  };
  await house.apply(scheduled(delay));
  const instances = () => house.sql('select id from workflow_instance order by id');
  await until('the first', async () => (await instances()).length === 1);
  const [awaits] = await house.sql('select awaiting, next_at from schedule');
  assert.deepEqual(awaits, { awaiting: (await instances())[0]?.['id'], next_at: null });
  await house.store.operations.operate((await instances())[0]?.['id'], { type: 'stop' }, 'ann');
  house.store.signals.send('command');
  await until('the second', async () => (await instances()).length === 2);
  const [gap] = await house.sql(
    `select extract(epoch from run_time - ended_at) * 1000 as ms from workflow_instance i, instance_end e order by id desc limit 1`,
  );
  assert.ok(Math.abs(Number(gap?.['ms']) - 300) < 2, `300 ms after the end, not ${gap?.['ms']}`);
});

test('a schedule that cannot be read is put off and said, and the others fire', async (t) => {
  const house = await openHouse(t);
  await house.apply(scheduled({ ...RATE, id: 'bad' }, { name: 'bad' }));
  await house.sql(
    `update schedule set trigger = '{"id": "bad", "timezone": "Mars/Olympus", "cron": "* * * * *", "misfire": "skip", "params": {}}'`,
  );
  await house.master();
  await house.apply(scheduled(RATE));
  await until('fires of the good one', async () => (await house.sql('select from fire')).length >= 2);
  const state = () =>
    house.sql(
      `select last_error, next_at > now() + interval '30 seconds' as later from schedule where trigger_id = 'bad'`,
    );
  await until('the bad one is put off', async () => (await state())[0]?.['last_error'] !== null);
  assert.match((await state())[0]?.['last_error'], /mars/i);
  assert.equal((await state())[0]?.['later'], true);
  const kinds = await house.sql(`select kind from alert`);
  assert.deepEqual(kinds, [{ kind: 'schedule-failing' }], 'said once');
});

test('what a jump of the clock makes look due is not believed, until the clock has stayed there', () => {
  let now = 0;
  const bound = createClockBound(() => now);
  assert.ok(bound.read(1_000_000, 0) < 1_002_000);
  now = 1000;
  assert.ok(bound.read(1_001_000, 999) < 1_003_000, 'it runs as this one does');
  now = 2000;
  assert.ok(bound.read(5_000_000, 1999) < 1_004_000, 'an hour ahead');
  now = 8000;
  assert.ok(bound.read(5_006_000, 7999) < 1_010_000);
  now = 13_000;
  assert.ok(bound.read(5_011_000, 12_999) >= 5_011_000, 'it was right');
  now = 14_000;
  assert.ok(bound.read(1_013_000, 13_999) < 1_015_000, 'back again: at once');
});
