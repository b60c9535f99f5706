import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { makeAssignment, startTestGateway, type TestGateway } from '../testing/test-gateway.ts';
import { isAlive, waitUntil } from '../testing/wait-until.ts';

interface WorkerProcess {
  readonly gateway: TestGateway;
  readonly child: ChildProcess;
  readonly restart: () => ChildProcess;
}

/** A worker in a process of its own, which a test may kill. */
async function startWorkerProcess(t: TestContext): Promise<WorkerProcess> {
  const gateway = await startTestGateway();
  gateway.leaseMs = 1500;
  gateway.renewEveryMs = 200;
  const dataDir = mkdtempSync(join(tmpdir(), 'keelson-worker-'));
  const options = { servers: [gateway.url], token: gateway.joinToken, name: 'w', group: 'g', slots: 2, dataDir };
  const program = `
    import { createWorker } from ${JSON.stringify(new URL('./worker.ts', import.meta.url).href)};
    await createWorker({ ...${JSON.stringify(options)}, log: () => undefined }).start();`;
  const children: ChildProcess[] = [];
  const restart = (): ChildProcess => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
    children.push(child);
    return child;
  };
  t.after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await gateway.close();
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 10 });
  });
  return { gateway, child: restart(), restart };
}

/** Runs a task that ignores SIGTERM, with a child that left its group; returns both process ids. */
async function runStubborn(gateway: TestGateway): Promise<number[]> {
  const run = 'trap "" TERM; setsid sh -c "echo \\$\\$; exec sleep 600" & echo $$; wait; sleep 600';
  const task = makeAssignment({ input: { run } });
  gateway.assign(task);
  await waitUntil('two process ids', () => gateway.logOf(task.token).split('\n').length > 2);
  return gateway.logOf(task.token).trim().split('\n').map(Number);
}

describe('worker: the death of its process', () => {
  it('kill -9 takes the tasks along, and a new worker takes over the directory', async (t) => {
    const { gateway, child, restart } = await startWorkerProcess(t);
    const pids = await runStubborn(gateway);
    child.kill('SIGKILL');
    await waitUntil('the tasks dead', () => !pids.some(isAlive));
    restart();
    await waitUntil('registered anew', () => gateway.registrations.length === 2);
    const task = makeAssignment({ input: { run: 'echo again' } });
    gateway.assign(task);
    await waitUntil('its end', () => gateway.endOf(task.token)?.end === 'succeeded');
  });

  it('stopped past its lease, it and its tasks are killed when the lease ends', async (t) => {
    const { gateway, child } = await startWorkerProcess(t);
    const pids = await runStubborn(gateway);
    child.kill('SIGSTOP');
    const stoppedAt = performance.now();
    await waitUntil('the end of the lease', () => performance.now() > stoppedAt + gateway.leaseMs);
    assert.deepEqual(pids.map(isAlive), [false, false]);
    await waitUntil('the worker dead', () => child.signalCode === 'SIGKILL');
  });
});
