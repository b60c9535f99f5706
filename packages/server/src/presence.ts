import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { performance } from 'node:perf_hooks';
import type { ServerLoad, Store, WorkerContact } from '@keelson/store';
import { knownSchemaVersion } from '@keelson/store';
import type { Logger } from 'pino';
import { VERSION } from './version.ts';

const HEARTBEAT_MS = 3000;
const SILENT_MS = 10_000;

/** What the process says of itself, beside its address. */
export interface PresenceSource {
  readonly roles: readonly string[];
  readonly url: string;
  /** What workers are to call; absent: they are not told of this server. */
  readonly advertise?: string | undefined;
  /** Decision transactions committed so far; absent without the role master. */
  steps?(): number;
  /** The workers whose calls it answers; absent without the role master. */
  contacts?(): ReadonlyMap<string, WorkerContact>;
  /** Told the gateways that workers may call, this one among them, as often as it is asked. */
  gatewaysSeen?(urls: readonly string[]): void;
}

export interface Presence {
  /** Says at once that this process takes no new work any more. */
  draining(): Promise<void>;
  /** A clean end. */
  forget(): Promise<void>;
}

/** Says that this process is there, now and then, and what it has to do; for people, and for migrations that it would not survive. */
export function announce(store: Store, source: PresenceSource, log: Logger): Presence {
  const id = randomUUID();
  const host = hostname();
  const load = loadMeter(source);
  const schemaVersion = knownSchemaVersion();
  let isDraining = false;
  let over = false;

  const say = async (): Promise<void> => {
    if (over) return;
    const { roles, url, advertise } = source;
    const workers = source.contacts?.() ?? new Map<string, WorkerContact>();
    const state = { draining: isDraining, load: load(), schemaVersion: await schemaVersion, workers };
    await store.nodes.seen(
      { id, roles, host, pid: process.pid, url, gatewayUrl: advertise, version: VERSION, ...state },
      SILENT_MS,
    );
    if (source.gatewaysSeen !== undefined) source.gatewaysSeen(await gateways(store));
  };
  const sayQuietly = async (): Promise<void> => {
    try {
      await say();
    } catch (error) {
      log.warn({ err: error }, 'the heartbeat failed');
    }
  };
  let saying = sayQuietly();
  const timer = setInterval(() => void (saying = sayQuietly()), HEARTBEAT_MS);
  return {
    draining: () => {
      isDraining = true;
      return sayQuietly();
    },
    forget: async () => {
      over = true;
      clearInterval(timer);
      await saying;
      await store.nodes.remove(id).catch(() => undefined);
    },
  };
}

async function gateways(store: Store): Promise<string[]> {
  const servers = await store.nodes.servers();
  return servers.flatMap(({ gatewayUrl, alive, draining }) =>
    gatewayUrl !== null && alive && !draining ? [gatewayUrl] : [],
  );
}

/** Between two looks. */
function loadMeter({ steps, contacts }: PresenceSource): () => ServerLoad {
  let last = { at: performance.now(), steps: steps?.() ?? 0, eventLoop: performance.eventLoopUtilization() };
  return () => {
    const now = { at: performance.now(), steps: steps?.() ?? 0, eventLoop: performance.eventLoopUtilization() };
    const seconds = Math.max(0.001, (now.at - last.at) / 1000);
    // At the start there is nothing to compare with but the start itself.
    const { utilization } =
      seconds < 0.1 ? now.eventLoop : performance.eventLoopUtilization(now.eventLoop, last.eventLoop);
    const made = now.steps - last.steps;
    last = now;
    return {
      eventLoop: Math.round(utilization * 1000) / 1000,
      ...(steps === undefined ? {} : { stepsPerSecond: Math.round((made / seconds) * 10) / 10 }),
      ...(contacts === undefined ? {} : { workers: contacts().size }),
    };
  };
}
