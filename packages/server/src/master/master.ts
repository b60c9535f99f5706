import { within } from '@keelson/core';
import type { Clock, Random } from '@keelson/core';
import { systemClock, systemRandom } from '@keelson/core/system';
import { FOLLOWUP_KINDS } from '@keelson/store';
import type { FollowupKind, MasterStore, Signals, WorkerContact } from '@keelson/store';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { startAdmission } from './admission.ts';
import { startBackfills } from './backfills.ts';
import { startClaims } from './claims.ts';
import { startCommands } from './commands.ts';
import { createComplaints } from './complaints.ts';
import { createCrowd } from './crowd.ts';
import type { MasterContext } from './context.ts';
import { createDeliveries } from './deliveries.ts';
import { startDue } from './due.ts';
import { failedBeforeStart } from './handover.ts';
import type { GatewayDependencies } from './gateway/dependencies.ts';
import { createBounds } from './gateway/bounds.ts';
import { gatewayRoutes } from './gateway/routes.ts';
import { startFires } from './fires.ts';
import { startKills } from './kills.ts';
import { createLine, noteReady } from './line.ts';
import { newMasterMetrics } from './metrics.ts';
import type { MasterMetrics } from './metrics.ts';
import { createPlans } from './plans.ts';
import { createRenewals } from './renewals.ts';
import { createReports } from './reports.ts';
import type { Reports } from './reports.ts';
import { createSessions } from './sessions.ts';
import { createStarts } from './starts.ts';
import { startSweeper } from './sweeper.ts';
import type { WakeableLoop } from './wakeable.ts';

const STOP_WITHIN_MS = 5000;

export interface MasterDependencies {
  readonly store: MasterStore;
  readonly signals: Signals;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface Master {
  /** What answers workers, whatever carries their calls: see gateway/talk.ts. */
  readonly gateway: GatewayDependencies;
  /** Registers the gateway on an app; call it once, before the app listens. */
  routes(app: FastifyInstance): Promise<void>;
  readonly metrics: MasterMetrics;
  /** The workers whose leases are kept through this gateway. */
  contacts(): Map<string, WorkerContact>;
  /** The gateways that workers are told they may call. */
  tellGateways(urls: readonly string[]): void;
  /** Takes no new work, sends workers elsewhere, finishes the batches under way, and stops. Nothing has to be handed over. */
  stop(): Promise<void>;
}

/** A master: interchangeable with any other, and holding nothing that the database does not. */
export function startMaster(dependencies: MasterDependencies): Master {
  const { store, signals, log, clock = systemClock, random = systemRandom } = dependencies;
  const parts: { commands?: WakeableLoop; claims?: WakeableLoop; due?: WakeableLoop; reports?: Reports } = {};
  /** Loops that take up what ends of instances leave for others. */
  const followups: FollowupLoops = {};
  let closing = false;
  const sessions = createSessions(clock, random);
  const context: MasterContext = {
    clock,
    random,
    store,
    signals,
    log,
    sessions,
    plans: createPlans(store.definitions),
    line: createLine(),
    crowd: createCrowd(clock),
    metrics: newMasterMetrics(),
    complaints: createComplaints(log, clock),
    wake: {
      commands: () => parts.commands?.wake(),
      claims: () => parts.claims?.wake(),
      due: () => parts.due?.wake(),
      // A master that goes leaves it to another one.
      followup: (kind) => (closing ? signals.send('followup', kind) : followups[kind]?.wake()),
    },
    closing: () => closing,
    gateways: [],
    isEnding: (attemptId) => parts.reports?.isPending(attemptId) ?? false,
    refuse: (attempt, reason) => void parts.reports?.submit(failedBeforeStart(attempt, reason)),
  };
  const reports = (parts.reports = createReports(context));
  const started = createStarts(context);
  const commands = (parts.commands = startCommands(context, reports.handover));
  const claims = (parts.claims = startClaims(context, reports.handover));
  const due = (parts.due = startDue(context));
  const kills = startKills(context);
  const deliveries = createDeliveries(context);
  const sweeper = startSweeper(context);
  followups.admission = startAdmission(context);
  followups.backfill = startBackfills(context);
  followups.schedule = startFires(context);

  const gateway: GatewayDependencies = {
    context,
    reports,
    started,
    bounds: createBounds(clock),
    renewals: createRenewals(store.workers, clock),
  };

  const deaf = hear(context, { commands, claims, kills, followups, deliveries });

  return {
    gateway,
    routes: (app) => gatewayRoutes(app, gateway),
    metrics: context.metrics,
    contacts: () => contactsOf(context),
    tellGateways: (urls) => void (context.gateways = urls),
    stop: async () => {
      closing = true;
      sessions.close();
      for (const stopListening of deaf) stopListening();
      const loops = [commands, claims, due, kills, sweeper, ...Object.values(followups)];
      await Promise.all(loops.map((loop) => loop.stop()));
      for (const { wakePoll } of sessions.all()) wakePoll?.();
      // A database that is away holds no stop up: what is not committed is reported again, to another master.
      await within(clock, STOP_WITHIN_MS, Promise.all([reports.idle(), started.idle()]));
    },
  };
}

type FollowupLoops = Partial<Record<FollowupKind, WakeableLoop>>;

interface Hearing {
  readonly commands: WakeableLoop;
  readonly claims: WakeableLoop;
  readonly kills: WakeableLoop;
  readonly followups: FollowupLoops;
  readonly deliveries: ReturnType<typeof createDeliveries>;
}

/** Wakes whom a signal means. Answers how to end it. */
function hear(
  context: MasterContext,
  { commands, claims, kills, followups, deliveries }: Hearing,
): readonly (() => void)[] {
  const { signals } = context;
  return [
    signals.listen('command', () => commands.wake()),
    signals.listen('kill', () => kills.wake()),
    signals.listen('followup', (heard) => {
      for (const kind of FOLLOWUP_KINDS) if (heard === undefined || heard === kind) followups[kind]?.wake();
    }),
    signals.listen('bound', (incarnation) => deliveries.heard(incarnation)),
    signals.listen('ready', (group) => {
      if (group !== undefined) noteReady(context, group);
      claims.wake();
    }),
  ];
}

function contactsOf({ sessions, clock }: MasterContext): Map<string, WorkerContact> {
  const now = clock.now();
  const contacts = new Map<string, WorkerContact>();
  for (const { incarnation, leaseUntil, calledAt, load } of sessions.all()) {
    if (leaseUntil <= now) continue;
    contacts.set(incarnation.id, { agoMs: Math.round(now - calledAt), ...(load === undefined ? {} : { load }) });
  }
  return contacts;
}
