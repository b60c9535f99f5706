import type { Clock, Random } from '@keelson/core';
import type { Assignment, KillOrder } from '@keelson/protocol';
import type { BoundAttempt, LiveIncarnation } from '@keelson/store';
import type { Line } from './line.ts';
import { newNonce, tokenOf } from './token.ts';

/** An attempt that this gateway knows to be bound to a worker. */
interface Held {
  readonly token: string;
  readonly versionId: string;
  /** When this gateway learned of it, in monotonic milliseconds. */
  readonly since: number;
  /** When its assignment was last put into an answer; undefined while it waits in the outbox. */
  sentAt?: number;
  assignment?: Assignment;
}

/** A worker incarnation that talks to this gateway. Everything in it can be made again from the database. */
export interface WorkerSession {
  incarnation: LiveIncarnation;
  readonly credentialHash: string;
  draining: boolean;
  /** That it drains stands in the database: nothing is bound to it any more. */
  drainNoted: boolean;
  /** A newer incarnation of the same name has joined: it drains, whatever it says of itself. */
  superseded: boolean;
  /** It has asked for work. Before that its registration may be the late echo of a process that is gone: it is given nothing. */
  asked: boolean;
  /** What it holds may differ from the database: read it again before the next answer. */
  stale: boolean;
  /** Monotonic milliseconds. */
  leaseUntil: number;
  /** When it last called, in monotonic milliseconds. */
  calledAt: number;
  /** Load average of its machine, per core, if it says. */
  load?: number;
  /** Attempt id → what was handed out and has not ended. */
  readonly held: Map<string, Held>;
  /** Slots promised to a decision that is being written. */
  reserved: number;
  readonly outbox: Assignment[];
  readonly kills: Map<string, KillOrder>;
  /** Polls that are being answered. */
  polls: number;
  /** Its last poll broke off and no other has come: it is given nothing, for it may be dead long before its lease is over. */
  absent: boolean;
  /** Ends the open poll. */
  wakePoll?: () => void;
}

export interface Offer {
  readonly incarnationId: string;
  readonly nonce: string;
}

export interface Sessions {
  get(incarnationId: string): WorkerSession | undefined;
  add(incarnation: LiveIncarnation, credentialHash: string): WorkerSession;
  /** It asks for work. `live`: it is given some, and older ones of its name no more; else a newer one is. */
  hasAsked(session: WorkerSession, live: boolean): void;
  remove(incarnationId: string): void;
  /** Forgets those whose lease has been over for a while, whoever has expired them. */
  prune(): void;
  all(): Iterable<WorkerSession>;
  /** Promises one free slot of a worker that can run this; the promise must be kept or taken back. */
  offer(workerGroup: string, capability: string): Offer | undefined;
  /** Free slots of the kinds of workers that tasks in line wait for, promised to the caller; at most so many of each kind. */
  offerAll(line: Pick<Line, 'isEmpty'>, most: number): SlotOffers[];
  takeBack(incarnationId: string): void;
  /** An offer was taken: the attempt holds the slot now. */
  bind(attempt: BoundAttempt): void;
  /** The attempt has ended; its slot is free. */
  release(incarnationId: string, attemptId: string): void;
  deliver(incarnationId: string, attemptId: string, assignment: Assignment): void;
  kill(incarnationId: string, order: KillOrder): void;
  /** From now on no slot is promised any more: this master is about to end. */
  close(): void;
}

/** Slots of workers of one group that announce the same capabilities. */
export interface SlotOffers {
  readonly workerGroup: string;
  readonly capabilities: readonly string[];
  /** An incarnation for each promised slot. */
  readonly slots: readonly string[];
  readonly nonce: string;
}

function newSession(incarnation: LiveIncarnation, credentialHash: string, now: number): WorkerSession {
  return {
    incarnation,
    credentialHash,
    draining: incarnation.state === 'draining',
    drainNoted: false,
    superseded: false,
    asked: false,
    stale: false,
    leaseUntil: now + incarnation.leaseMs,
    calledAt: now,
    held: new Map(),
    reserved: 0,
    outbox: [],
    kills: new Map(),
    polls: 0,
    absent: false,
  };
}

/** Of two incarnations of one name the older gets nothing new, as in the database; it may be the later to come to this gateway. */
function supersede(one: WorkerSession, other: WorkerSession): void {
  if (one.incarnation.name !== other.incarnation.name || one.incarnation.id === other.incarnation.id) return;
  const [older, newer] = BigInt(one.incarnation.id) < BigInt(other.incarnation.id) ? [one, other] : [other, one];
  if (newer.asked) older.superseded = true;
}

const PRUNE_AFTER_MS = 60_000;

