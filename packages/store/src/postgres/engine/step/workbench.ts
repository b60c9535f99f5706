import type {
  BroadcastRecord,
  EngineEvent,
  LiveInstance,
  PriorEnd,
  SnapshotWorker,
  TaskPlace,
  TaskRecord,
} from '@keelson/core';
import type { GenerationKey, ReportedEnd, StepMind } from '../../../engine.ts';
import type { Rows, Transaction } from '../../connection/session.ts';
import type { FactsCache } from './facts.ts';
import { factsFrom, liveFrom } from './read.ts';

/** Everything a step knows while it is under way. */
export interface Workbench {
  readonly transaction: Transaction;
  readonly mind: StepMind;
  readonly facts: FactsCache;
  readonly live: Map<string, LiveInstance>;
  readonly events: Map<string, EngineEvent[]>;
  readonly records: Map<string, Map<string, TaskRecord>>;
  readonly activeCounts: Map<string, number>;
  /** Instance → task → attempts that were handed back, where they were read. */
  readonly handedBack: Map<string, Map<string, readonly number[]>>;
  /** Instance → its broadcasts, where they were read. */
  readonly broadcasts: Map<string, Map<string, BroadcastRecord>>;
  /** Instance → task → the workers of its broadcast, where they were looked at. */
  readonly workers: Map<string, Map<string, readonly SnapshotWorker[]>>;
  /** Instance → how its tasks ended in the generation before, where that was read. */
  readonly prior: Map<string, ReadonlyMap<string, PriorEnd>>;
  /** Instance → where its tasks are, where that was read. */
  readonly places: Map<string, Map<string, TaskPlace>>;
  readonly commandIds: string[];
  readonly settled: ReportedEnd[];
  readonly postponed: ReportedEnd[];
  readonly busy: Set<string>;
  /** Locked instances of versions that the mind does not know yet → the version. */
  readonly unknown: Map<string, string>;
  /** Instances with commands were left for the next step. */
  left: boolean;
  /** Attempts whose end is among the events: each ends once, whoever says so. */
  readonly ends: Set<string>;
}

/** A workbench with nothing on it yet. */
export function newBench(transaction: Transaction, facts: FactsCache, mind: StepMind): Workbench {
  return {
    transaction,
    mind,
    facts,
    live: new Map(),
    events: new Map(),
    records: new Map(),
    activeCounts: new Map(),
    handedBack: new Map(),
    broadcasts: new Map(),
    workers: new Map(),
    prior: new Map(),
    places: new Map(),
    commandIds: [],
    settled: [],
    postponed: [],
    busy: new Set(),
    unknown: new Map(),
    left: false,
    ends: new Set(),
  };
}

/** Takes up locked rows whose version is known, within the budget but at least one; answers their ids, each once. */
export function admitLocked(bench: Workbench, locked: Rows, budget = Infinity): string[] {
  const fresh: string[] = [];
  let tasks = 0;
  for (const row of locked) {
    const live = liveFrom(row);
    if (bench.live.has(live.id)) continue;
    if (!bench.mind.knowsVersion(live.versionId)) {
      bench.unknown.set(live.id, live.versionId);
      continue;
    }
    tasks += live.unfinished;
    if (fresh.length > 0 && tasks > budget) {
      bench.left = true;
      break;
    }
    bench.live.set(live.id, live);
    fresh.push(live.id);
  }
  return fresh;
}

/** Of these locked instances those whose facts are not at hand for the generation that lives. */
export function strangersAmong(bench: Workbench, ids: readonly string[]): GenerationKey[] {
  const keys = ids.flatMap((id) => {
    const live = bench.live.get(id);
    return live === undefined ? [] : [{ instanceId: id, generation: live.generation }];
  });
  return keys.filter((key) => !bench.facts.has(key));
}

/** Keeps facts that were read, for this step and later ones. */
export function noteFacts(bench: Workbench, rows: Rows): void {
  for (const row of rows) bench.facts.set(factsFrom(row));
}

/** Answers whether this attempt's end is the first one that is told. */
export function claimEnd({ ends }: Workbench, attemptId: string): boolean {
  if (ends.has(attemptId)) return false;
  ends.add(attemptId);
  return true;
}

/** Puts an event behind the others of its instance. */
export function addEvent(bench: Workbench, instanceId: string, event: EngineEvent): void {
  const events = bench.events.get(instanceId);
  if (events === undefined) bench.events.set(instanceId, [event]);
  else events.push(event);
}
