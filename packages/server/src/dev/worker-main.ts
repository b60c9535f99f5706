import { createWorker, stderrLog } from '@keelson/worker';
import type { WorkerLog } from '@keelson/worker';
import { runChild } from './child-program.ts';

/** How long running tasks may go on when dev stops. */
const DRAIN_MS = 10_000;

/** What dev says of its workers on the terminal: only what somebody has to look at. */
const log: WorkerLog = (level, message, fields) => {
  if (level !== 'info') stderrLog(level, message, fields);
};

/** The program of a worker of `dev`. */
runChild('worker', async ({ servers, token, name, slots, dataDir }) => {
  const worker = createWorker({ servers, token, name, group: 'default', slots, dataDir, log });
  await worker.start();
  return { leave: () => worker.drain(DRAIN_MS) };
});
