import type { Clock } from '@keelson/core';
import { createAdmission } from '../postgres/engine/admission.ts';
import { createBackfills } from '../postgres/backfills/backfills.ts';
import { createEngine } from '../postgres/engine/engine.ts';
import { sessionLanes } from '../postgres/connection/lanes.ts';
import { createOperations } from '../postgres/engine/operations.ts';
import { createFires } from '../postgres/schedules/fires.ts';
import { instanceIds } from '../postgres/schema/partitions.ts';
import type { Runner, SessionBounds } from '../postgres/connection/session.ts';
import { createStarts } from '../postgres/engine/starts.ts';
import { createTimers } from '../postgres/engine/timers.ts';
import { createWorkers } from '../postgres/workers/workers.ts';
import type { MasterStore } from '../store.ts';
import type { MemoryDatabase } from './database.ts';
import type { MemoryKeep } from './keep.ts';
import { openMemorySession } from './session.ts';
import type { Disconnection, FlightHooks, MemorySession } from './session.ts';
import type { MemoryBus } from './signals.ts';

/** One process's view of the database in memory. */
export interface MemoryStoreOptions {
  /** Names the process in flights and wake-ups; one that was started again needs a name of its own. */
  readonly owner: string;
  /** The process's clock, which is not the database's. */
  readonly clock: Clock;
  readonly bus: MemoryBus;
  readonly keep: MemoryKeep;
  readonly hooks?: FlightHooks;
  /** Decision transactions at once, as for PostgreSQL. */
  readonly lanes?: number;
}

export interface MemoryStore extends MasterStore {
  /** All its connections are lost; the next call connects anew, unless `silent`. */
  disconnect(how?: Disconnection): void;
}

const START_CONNECTIONS = 4;

/** The real engine, starts, workers and timers over a database in memory. */
export function openMemoryStore(database: MemoryDatabase, options: MemoryStoreOptions): MemoryStore {
  const { owner, clock, bus, keep, hooks, lanes } = options;
  database.lookUpIn(keep);
  const sessions: MemorySession[] = [];
  const open = (bounds?: SessionBounds): MemorySession => {
    const session = openMemorySession(database, owner, sessions.length, hooks, bounds);
    sessions.push(session);
    return session;
  };
  const pool = sessionLanes(open, START_CONNECTIONS);
  const runner: Runner = { run: (calls) => pool.use((session) => session.run(calls)) };
  const engine = createEngine(open, lanes);
  const workers = createWorkers(open);
  const timers = createTimers(open);
  const nextId = instanceIds(runner, async () => undefined);
  const backfills = createBackfills(open, nextId, clock);
  const admission = createAdmission(open);
  const fires = createFires(
    open,
    instanceIds(runner, async () => undefined),
    () => clock.now(),
  );
  const signals = bus.join(owner);
  const { definitions, logs, blobs, secrets, datasources, tokens } = keep;
  return {
    engine,
    workers,
    timers,
    fires,
    backfills,
    admission,
    signals,
    definitions,
    logs,
    blobs,
    secrets,
    datasources,
    tokens,
    starts: createStarts(runner, nextId, clock),
    operations: createOperations(runner, clock),
    disconnect: (how) => {
      for (const session of sessions) session.disconnect(how);
      if (how?.silent === true) void signals.close();
    },
    close: async () => {
      await Promise.all([
        engine.close(),
        workers.close(),
        timers.close(),
        backfills.close(),
        admission.close(),
        fires.close(),
        pool.close(),
        signals.close(),
      ]);
    },
  };
}
