import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Assignment, EndedReport } from '@keelson/protocol';
import type { WorkerOptions } from '../runtime/options.ts';
import { createWorker, type Worker } from '../runtime/worker.ts';
import { startTestGateway, type TestGateway } from './test-gateway.ts';
import { waitUntil } from './wait-until.ts';

export interface Setup {
  readonly gateway: TestGateway;
  readonly worker: Worker;
  readonly dataDir: string;
  /** The worker's own log lines. */
  readonly lines: string[];
  /** Assigns, and waits for the end. */
  run(assignment: Assignment): Promise<EndedReport>;
}

/** A started worker and a gateway of its own; both end with the test, and the worker must have kept to the protocol. */
export async function setupWorker(
  t: TestContext,
  options: Partial<WorkerOptions> = {},
  prepare?: (gateway: TestGateway) => void,
): Promise<Setup> {
  const gateway = await startTestGateway();
  prepare?.(gateway);
  const dataDir = mkdtempSync(join(tmpdir(), 'keelson-worker-'));
  const lines: string[] = [];
  const worker = createWorker({
    servers: [gateway.url],
    token: gateway.joinToken,
    name: 'w1',
    group: 'default',
    slots: 4,
    dataDir,
    killGraceMs: 300,
    pollWaitMs: 5000,
    log: (level, message, fields) => void lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    ...options,
  });
  t.after(async () => {
    gateway.fault = () => undefined;
    await worker.stop();
    await gateway.close();
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
    assert.deepEqual(gateway.violations, []);
  });
  await worker.start();
  async function run(assignment: Assignment): Promise<EndedReport> {
    gateway.assign(assignment);
    await waitUntil(`the end of ${assignment.task}`, () => gateway.endOf(assignment.token) !== undefined);
    const end = gateway.endOf(assignment.token);
    assert.ok(end !== undefined);
    return end;
  }
  return { gateway, worker, dataDir, lines, run };
}
