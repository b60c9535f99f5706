import type { Clock } from '@keelson/core';
import { runAttempt } from '../attempt/attempt.ts';
import { openBlobCache, DEFAULT_CACHE_BYTES } from '../attempt/blob-cache.ts';
import { DEFAULT_ENV_ALLOWLIST, allowedEnvironment } from '../attempt/environment.ts';
import { openWorkspacePlaces } from '../attempt/workspace-places.ts';
import { openDataDir, type DataDir } from '../data-dir/data-dir.ts';
import { openGateway, type Gateway, type IncarnationGateway } from '../gateway/client.ts';
import { startLauncher } from '../launcher/client.ts';
import { machineNow } from '../launcher/messages.ts';
import { DEFAULT_OUTPUT_LIMITS } from '../log/output-limit.ts';
import { createLogShipper, DEFAULT_LOG_BUFFER_BYTES } from '../log/shipper.ts';
import type { AttemptRunner } from './attempt-runner.ts';
import type { Deadline } from './lease.ts';
import { DEFAULT_KILL_GRACE_MS, offeredRuns, type WorkerOptions } from './options.ts';
import type { WorkerLog } from './worker-log.ts';

/** What a worker stands on, whatever its incarnation: its way to the servers, what runs its tasks, and what kills them without it. */
export interface House {
  readonly gateway: Pick<Gateway, 'register' | 'as'>;
  readonly deadline: Deadline;
  /** Attempts of the incarnation that speaks through this gateway. */
  runner(gateway: IncarnationGateway): AttemptRunner;
  close(): Promise<void>;
}

/** Takes the data directory, starts the launcher, opens the connections. Throws when one of them cannot be had. */
export async function openHouse(options: WorkerOptions, clock: Clock, log: WorkerLog): Promise<House> {
  const runs = offeredRuns(options);
  const limits = options.outputLimits ?? DEFAULT_OUTPUT_LIMITS;
  const killGraceMs = options.killGraceMs ?? DEFAULT_KILL_GRACE_MS;
  const allowedEnv = allowedEnvironment(options.envAllowlist ?? DEFAULT_ENV_ALLOWLIST);
  const gateway = openGateway(options.servers, clock, { superseded: once(() => warnOfNamesake(options, log)) });
  const dataDir: DataDir = await openDataDir(options.dataDir, log);
  const launcher = startLauncher({
    dataDir: dataDir.path,
    dataDirId: dataDir.id,
    limits,
    killWorker: options.killOnLostLease ?? true,
    onDeath: (lost) =>
      log('error', 'the launcher process ended unexpectedly; its tasks were killed, a new one starts', { tasks: lost }),
  });
  const cache = openBlobCache(dataDir.cacheDir, options.cacheBytes ?? DEFAULT_CACHE_BYTES, clock);
  const places = openWorkspacePlaces(dataDir.attemptsDir, clock);
  return {
    gateway,
    deadline: { now: machineNow, set: (at) => launcher.setDeadline(at) },
    runner(own) {
      const bufferBytes = options.logBufferBytes ?? DEFAULT_LOG_BUFFER_BYTES;
      const logs = createLogShipper({ clock, limits, bufferBytes, send: own.log });
      const host = { clock, runs, launcher, gateway: own, cache, logs, places, allowedEnv, killGraceMs, log };
      return (assignment, { progress, ended }) => runAttempt(assignment, { ...host, progress }, ended);
    },
    async close() {
      await launcher.close();
      await gateway.close();
      dataDir.release();
    },
  };
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}

function warnOfNamesake({ name }: WorkerOptions, log: WorkerLog): void {
  log(
    'warn',
    'another worker has joined under the name of this one, which is given no tasks any more: if both are to work, start one with another --name and --data',
    { name },
  );
}
