import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCampaign } from './campaign.ts';
import { textOf } from './report.ts';

/** Short: that the campaign itself works, and that a small cluster loses nothing while little is done to it. */
test('half a minute of kills and cuts: nothing lost, nothing twice, order kept, nothing stuck', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-chaos-'));
  await chmod(folder, 0o755);
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const { report } = await runCampaign({
    folder,
    minutes: 0.5,
    seed: 1,
    nemeses: ['kill-master', 'kill-worker', 'cut-database'],
    rate: 2,
    workflows: undefined,
    plant: undefined,
    keep: undefined,
    json: false,
    say: (line) => t.diagnostic(line),
    signal: new AbortController().signal,
    size: { masters: 2, apis: 0, shellWorkers: 2, processorWorkers: 1 },
  });
  // A loaded machine may do little in half a minute; that is not what this test is about.
  assert.deepEqual(report.violations, [], textOf(report));
  assert.ok(
    report.injections.some(({ bit }) => bit),
    'no fault bit',
  );
  assert.ok(report.tally.tasks > 0, 'no task ran');
});
