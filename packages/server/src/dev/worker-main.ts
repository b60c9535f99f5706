import { createWorker, stderrLog } from '@keelson/worker';
import type { WorkerLog } from '@keelson/worker';
import { isWorkerSettings } from './worker-settings.ts';

/** How long running tasks may go on when dev stops. */
const DRAIN_MS = 10_000;

/** What dev says of its workers on the terminal: only what somebody has to look at. */
const log: WorkerLog = (level, message, fields) => {
  if (level !== 'info') stderrLog(level, message, fields);
};

/**
 * The program of a worker of `dev`. Its settings, the token among them, come over the channel and not in the environment, which tasks of the
 * same user could read. A second message asks it to leave.
 */
process.once('message', (settings: unknown) => {
  if (!isWorkerSettings(settings)) throw new Error('this program is started by keelson dev');
  const { server, token, name, slots, dataDir } = settings;
  const worker = createWorker({ servers: [server], token, name, group: 'default', slots, dataDir, log });
  process.once('message', () => {
    process.off('disconnect', orphaned);
    void worker.drain(DRAIN_MS).finally(() => process.exit(0));
  });
  void worker.start().then(() => process.send?.('ready'));
});
process.once('disconnect', orphaned);
if (!process.connected) orphaned();

/**
 * The server has died with its process: there is nobody to report to, and the next `dev` wants this directory. What runs here dies
 * with this process and is run again.
 */
function orphaned(): void {
  process.exit(1);
}
