import { backoffMs, sleep, type Clock, type Random } from '@keelson/core';
import { systemClock, systemRandom } from '@keelson/core/system';
import type { RegisterRequest, RegisterResponse } from '@keelson/protocol';
import type { Held } from './attempt-desk.ts';
import { createContact, type Contact } from './contact.ts';
import { createEvents, type WorkerEvents } from './events.ts';
import { openHouse, type House } from './house.ts';
import { Incarnation } from './incarnation.ts';
import { DEFAULT_KILL_GRACE_MS, offeredRuns, registration, type WorkerOptions } from './options.ts';
import { createTokenTable } from './tokens.ts';
import { stderrLog, type WorkerLog } from './worker-log.ts';

export interface Worker {
  /** Settles with the first registration. Waits for a server that is not there yet; throws when it refuses the worker. */
  start(): Promise<void>;
  /** Takes no new tasks, waits for the running ones up to `graceMs` (default 30 s), then stops; see `stop`. */
  drain(graceMs?: number): Promise<void>;
  /** Ends what runs (reported as lost, `worker-shutdown`), says goodbye, and gives everything back. Never throws. */
  stop(): Promise<void>;
  /**
   * Settles when it has come to its end: after `stop` or `drain`, or by itself. Rejects with `RegistrationRefused` when the servers do not
   * want it any more (its join token was revoked, say).
   */
  readonly ended: Promise<void>;
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
const DEFAULT_POLL_WAIT_MS = 30_000;
const DRAIN_LOOK_MS = 20;
const DRAIN_KNOWN_WITHIN_MS = 5000;
/** A server that forgets its workers at once must not be asked without a pause. */
const SHORT_LIFE_MS = 1000;
const REFUSALS_AT_START: readonly number[] = [400, 401, 403, 404, 422, 426];
/** Later a bad request may be some proxy's; these are said by a server that knows this worker, and does not want it. */
const FINAL_REFUSALS: readonly string[] = ['unauthenticated', 'forbidden', 'unsupported-protocol'];

/** Everything that a worker needs of the world around it. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: WorkerLog;
  /** The join token. */
  readonly token: string;
  /** What it says of itself. */
  readonly registration: RegisterRequest;
  /** Between SIGTERM and SIGKILL; at most a quarter of the lease when that is lost. */
  readonly killGraceMs: number;
  readonly pollWaitMs: number;
  /** Called once, at the start. */
  openHouse(): Promise<House>;
}

/** Makes a worker; `start` brings it to life. Throws on an option that cannot work. */
export function createWorker(options: WorkerOptions): Worker {
  const { clock = systemClock, log = stderrLog } = options;
  return createWorkerIn({
    clock,
    random: systemRandom,
    log,
    token: options.token,
    registration: registration(options, [...offeredRuns(options).keys()]),
    killGraceMs: options.killGraceMs ?? DEFAULT_KILL_GRACE_MS,
    pollWaitMs: options.pollWaitMs ?? DEFAULT_POLL_WAIT_MS,
    openHouse: () => openHouse(options, clock, log),
  });
}

/** The same, in surroundings of the caller's choice. */
export function createWorkerIn(surroundings: Surroundings): Worker {
  const { clock, random, log, registration } = surroundings;
  const events = createEvents();
  const contact = createContact(log);
  const beginIncarnation = incarnationMaker(surroundings, contact, events);
  const stopping = new AbortController();
  let draining = false;
  let house: House | undefined;
  let incarnation: Incarnation | undefined;
  let started: Promise<void> | undefined;
  let life: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;
  const ended = Promise.withResolvers<void>();
  // Not everybody asks.
  ended.promise.catch(() => undefined);

  /** One incarnation after the other, until the worker leaves. */
  async function live(current: House, first: Registered): Promise<void> {
    for (let next: Registered | undefined = first; next !== undefined;) {
      const bornAt = clock.now();
      incarnation = beginIncarnation(current, next, draining);
      if (stopping.signal.aborted) void incarnation.leave();
      if ((await incarnation.over) === 'left') return;
      if (clock.now() - bornAt < SHORT_LIFE_MS)
        await sleep(clock, backoffMs(0, SHORT_LIFE_MS, SHORT_LIFE_MS, random), stopping.signal);
      next = await register(surroundings, contact, current, stopping.signal, false);
    }
  }

  async function begin(): Promise<void> {
    house = await surroundings.openHouse();
    const first = await register(surroundings, contact, house, stopping.signal, true);
    if (first !== undefined) life = live(house, first).catch(refused);
  }

  /** Nobody takes this worker any more. Whoever started it learns of it by `ended`. */
  function refused(error: unknown): void {
    log('error', error instanceof Error ? error.message : String(error));
    ended.reject(error);
    void stop();
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
    const since = clock.now();
    while (isBusy(incarnation, clock.now() - since) && clock.now() - since < graceMs && !stopping.signal.aborted) {
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
    if (house !== undefined) log('info', 'stopped', { name: registration.name });
    events.emit('left');
    ended.resolve();
  }

  const stop = (): Promise<void> => (stopped ??= shutDown());
  return { start, drain, stop, ended: ended.promise, events };
}

function isBusy(incarnation: Incarnation | undefined, drainingForMs: number): boolean {
  if (incarnation === undefined) return false;
  // What was bound to it a moment ago must still arrive; a server that does not answer is not waited for as long as a task is.
  return incarnation.runningCount > 0 || (!incarnation.isDrainKnown && drainingForMs < DRAIN_KNOWN_WITHIN_MS);
}

/** Tries until it is registered or the worker is stopped (undefined). Throws when it is refused for good. */
async function register(
  { clock, random, token, registration }: Surroundings,
  contact: Contact,
  { gateway }: House,
  signal: AbortSignal,
  atStart: boolean,
): Promise<Registered | undefined> {
  for (let failures = 0; !signal.aborted; failures += 1) {
    const sentAt = clock.now();
    const outcome = await gateway.register(token, registration, signal);
    if (outcome.kind === 'ok') {
      contact.made();
      return { answer: outcome.value, sentAt };
    }
    if (outcome.kind === 'refused' && isFinal(outcome, atStart)) throw new RegistrationRefused(outcome.message);
    if (!signal.aborted) contact.lost(outcome.message);
    await sleep(clock, backoffMs(failures, 200, 10_000, random), signal);
  }
  return undefined;
}

function isFinal({ status, code }: { readonly status: number; readonly code: string }, atStart: boolean): boolean {
  return FINAL_REFUSALS.includes(code) || (atStart && REFUSALS_AT_START.includes(status));
}

/** Makes the incarnations of one worker; they share the table of tokens. */
function incarnationMaker(
  { clock, random, log, registration, killGraceMs, pollWaitMs }: Surroundings,
  contact: Contact,
  events: WorkerEvents,
): (house: House, registered: Registered, draining: boolean) => Incarnation {
  const tokens = createTokenTable<Held>();
  return (house, { answer, sentAt }, draining) => {
    const controller = new AbortController();
    const gateway = house.gateway.as(answer.credential, controller.signal);
    const { incarnation, leaseMs } = answer;
    const { name, group, slots } = registration;
    log('info', 'registered', { name, group, slots, incarnation, leaseMs });
    events.emit('registered', { incarnation, leaseMs });
    return new Incarnation({
      registered: answer,
      sentAt,
      clock,
      random,
      log,
      deadline: house.deadline,
      run: house.runner(gateway),
      killGraceMs,
      slots,
      gateway,
      controller,
      tokens,
      contact,
      events,
      pollWaitMs,
      draining,
    });
  };
}
