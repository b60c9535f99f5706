import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isAlive, waitUntil } from '../testing/wait-until.ts';

const OWNER = fileURLToPath(new URL('../testing/launcher-owner.ts', import.meta.url));

interface Owner {
  readonly child: ChildProcess;
  /** The task's processes: one in the group, one that left it. */
  readonly pids: number[];
  readonly warnings: () => string;
}

async function startOwner(t: TestContext, leaseMs: number): Promise<Owner> {
  const dataDir = mkdtempSync(join(tmpdir(), 'keelson-owner-'));
  const code = 'trap "" TERM; setsid sh -c "echo \\$\\$; exec sleep 600" & echo $$; wait; sleep 600';
  const child = spawn(process.execPath, [OWNER, dataDir, String(leaseMs), code], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => {
    child.kill('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
  });
  let text = '';
  let warnings = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (warnings += chunk.toString()));
  await waitUntil('two process ids', () => text.split('\n').length > 2);
  return { child, pids: text.trim().split('\n').map(Number), warnings: () => warnings };
}

describe('launcher: when the worker is gone', () => {
  it('kill -9 of the worker kills its tasks', async (t) => {
    const owner = await startOwner(t, 60_000);
    assert.ok(owner.pids.every(isAlive));
    owner.child.kill('SIGKILL');
    await waitUntil('all tasks dead', () => !owner.pids.some(isAlive));
  });

  it('a worker that is stopped past its lease is killed with its tasks', async (t) => {
    const owner = await startOwner(t, 1000);
    owner.child.kill('SIGSTOP');
    await waitUntil('tasks and worker dead', () => !owner.pids.some(isAlive) && owner.child.signalCode === 'SIGKILL');
    await waitUntil('a line that says why', () => /lease end without renewal/.test(owner.warnings()));
  });

  it('a worker that renews is left alone', async (t) => {
    const owner = await startOwner(t, 400);
    const until = performance.now() + 1500;
    await waitUntil('more than three leases', () => performance.now() > until);
    assert.ok(owner.pids.every(isAlive) && owner.child.exitCode === null);
  });
});
