import { hostname } from 'node:os';
import { WORKER_PROTOCOL_VERSION, type RegisterRequest, type RegisterResponse } from '@keelson/protocol';
import type { Processor, TaskRun } from '@keelson/tasks';
import { processorRun, taskRuns } from '@keelson/tasks/run';
import manifest from '../../package.json' with { type: 'json' };
import { DEFAULT_CACHE_BYTES, openBlobCache, type BlobCache } from '../attempt/blob-cache.ts';
import { DEFAULT_ENV_ALLOWLIST, allowedEnvironment } from '../attempt/environment.ts';
import { openWorkspacePlaces, type WorkspacePlaces } from '../attempt/workspace-places.ts';
import { openDataDir, type DataDir } from '../data-dir/data-dir.ts';
import { openGateway, type Gateway } from '../gateway/client.ts';
import { startLauncher, type Launcher } from '../launcher/client.ts';
import { DEFAULT_OUTPUT_LIMITS, type OutputLimits } from '../log/output-limit.ts';
import { DEFAULT_LOG_BUFFER_BYTES, createLogShipper } from '../log/shipper.ts';
import { backoffMs, sleep, systemClock, type Clock } from './clock.ts';
import { createContact, type Contact } from './contact.ts';
import { createEvents, type WorkerEvents } from './events.ts';
import { startIncarnation, type Held, type Incarnation } from './incarnation.ts';
import { createTokenTable } from './tokens.ts';
import { stderrLog, type WorkerLog } from './worker-log.ts';

export interface WorkerOptions {
  /** Base URLs of the servers (`http://host:7400`); the next one is used when one fails. */
  readonly servers: readonly string[];
  /** The join token. */
  readonly token: string;
  /** Unique among the live workers. */
  readonly name: string;
  readonly group: string;
  /** How many tasks it runs at the same time. */
  readonly slots: number;
  /** A directory of its own, made if it is missing. On a local disk. */
  readonly dataDir: string;
  /** Functions that this process runs itself. */
  readonly processors?: Readonly<Record<string, Processor>>;
  /** The built-in task types that it offers; default: all of them. */
  readonly taskTypes?: readonly string[];
  /** Names of its own environment's variables that tasks see. */
  readonly envAllowlist?: readonly string[];
  /** Between SIGTERM and SIGKILL; at most a quarter of the lease when that is lost. Default 5000. */
  readonly killGraceMs?: number;
  readonly outputLimits?: OutputLimits;
  readonly logBufferBytes?: number;
  /** Disk for files of definitions and artifacts. Default 2 GiB. */
  readonly cacheBytes?: number;
  /**
   * Whether the launcher also kills this process when its lease ends without renewal. Default true: the rule that two
   * attempts never overlap needs it. False only where this process is more than a worker.
   */
  readonly killOnLostLease?: boolean;
  readonly pollWaitMs?: number;
  readonly log?: WorkerLog;
  readonly clock?: Clock;
}

export interface Worker {
  /** Settles with the first registration. Waits for a server that is not there yet; throws when it refuses the worker. */
  start(): Promise<void>;
  /** Takes no new tasks, waits for the running ones up to `graceMs` (default 30 s), then stops; see `stop`. */
  drain(graceMs?: number): Promise<void>;
  /** Ends what runs (reported as lost, `worker-shutdown`), says goodbye, and gives everything back. Never throws. */
  stop(): Promise<void>;
  readonly events: WorkerEvents;
}

/** What lives as long as the worker, whatever its incarnation. */
interface House {
  readonly dataDir: DataDir;
  readonly launcher: Launcher;
  readonly gateway: Gateway;
  readonly contact: Contact;
  readonly cache: BlobCache;
  readonly places: WorkspacePlaces;
}

const DEFAULT_DRAIN_MS = 30_000;
const REFUSALS_AT_START: readonly number[] = [400, 401, 403, 404, 422, 426];

/** The server does not want this worker as it is. */
export class RegistrationRefused extends Error {
  constructor(message: string) {
    super(`the server refuses to register this worker: ${message}`);
    this.name = 'RegistrationRefused';
  }
}

