import { openBlobCache, DEFAULT_CACHE_BYTES, type BlobCache } from '../attempt/blob-cache.ts';
import { openWorkspacePlaces, type WorkspacePlaces } from '../attempt/workspace-places.ts';
import { openDataDir, type DataDir } from '../data-dir/data-dir.ts';
import { openGateway, type Gateway } from '../gateway/client.ts';
import { startLauncher, type Launcher } from '../launcher/client.ts';
import { DEFAULT_OUTPUT_LIMITS } from '../log/output-limit.ts';
import type { Clock } from './clock.ts';
import { createContact, type Contact } from './contact.ts';
import type { WorkerOptions } from './options.ts';
import type { WorkerLog } from './worker-log.ts';

/** What lives as long as the worker, whatever its incarnation. */
export interface House {
  readonly launcher: Launcher;
  readonly gateway: Gateway;
  readonly contact: Contact;
  readonly cache: BlobCache;
  readonly places: WorkspacePlaces;
  close(): Promise<void>;
}

/** Takes the data directory, starts the launcher, opens the connections. Throws when one of them cannot be had. */
export async function openHouse(options: WorkerOptions, clock: Clock, log: WorkerLog): Promise<House> {
  const gateway = openGateway(options.servers, clock);
  const dataDir: DataDir = await openDataDir(options.dataDir, log);
  const launcher = startLauncher({
    dataDir: dataDir.path,
    dataDirId: dataDir.id,
    limits: options.outputLimits ?? DEFAULT_OUTPUT_LIMITS,
    killWorker: options.killOnLostLease ?? true,
    onDeath: (lost) =>
      log('error', 'the launcher process ended unexpectedly; its tasks were killed, a new one starts', { tasks: lost }),
  });
  return {
    launcher,
    gateway,
    contact: createContact(log),
    cache: openBlobCache(dataDir.cacheDir, options.cacheBytes ?? DEFAULT_CACHE_BYTES, clock),
    places: openWorkspacePlaces(dataDir.attemptsDir, clock),
    async close() {
      await launcher.close();
      await gateway.close();
      dataDir.release();
    },
  };
}
