import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { migrate, openStore } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import Fastify from 'fastify';
import pg from 'pg';
import pino from 'pino';
import { startMaster } from './master.ts';

async function house(t: TestContext) {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'assignment-test', secretKey: randomBytes(32) });
  const pool = new pg.Pool({ connectionString: url, options: '-c search_path=keelson', max: 2 });
  t.after(async () => {
    await pool.end();
    await store.close();
  });
  const start = async (name: string): Promise<string> => {
    const definition = workflowOf([taskOf('a')], { name });
    const source = JSON.stringify(definition);
    const [applied] = await store.definitions.apply([
      { project: 'p', name, definition, source, files: [], hash: name, createdBy: 't' },
    ]);
    assert.ok(applied);
    const { rows } = await pool.query('select workflow_id from workflow_version where id = $1', [applied.versionId]);
    const { instanceId } = await store.starts.start({
      workflowId: rows[0].workflow_id,
      versionId: applied.versionId,
      taskCount: 1,
      params: {},
      runTime: '2026-01-02T03:04:05Z',
      priority: 0,
      createdBy: 't',
    });
    return instanceId;
  };
  const sql = async (text: string, values: unknown[] = []) => (await pool.query(text, values)).rows;
  const master = () => startMaster({ store, signals: store.signals, log: pino({ level: 'silent' }) });
  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    for (const deadline = Date.now() + 60_000; Date.now() < deadline; await pause(20)) if (await holds()) return;
    assert.fail(`in vain: ${what}`);
  };
  return { store, start, sql, master, until };
}

test('a task whose version this server cannot read fails with the reason, and keeps nothing else from its worker', async (t) => {
  const { store, start, sql, master, until } = await house(t);
  const [good, bad] = [await start('good'), await start('bad')];
  const first = master();
  await until('both are in line', async () => (await sql('select from ready')).length === 2);
  await first.stop();
  // As a newer release could have written it.
  await sql(
    `update workflow_version set definition = json_build_object('tasks', json_build_object('a', 7)) where id = (select version_id from workflow_instance where id = $1)`,
    [bad],
  );
  const reported = () =>
    sql(
      "select payload->>'end' as end, payload->'reason'->>'code' as code from command where instance_id = $1 and kind = 'attempt-ended'",
      [bad],
    );
  const second = master();
  const app = Fastify();
  await app.register(second.routes, { prefix: '/worker/v1' });
  t.after(async () => {
    await second.stop();
    await app.close();
  });
  const call = async (path: string, bearer: string, payload: object) => {
    const headers = { authorization: `Bearer ${bearer}` };
    return (await app.inject({ method: 'POST', url: `/worker/v1/${path}`, headers, payload })).json();
  };
  const { token } = await store.tokens.create({ name: 'w', role: 'worker' });
  const worker = { protocol: 1, name: 'w', group: 'default', slots: 2, capabilities: ['shell'], host: 'h', pid: 1 };
  const { credential } = await call('register', token, { ...worker, version: '0' });
  const taken: string[] = [];
  await until('the good one is handed over', async () => {
    const answer = await call('poll', credential, { held: [], waitMs: 100, draining: false });
    for (const { instanceId } of answer.assignments ?? []) taken.push(instanceId);
    return taken.length > 0;
  });
  assert.deepEqual([...new Set(taken)], [good]);
  // Of its version nothing can be decided here: it is for the commands, which give up in the end.
  await until('the other has failed', async () => (await reported()).length === 1);
  const [kept] = await reported();
  assert.deepEqual([kept?.['end'], kept?.['code']], ['failed', 'assignment-failed']);
});