/** Makes a worker; `start` brings it to life. Throws on an option that cannot work. */
export function createWorker(options: WorkerOptions): Worker {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? stderrLog;
  const events = createEvents();
  const runs = offeredRuns(options);
  const tokens = createTokenTable<Held>();
  const stopping = new AbortController();
  let draining = false;
  let house: House | undefined;
  let incarnation: Incarnation | undefined;
  let life: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;

  async function open(): Promise<House> {
    const gateway = openGateway(options.servers, clock);
    const dataDir = await openDataDir(options.dataDir, log);
    const launcher = startLauncher({
      dataDir: dataDir.path,
      dataDirId: dataDir.id,
      limits: options.outputLimits ?? DEFAULT_OUTPUT_LIMITS,
      killWorker: options.killOnLostLease ?? true,
      onDeath: (lost) => log('error', 'the launcher process ended unexpectedly; its tasks were killed, a new one starts', { tasks: lost }),
    });
    const cache = openBlobCache(dataDir.cacheDir, options.cacheBytes ?? DEFAULT_CACHE_BYTES, clock);
    return { dataDir, launcher, gateway, cache, contact: createContact(log), places: openWorkspacePlaces(dataDir.attemptsDir, clock) };
  }

  /** Tries until it is registered or the worker is stopped (undefined). The first time a refusal is final. */
  async function register({ gateway, contact }: House, first: boolean): Promise<{ readonly answer: RegisterResponse; readonly sentAt: number } | undefined> {
    for (let failures = 0; !stopping.signal.aborted; failures += 1) {
      const sentAt = clock.now();
      const outcome = await gateway.register(options.token, registration(options, [...runs.keys()]), stopping.signal);
      if (outcome.kind === 'ok') {
        contact.made();
        return { answer: outcome.value, sentAt };
      }
      if (outcome.kind === 'refused' && first && REFUSALS_AT_START.includes(outcome.status)) throw new RegistrationRefused(outcome.message);
      if (!stopping.signal.aborted) contact.lost(outcome.message);
      await sleep(clock, backoffMs(failures, 200, 10_000), stopping.signal);
    }
    return undefined;
  }

  function begin(current: House, answer: RegisterResponse, sentAt: number): Incarnation {
    const controller = new AbortController();
    const gateway = current.gateway.as(answer.credential, controller.signal);
    const limits = options.outputLimits ?? DEFAULT_OUTPUT_LIMITS;
    const logs = createLogShipper({ clock, limits, bufferBytes: options.logBufferBytes ?? DEFAULT_LOG_BUFFER_BYTES, send: gateway.log });
    const host = {
      clock, runs, launcher: current.launcher, gateway, cache: current.cache, logs,
      places: current.places, allowedEnv: allowedEnvironment(options.envAllowlist ?? DEFAULT_ENV_ALLOWLIST),
      killGraceMs: options.killGraceMs ?? 5000, log,
    };
    const started = startIncarnation({
      registered: answer, sentAt, gateway, controller, host, tokens, contact: current.contact, events, pollWaitMs: options.pollWaitMs ?? 30_000, draining,
    });
    log('info', 'registered', { name: options.name, group: options.group, slots: options.slots, incarnation: answer.incarnation, leaseMs: answer.leaseMs });
    events.emit('registered', { incarnation: answer.incarnation, leaseMs: answer.leaseMs });
    return started;
  }

  /** One incarnation after the other, until the worker leaves. */
  async function live(current: House): Promise<void> {
    for (;;) {
      const bornAt = clock.now();
      if ((await incarnation?.over) !== 'lease-lost') return;
      // A server that forgets its workers at once must not be asked without a pause.
      if (clock.now() - bornAt < 1000) await sleep(clock, backoffMs(0, 1000, 1000), stopping.signal);
      const next = await register(current, false);
      incarnation = next === undefined ? undefined : begin(current, next.answer, next.sentAt);
      if (stopping.signal.aborted) void incarnation?.leave();
    }
  }

  async function start(): Promise<void> {
    if (house !== undefined) throw new Error('this worker was started before');
    house = await open();
    try {
      const registered = await register(house, true);
      if (registered === undefined) return;
      incarnation = begin(house, registered.answer, registered.sentAt);
    } catch (error) {
      await stop();
      throw error;
    }
    life = live(house);
  }

  async function drain(graceMs = DEFAULT_DRAIN_MS): Promise<void> {
    draining = true;
    incarnation?.startDraining();
    const until = clock.now() + graceMs;
    while ((incarnation?.runningCount ?? 0) > 0 && clock.now() < until && !stopping.signal.aborted) await sleep(clock, 20, stopping.signal);
    await stop();
  }

  async function shutDown(): Promise<void> {
    draining = true;
    incarnation?.startDraining();
    stopping.abort();
    await incarnation?.leave();
    await life;
    await house?.launcher.close();
    await house?.gateway.close();
    house?.dataDir.release();
    log('info', 'stopped', { name: options.name });
    events.emit('left');
  }

  const stop = (): Promise<void> => (stopped ??= shutDown());
  return { start, drain, stop, events };
}

function offeredRuns(options: WorkerOptions): ReadonlyMap<string, TaskRun> {
  const runs = new Map<string, TaskRun>();
  for (const name of options.taskTypes ?? taskRuns.keys()) {
    const run = taskRuns.get(name);
    if (run === undefined) throw new Error(`there is no task type ${JSON.stringify(name)}; there are ${[...taskRuns.keys()].join(', ')}`);
    runs.set(name, run);
  }
  const processors = new Map(Object.entries(options.processors ?? {}));
  if (processors.size > 0) runs.set('processor', processorRun(processors));
  return runs;
}

function registration(options: WorkerOptions, types: readonly string[]): RegisterRequest {
  const processors = Object.keys(options.processors ?? {}).map((name) => `processor:${name}`);
  return {
    protocol: WORKER_PROTOCOL_VERSION,
    name: options.name,
    group: options.group,
    slots: options.slots,
    capabilities: [...types.filter((type) => type !== 'processor'), ...processors],
    host: hostname().slice(0, 255),
    pid: process.pid,
    version: manifest.version,
  };
}
