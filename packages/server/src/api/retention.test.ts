import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiHarness, DAILY, YAML } from './testing/harness.ts';
import pg from 'pg';

test('the rules are shown, set for all or for a project, and refused when they make no sense', async (t) => {
  const { call, tokenOf } = await apiHarness(t);
  await call('PUT', '/api/v1/projects/demo/workflows/daily', DAILY, YAML);
  const fresh = (await call('GET', '/api/v1/retention')).json();
  assert.deepEqual([fresh.installation.succeeded, fresh.installation.logs, fresh.projects], ['90d', '30d', {}]);
  const set = await call('PUT', '/api/v1/retention', { project: 'demo', keep: { succeeded: 'forever', logs: '36h' } });
  assert.deepEqual(set.json().projects, { demo: { logs: '1d12h', succeeded: 'forever' } });
  await call('PUT', '/api/v1/retention', { project: 'demo', keep: { logs: 'inherit' } });
  assert.deepEqual((await call('GET', '/api/v1/retention')).json().projects, { demo: { succeeded: 'forever' } });
  for (const [body, status, code] of [
    [{ keep: { succeeded: 'soon' } }, 422, 'invalid-request'],
    [{ keep: { succeeded: '5m' } }, 422, 'invalid-retention'],
    [{ keep: { succeeded: 'inherit' } }, 422, 'invalid-retention'],
    [{ keep: { everything: '1d' } }, 422, 'invalid-request'],
    [{ project: 'demo', keep: { alerts: '1d' } }, 422, 'invalid-retention'],
    [{ project: 'none', keep: { logs: '1d' } }, 404, 'unknown-project'],
  ] as const) {
    const answer = await call('PUT', '/api/v1/retention', body);
    assert.deepEqual([answer.statusCode, answer.json().code], [status, code], JSON.stringify(body));
  }
  const operator = { authorization: `Bearer ${await tokenOf('operator')}` };
  assert.equal((await call('GET', '/api/v1/retention', undefined, operator)).statusCode, 200);
  assert.equal((await call('PUT', '/api/v1/retention', { keep: {} }, operator)).statusCode, 403);
});

test('an instance that was removed answers 410, and a run tells before what it would do', async (t) => {
  const { call, url } = await apiHarness(t);
  await call('PUT', '/api/v1/projects/demo/workflows/daily', DAILY, YAML);
  const { id } = (await call('POST', '/api/v1/projects/demo/workflows/daily/instances', {})).json();
  const client = new pg.Client({ connectionString: url, options: '-c search_path=keelson' });
  await client.connect();
  // Without the trigger that refuses it.
  await client.query('set session_replication_role = replica');
  await client.query("update workflow_instance set created_at = now() - interval '92 days'");
  await client.query('delete from command');
  await client.query('delete from live_instance');
  await client.query(
    "insert into instance_end (instance_id, generation, state, ended_at) values ($1, 1, 'stopped', now() - interval '91 days')",
    [id],
  );
  await client.end();
  const dry = (await call('POST', '/api/v1/retention/run', { dryRun: true })).json();
  assert.deepEqual([dry.outcome, dry.removed.instances], ['dry-run', 1]);
  assert.equal((await call('GET', `/api/v1/instances/${id}`)).statusCode, 200);
  const run = (await call('POST', '/api/v1/retention/run', {})).json();
  assert.deepEqual([run.outcome, run.removed.instances, run.more], ['done', 1, false]);
  const task = `/api/v1/task-instances/${id}.1.extract`;
  for (const path of [
    ...['', '/why', '/history', '/tasks/extract'].map((of) => `/api/v1/instances/${id}${of}`),
    task,
    `${task}/log`,
  ]) {
    const answer = await call('GET', path);
    assert.deepEqual([answer.statusCode, answer.json().code], [410, 'instance-archived'], path);
  }
  for (const operation of ['pause', 'resume', 'stop', 'rerun', 'recover']) {
    const answer = await call('POST', `/api/v1/instances/${id}/${operation}`, {});
    assert.deepEqual([answer.statusCode, answer.json().code], [410, 'instance-archived'], operation);
  }
  assert.equal((await call('GET', '/api/v1/instances/999999')).json().code, 'unknown-instance');
  assert.equal((await call('GET', '/api/v1/retention')).json().lastRun.removed.instances, 1);
});
