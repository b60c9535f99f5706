import type { RegisterResponse } from '@keelson/protocol';
import { DEFAULT_ENV_ALLOWLIST, allowedEnvironment } from '../attempt/environment.ts';
import { DEFAULT_OUTPUT_LIMITS } from '../log/output-limit.ts';
import { DEFAULT_LOG_BUFFER_BYTES, createLogShipper } from '../log/shipper.ts';
import type { Held } from './attempt-desk.ts';
import { backoffMs, sleep, systemClock } from './clock.ts';
import { createEvents, type WorkerEvents } from './events.ts';
import { openHouse, type House } from './house.ts';
import { Incarnation } from './incarnation.ts';
import { offeredRuns, registration, type WorkerOptions } from './options.ts';
import { createTokenTable } from './tokens.ts';
import { stderrLog } from './worker-log.ts';

export interface Worker {
  /** Settles with the first registration. Waits for a server that is not there yet; throws when it refuses the worker. */
  start(): Promise<void>;
  /** Takes no new tasks, waits for the running ones up to `graceMs` (default 30 s), then stops; see `stop`. */
  drain(graceMs?: number): Promise<void>;
  /** Ends what runs (reported as lost, `worker-shutdown`), says goodbye, and gives everything back. Never throws. */
  stop(): Promise<void>;
  readonly events: WorkerEvents;
}

/** The server does not want this worker as it is. */
export class RegistrationRefused extends Error {
  constructor(message: string) {
    super(`the server refuses to register this worker: ${message}`);
    this.name = 'RegistrationRefused';
  }
}

interface Registered {
  readonly answer: RegisterResponse;
  readonly sentAt: number;
}

const DEFAULT_DRAIN_MS = 30_000;
const DRAIN_LOOK_MS = 20;
/** A server that forgets its workers at once must not be asked without a pause. */
const SHORT_LIFE_MS = 1000;
const REFUSALS_AT_START: readonly number[] = [400, 401, 403, 404, 422, 426];

/** Makes a worker; `start` brings it to life. Throws on an option that cannot work. */
export function createWorker(options: WorkerOptions): Worker {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? stderrLog;
  const events = createEvents();
  const beginIncarnation = incarnationMaker(options, events);
  const stopping = new AbortController();
  let draining = false;
  let house: House | undefined;
  let incarnation: Incarnation | undefined;
  let started: Promise<void> | undefined;
  let life: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;

  /** One incarnation after the other, until the worker leaves. */
  async function live(current: House, first: Registered): Promise<void> {
    for (let next: Registered | undefined = first; next !== undefined;) {
      const bornAt = clock.now();
      incarnation = beginIncarnation(current, next, draining);
      if (stopping.signal.aborted) void incarnation.leave();
      if ((await incarnation.over) === 'left') return;
      if (clock.now() - bornAt < SHORT_LIFE_MS)
        await sleep(clock, backoffMs(0, SHORT_LIFE_MS, SHORT_LIFE_MS), stopping.signal);
      next = await register(options, current, stopping.signal, false);
    }
  }

  async function begin(): Promise<void> {
    house = await openHouse(options, clock, log);
    const first = await register(options, house, stopping.signal, true);
    if (first !== undefined) life = live(house, first);
  }

  async function start(): Promise<void> {
    if (started !== undefined) throw new Error('this worker was started before');
    started = begin();
    try {
      await started;
    } catch (error) {
      await stop();
      throw error;
    }
  }

  async function drain(graceMs = DEFAULT_DRAIN_MS): Promise<void> {
    draining = true;
    incarnation?.startDraining();
    const until = clock.now() + graceMs;
    while ((incarnation?.runningCount ?? 0) > 0 && clock.now() < until && !stopping.signal.aborted) {
      await sleep(clock, DRAIN_LOOK_MS, stopping.signal);
    }
    await stop();
  }

  async function shutDown(): Promise<void> {
    draining = true;
    stopping.abort();
    incarnation?.startDraining();
    await Promise.allSettled([started, incarnation?.leave()]);
    await life;
    await house?.close();
    if (house !== undefined) log('info', 'stopped', { name: options.name });
    events.emit('left');
  }

  const stop = (): Promise<void> => (stopped ??= shutDown());
  return { start, drain, stop, events };
}

/** Tries until it is registered or the worker is stopped (undefined). At the start a refusal is final. */
async function register(
  options: WorkerOptions,
  house: House,
  signal: AbortSignal,
  atStart: boolean,
): Promise<Registered | undefined> {
  const clock = options.clock ?? systemClock;
  const request = registration(options, [...offeredRuns(options).keys()]);
  for (let failures = 0; !signal.aborted; failures += 1) {
    const sentAt = clock.now();
    const outcome = await house.gateway.register(options.token, request, signal);
    if (outcome.kind === 'ok') {
      house.contact.made();
      return { answer: outcome.value, sentAt };
    }
    if (outcome.kind === 'refused' && atStart && REFUSALS_AT_START.includes(outcome.status))
      throw new RegistrationRefused(outcome.message);
    if (!signal.aborted) house.contact.lost(outcome.message);
    await sleep(clock, backoffMs(failures, 200, 10_000), signal);
  }
  return undefined;
}

/** Makes the incarnations of one worker; they share the table of tokens. */
function incarnationMaker(
  options: WorkerOptions,
  events: WorkerEvents,
): (house: House, registered: Registered, draining: boolean) => Incarnation {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? stderrLog;
  const runs = offeredRuns(options);
  const tokens = createTokenTable<Held>();
  const allowedEnv = allowedEnvironment(options.envAllowlist ?? DEFAULT_ENV_ALLOWLIST);
  return ({ launcher, gateway, contact, cache, places }, { answer, sentAt }, draining) => {
    const controller = new AbortController();
    const own = gateway.as(answer.credential, controller.signal);
    const limits = options.outputLimits ?? DEFAULT_OUTPUT_LIMITS;
    const logs = createLogShipper({
      clock,
      limits,
      bufferBytes: options.logBufferBytes ?? DEFAULT_LOG_BUFFER_BYTES,
      send: own.log,
    });
    const host = {
      clock,
      runs,
      launcher,
      gateway: own,
      cache,
      logs,
      places,
      allowedEnv,
      killGraceMs: options.killGraceMs ?? 5000,
      log,
    };
    const pollWaitMs = options.pollWaitMs ?? 30_000;
    const { incarnation, leaseMs } = answer;
    log('info', 'registered', { name: options.name, group: options.group, slots: options.slots, incarnation, leaseMs });
    events.emit('registered', { incarnation, leaseMs });
    return new Incarnation({
      registered: answer,
      sentAt,
      gateway: own,
      controller,
      host,
      tokens,
      contact,
      events,
      pollWaitMs,
      draining,
    });
  };
}
