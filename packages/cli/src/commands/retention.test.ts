import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { runCli } from '../program.ts';
import type { Handler } from '../testing/test-api.ts';
import { testApi } from '../testing/test-api.ts';
import { testTerminal } from '../testing/test-terminal.ts';

const KEPT = {
  succeeded: '90d',
  unsuccessful: '90d',
  logs: '30d',
  fires: '90d',
  alerts: '90d',
  'command-errors': '90d',
  workers: '90d',
  blobs: 'forever',
};
const NOTHING = {
  instances: 0,
  partitions: 0,
  logs: 0,
  fires: 0,
  alerts: 0,
  commandErrors: 0,
  workers: 0,
  blobs: 0,
  blobBytes: 0,
};

async function keelson(t: TestContext, args: readonly string[], handlers: Readonly<Record<string, Handler>>) {
  const api = await testApi(t, handlers);
  const terminal = testTerminal({ env: api.env });
  return { code: await runCli(args, terminal), out: terminal.out(), err: terminal.err(), calls: api.calls };
}

const policy: Handler = () => ({ installation: KEPT, projects: { audit: { succeeded: 'forever' } }, lastRun: null });

test('shows every rule with what it is about', async (t) => {
  const { code, out } = await keelson(t, ['retention', 'show'], { 'GET retention': policy });
  assert.equal(code, 0);
  assert.match(out, /logs +30d +logs of tasks/);
  assert.match(out, /audit +succeeded +forever/);
  assert.match(out, /Nothing has been removed yet/);
});

test('sets several rules at once, and refuses one that is none before anything is sent', async (t) => {
  const { code, calls } = await keelson(t, ['retention', 'set', '-p', 'audit', 'succeeded=forever', 'logs=10d'], {
    'PUT retention': policy,
  });
  assert.equal(code, 0);
  assert.deepEqual(calls[0]?.body, { project: 'audit', keep: { succeeded: 'forever', logs: '10d' } });
  const wrong = await keelson(t, ['retention', 'set', 'everything=1d'], {});
  assert.deepEqual([wrong.code, wrong.calls], [2, []]);
  assert.match(wrong.err, /is no rule/);
});

test('runs until nothing is left, and adds up what went', async (t) => {
  let runs = 0;
  const { code, out, calls } = await keelson(t, ['retention', 'run'], {
    'POST retention/run': () => ({
      outcome: 'done',
      removed: { ...NOTHING, instances: 5, blobs: 1, blobBytes: 2048 },
      more: ++runs < 3,
    }),
  });
  assert.deepEqual([code, calls.length], [0, 3]);
  assert.match(out, /Removed 15 instances, 3 blobs \(6\.0 KiB\)/);
});

test('a dry run says how much would go', async (t) => {
  const { out, calls } = await keelson(t, ['retention', 'run', '--dry-run'], {
    'POST retention/run': () => ({ outcome: 'dry-run', removed: NOTHING, more: false }),
  });
  assert.deepEqual(calls[0]?.body, { dryRun: true });
  assert.match(out, /Would remove nothing/);
});
