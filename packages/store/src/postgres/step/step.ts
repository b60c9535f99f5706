import type { Decision, EngineEvent, InstanceChanges, LiveInstance, Missing, TaskRecord } from '@keelson/core';
import type {
  BoundAttempt,
  InstanceFacts,
  LoadedInstance,
  Placement,
  ReportedEnd,
  StepInput,
  StepMind,
  StepOutcome,
  TaskKey,
  TaskKind,
} from '../../engine.ts';
import { call } from '../session.ts';
import type { Rows, Session, Transaction } from '../session.ts';
import { boundFrom, claimCall, claimedFrom } from '../claim.ts';
import type { FactsCache } from './facts.ts';
import {
  activeById,
  activeCount,
  activeFrom,
  dueCommands,
  endEvent,
  factsFrom,
  instanceFacts,
  liveFrom,
  lockCommanded,
  lockInstances,
  recordsInto,
  recordsOf,
  taskRecords,
} from './read.ts';
import type { ActiveRow } from './read.ts';
import { writeCalls } from './write.ts';
import type { Decided } from './write.ts';

/** Everything a step knows while it is under way. */
interface Workbench {
  readonly transaction: Transaction;
  readonly mind: StepMind;
  readonly facts: FactsCache;
  readonly live: Map<string, LiveInstance>;
  readonly events: Map<string, EngineEvent[]>;
  readonly records: Map<string, Map<string, TaskRecord>>;
  readonly activeCounts: Map<string, number>;
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

/**
 * A decision transaction. Two round trips for reports: (lock, read), (write, commit); commands take one more, because what
 * they touch is only known under the lock. Nothing is awaited between a read and its decision but the database.
 */
export async function runStep(
  session: Session,
  facts: FactsCache,
  input: StepInput,
  mind: StepMind,
): Promise<StepOutcome> {
  const transaction = session.begin();
  const bench = newBench(transaction, facts, mind);
  try {
    if (input.reports.length > 0) await readReports(bench, input);
    if (input.commandLimit > 0) await readCommands(bench, input);
    if (bench.events.size === 0) {
      await transaction.rollback();
      return outcomeOf(bench, [], [], []);
    }
    return await decideAndWrite(bench);
  } catch (error) {
    // Also for an error of our own: nobody else may find these locks held.
    await transaction.rollback();
    throw error;
  }
}

function newBench(transaction: Transaction, facts: FactsCache, mind: StepMind): Workbench {
  return {
    transaction,
    mind,
    facts,
    live: new Map(),
    events: new Map(),
    records: new Map(),
    activeCounts: new Map(),
    commandIds: [],
    settled: [],
    postponed: [],
    busy: new Set(),
    unknown: new Map(),
    left: false,
    ends: new Set(),
  };
}

async function decideAndWrite(bench: Workbench): Promise<StepOutcome> {
  const decided = await decideAll(bench);
  const claims = bench.mind.claims().map(claimCall);
  const { calls, bindAt, claimsAt } = writeCalls(decided, bench.commandIds, claims);
  const rows = await bench.transaction.commit(calls);
  const claimed = rows.slice(claimsAt, claimsAt + claims.length).map(claimedFrom);
  return outcomeOf(bench, decided, bindAt < 0 ? [] : (rows[bindAt] ?? []), claimed);
}

async function readReports(bench: Workbench, { reports, demand }: StepInput): Promise<void> {
  const ids = [...new Set(reports.map(({ instanceId }) => instanceId))];
  const strangers = ids.filter((id) => !bench.facts.has(id));
  const calls = [
    lockInstances(ids),
    activeById(reports.map(({ attemptId }) => attemptId)),
    instanceFacts(strangers),
    dueCommands(ids),
    ...taskRecords(demand),
  ];
  const [locked = [], active = [], factRows = [], commands = [], counters = [], finished = []] =
    await bench.transaction.flight(demand.length > 0 ? calls : calls.slice(0, 4));
  noteFacts(bench, factRows);
  admitLocked(bench, locked);
  await tellBusyFromEnded(
    bench,
    ids.filter((id) => !bench.live.has(id) && !bench.unknown.has(id)),
  );
  recordsInto(bench.records, demand, counters, finished);
  const attempts = new Map(active.map((row) => [String(row.id), activeFrom(row)]));
  for (const report of reports) {
    if (bench.busy.has(report.instanceId) || bench.unknown.has(report.instanceId)) bench.postponed.push(report);
    else addReport(bench, report, attempts.get(report.attemptId));
  }
  // Or a stop would wait for as long as the instance's tasks report without a pause.
  await addCommands(
    bench,
    commands.filter((row) => bench.live.has(row.instance_id)),
  );
}

/** A row that could not be locked is either held by somebody or gone with its instance: only the first is worth another try. */
async function tellBusyFromEnded(bench: Workbench, notLocked: readonly string[]): Promise<void> {
  if (notLocked.length === 0) return;
  const [rows = []] = await bench.transaction.flight([call(STILL_LIVE, notLocked)]);
  for (const row of rows) bench.busy.add(row.id);
}

const STILL_LIVE = { name: 'step-still-live', text: 'select id from live_instance where id = any($1::bigint[])' };

function addReport(bench: Workbench, report: ReportedEnd, attempt: ActiveRow | undefined): void {
  const fits =
    attempt !== undefined &&
    bench.live.has(report.instanceId) &&
    attempt.instanceId === report.instanceId &&
    attempt.incarnationId === report.incarnationId &&
    attempt.nonce === report.nonce;
  if (fits && claimEnd(bench, report.attemptId)) addEvent(bench, report.instanceId, endEvent(attempt, report));
  else bench.settled.push(report);
}

/** What a step may touch at the most, in tasks: beyond it instances with commands are left for the next one. */
const TASK_BUDGET = 20_000;

async function readCommands(bench: Workbench, { commandLimit, only }: StepInput): Promise<void> {
  const [locked = []] = await bench.transaction.flight([lockCommanded(commandLimit, only)]);
  const fresh = admitLocked(bench, locked, TASK_BUDGET);
  if (fresh.length === 0) return;
  const strangers = fresh.filter((id) => !bench.facts.has(id));
  const [commands = [], factRows = []] = await bench.transaction.flight([dueCommands(fresh), instanceFacts(strangers)]);
  noteFacts(bench, factRows);
  await addCommands(bench, commands);
}

async function addCommands(bench: Workbench, commands: Rows): Promise<void> {
  const ends = commands.filter((row) => row.kind === 'attempt-ended');
  const attempts = new Map<string, ActiveRow>();
  if (ends.length > 0) {
    const [active = []] = await bench.transaction.flight([activeById(ends.map((row) => row.payload.attemptId))]);
    for (const row of active) attempts.set(String(row.id), activeFrom(row));
  }
  for (const row of commands) addCommand(bench, row, attempts);
}

function addCommand(bench: Workbench, row: Rows[number], attempts: Map<string, ActiveRow>): void {
  bench.commandIds.push(row.id);
  switch (row.kind) {
    case 'attempt-ended': {
      const attempt = attempts.get(row.payload.attemptId);
      const fenced = row.payload.nonce === undefined || attempt?.nonce === row.payload.nonce;
      // An end that came by another way meanwhile leaves an event-less command; `settle` makes sure that somebody still looks.
      const fits = attempt !== undefined && attempt.instanceId === row.instance_id && fenced;
      const applies = fits && claimEnd(bench, attempt.id);
      return addEvent(bench, row.instance_id, applies ? endEvent(attempt, row.payload) : { type: 'settle' });
    }
    case 'stop':
      return addEvent(bench, row.instance_id, { type: 'stop', by: row.payload.by });
    case 'withdrawn':
      return addEvent(bench, row.instance_id, { type: 'withdrawn', tasks: row.payload.tasks });
    case 'start':
      return addEvent(bench, row.instance_id, { type: 'start' });
    case 'settle':
      return addEvent(bench, row.instance_id, { type: 'settle' });
    default:
      throw new Error(`command ${row.id} has the unknown kind ${row.kind}`);
  }
}

function claimEnd({ ends }: Workbench, attemptId: string): boolean {
  if (ends.has(attemptId)) return false;
  ends.add(attemptId);
  return true;
}

function addEvent(bench: Workbench, instanceId: string, event: EngineEvent): void {
  const events = bench.events.get(instanceId);
  if (events === undefined) bench.events.set(instanceId, [event]);
  else events.push(event);
}

/** Takes up locked rows whose version is known, within the budget but at least one; answers their ids, each once. */
function admitLocked(bench: Workbench, locked: Rows, budget = Infinity): string[] {
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

function noteFacts(bench: Workbench, rows: Rows): void {
  for (const row of rows) bench.facts.set(factsFrom(row));
}

async function decideAll(bench: Workbench): Promise<Decided[]> {
  const decided = new Map<string, Decided>();
  let open = [...bench.events.keys()];
  while (open.length > 0) {
    const lacking = new Map<string, Missing>();
    for (const id of open) {
      const loaded = load(bench, id);
      const decision: Decision = bench.mind.decide(loaded);
      if (decision.kind === 'missing') lacking.set(id, decision.missing);
      else decided.set(id, ready(bench.mind, loaded, decision.changes));
    }
    open = [...lacking.keys()];
    if (open.length > 0) await readMissing(bench, lacking);
  }
  return [...decided.values()];
}

function ready(mind: StepMind, loaded: LoadedInstance, changes: InstanceChanges): Decided {
  return {
    id: loaded.live.id,
    generation: changes.live.generation,
    changes,
    placements: mind.place(loaded, changes),
    delayedAs: mind.describe(loaded, changes.delayed),
    allTasks: () => mind.taskNames(loaded.live.versionId),
  };
}

async function readMissing(bench: Workbench, lacking: ReadonlyMap<string, Missing>): Promise<void> {
  const keys: TaskKey[] = [];
  const counted: string[] = [];
  for (const [id, missing] of lacking) {
    const generation = bench.live.get(id)?.generation ?? 1;
    for (const task of missing.tasks) keys.push({ instanceId: id, generation, task });
    if (missing.activeAttempts) counted.push(id);
  }
  const [counters = [], finished = [], counts = []] = await bench.transaction.flight([
    ...taskRecords(keys),
    activeCount(counted),
  ]);
  recordsInto(bench.records, keys, counters, finished);
  for (const id of counted) bench.activeCounts.set(id, 0);
  for (const row of counts) bench.activeCounts.set(row.instance_id, row.active);
}

function load(bench: Workbench, id: string): LoadedInstance {
  const live = bench.live.get(id);
  const facts: InstanceFacts | undefined = bench.facts.get(id);
  if (live === undefined || facts === undefined) throw new Error(`instance ${id} has a live row but no facts`);
  const activeAttempts = bench.activeCounts.get(id);
  return {
    live,
    facts,
    events: bench.events.get(id) ?? [],
    tasks: recordsOf(bench.records, id),
    ...(activeAttempts === undefined ? {} : { activeAttempts }),
  };
}

function outcomeOf(
  bench: Workbench,
  decided: readonly Decided[],
  boundRows: Rows,
  claimed: readonly BoundAttempt[][],
): StepOutcome {
  const byId = new Map(decided.map((one) => [one.id, one.changes.live]));
  const bound = boundRows.map((row): BoundAttempt => {
    const live = byId.get(row.instance_id);
    return boundFrom(row, live?.versionId ?? '', live?.hasArtifacts ?? true);
  });
  const boundTasks = new Set(bound.map(({ instanceId, task }) => `${instanceId}/${task}`));
  const left = decided.flatMap(({ id, placements }) =>
    placements.filter(({ task }) => !boundTasks.has(`${id}/${task}`)),
  );
  return {
    decided: decided.map(({ id }) => id),
    settled: bench.settled,
    postponed: bench.postponed,
    unknownVersions: [...new Set(bench.unknown.values())],
    bound,
    claimed,
    waiting: kindsOf(left),
    delayed: decided.some(({ changes }) => changes.delayed.length > 0),
    moreCommands:
      bench.left || bench.commandIds.length > 0 || decided.some(({ changes }) => changes.withdraw !== undefined),
    killing: decided.filter(({ changes }) => changes.withdraw !== undefined).map(({ id }) => id),
    ended: decided.filter(({ changes }) => changes.end !== undefined).map(({ id }) => id),
    alerts: decided.some(({ changes }) => changes.alerts.length > 0),
  };
}

function kindsOf(placements: readonly Placement[]): TaskKind[] {
  const kinds = new Map<string, TaskKind>();
  for (const { workerGroup, capability } of placements)
    kinds.set(`${workerGroup}\n${capability}`, { workerGroup, capability });
  return [...kinds.values()];
}
