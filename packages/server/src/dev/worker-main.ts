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
 * same user could read. Its end comes with the end of the channel.
 */
process.once('message', (settings: unknown) => {
  if (!isWorkerSettings(settings)) throw new Error('this program is started by keelson dev');
  const { server, token, name, slots, dataDir } = settings;
  const worker = createWorker({ servers: [server], token, name, group: 'default', slots, dataDir, log });
  process.once('disconnect', () => void worker.drain(DRAIN_MS).finally(() => process.exit(0)));
  void worker.start().then(() => process.send?.('ready'));
});