export function createSessions(clock: Clock, random: Random): Sessions {
  const sessions = new Map<string, WorkerSession>();
  /** Offers go round the workers, so that load spreads. */
  let turn = 0;
  let closed = false;

  const free = (session: WorkerSession): number =>
    closed || !isServed(session) || session.leaseUntil < clock.now()
      ? 0
      : session.incarnation.slots - session.held.size - session.reserved;

  return {
    get: (id) => sessions.get(id),
    add: (incarnation, credentialHash) => {
      const session = newSession(incarnation, credentialHash, clock.now());
      for (const other of sessions.values()) supersede(session, other);
      sessions.set(incarnation.id, session);
      return session;
    },
    hasAsked: (session, live) => {
      session.asked = true;
      session.incarnation = { ...session.incarnation, state: live ? 'live' : 'draining' };
      if (live) for (const other of sessions.values()) supersede(session, other);
      else session.superseded = true;
    },
    remove: (id) => {
      sessions.get(id)?.wakePoll?.();
      sessions.delete(id);
    },
    prune: () => {
      const longAgo = clock.now() - PRUNE_AFTER_MS;
      for (const [id, { leaseUntil }] of sessions) if (leaseUntil < longAgo) sessions.delete(id);
    },
    all: () => sessions.values(),
    offer: (workerGroup, capability) => {
      const all = [...sessions.values()];
      const inTurn = [...all.slice(turn), ...all.slice(0, turn)];
      const session = inTurn.find((one) => free(one) > 0 && canRun(one, workerGroup, capability));
      if (session === undefined) return undefined;
      turn = (all.indexOf(session) + 1) % all.length;
      session.reserved++;
      return { incarnationId: session.incarnation.id, nonce: newNonce(random) };
    },
    offerAll: (line, most) => gatherOffers(sessions, line, most, free, random),
    takeBack: (id) => {
      const session = sessions.get(id);
      if (session !== undefined && session.reserved > 0) session.reserved--;
    },
    bind: (attempt) => {
      const session = sessions.get(attempt.incarnationId);
      if (session === undefined) return;
      if (session.reserved > 0) session.reserved--;
      const { attemptId, versionId } = attempt;
      session.held.set(attemptId, { token: tokenOf(attempt), versionId, since: clock.now() });
    },
    release: (id, attemptId) => void sessions.get(id)?.held.delete(attemptId),
    deliver: (id, attemptId, assignment) => {
      const session = sessions.get(id);
      const held = session?.held.get(attemptId);
      if (session === undefined || held === undefined) return;
      held.assignment = assignment;
      session.outbox.push(assignment);
      session.wakePoll?.();
    },
    kill: (id, order) => {
      const session = sessions.get(id);
      session?.kills.set(order.token, order);
      session?.wakePoll?.();
    },
    close: () => void (closed = true),
  };
}

function isServed({ asked, absent, draining, superseded }: WorkerSession): boolean {
  return asked && !absent && !draining && !superseded;
}

function canRun({ incarnation }: WorkerSession, workerGroup: string, capability: string): boolean {
  return incarnation.group === workerGroup && incarnation.capabilities.includes(capability);
}

function gatherOffers(
  sessions: ReadonlyMap<string, WorkerSession>,
  line: Pick<Line, 'isEmpty'>,
  most: number,
  free: (session: WorkerSession) => number,
  random: Random,
): SlotOffers[] {
  const kinds = new Map<
    string,
    { workerGroup: string; capabilities: readonly string[]; slots: string[]; nonce: string }
  >();
  for (const session of sessions.values()) {
    const { group, capabilities } = session.incarnation;
    const count = free(session);
    if (count <= 0 || capabilities.every((capability) => line.isEmpty({ workerGroup: group, capability }))) continue;
    const key = `${group}\n${capabilities.join('\n')}`;
    const kind = kinds.get(key) ?? { workerGroup: group, capabilities, slots: [], nonce: newNonce(random) };
    kinds.set(key, kind);
    for (let slot = 0; slot < count && kind.slots.length < most; slot++) {
      session.reserved++;
      kind.slots.push(session.incarnation.id);
    }
  }
  return [...kinds.values()];
}

/** Takes what waits for the worker out of the outbox, and notes that it was sent. */
export function takeOutbox(session: WorkerSession, clock: Clock): Assignment[] {
  const sent = session.outbox.splice(0);
  const now = clock.now();
  for (const { fencingToken } of sent) {
    const held = session.held.get(fencingToken);
    if (held !== undefined) held.sentAt = now;
  }
  return sent;
}

/** Takes the kill orders; the worker is told again at its next renewal for as long as the attempt stays active. */
export function takeKills(session: WorkerSession): KillOrder[] {
  const orders = [...session.kills.values()];
  session.kills.clear();
  return orders;
}

/** For an assignment that was built again: the next list without it gets it. */
export const NEVER_SENT = -Infinity;

/** An assignment whose answer may have been lost is sent again once the worker has had this long to show that it holds it. */
const RESEND_AFTER_MS = 2000;

/** Puts assignments back into the outbox that the worker, by its own list, never received. */
export function resendUnreceived(session: WorkerSession, held: readonly string[], clock: Clock): void {
  const has = new Set(held);
  const now = clock.now();
  for (const { token, sentAt, assignment } of session.held.values()) {
    if (assignment === undefined || sentAt === undefined || has.has(token) || now - sentAt < RESEND_AFTER_MS) continue;
    if (!session.outbox.includes(assignment)) session.outbox.push(assignment);
  }
}

/** The same for all that the worker does not list, however lately it was sent. */
export function resendAll(session: WorkerSession, held: readonly string[]): void {
  const has = new Set(held);
  for (const { token, assignment } of session.held.values())
    if (assignment !== undefined && !has.has(token) && !session.outbox.includes(assignment))
      session.outbox.push(assignment);
}
