import type { Decision, InstanceChanges, Missing, SnapshotWorker, TaskPlace } from '@keelson/core';
import type {
  GenerationKey,
  InstanceFacts,
  LoadedInstance,
  StepInput,
  StepMind,
  StepOutcome,
  TaskKey,
  TaskKind,
} from '../../../engine.ts';
import { claimCall, claimedFrom } from '../claim.ts';
import type { Session } from '../../connection/session.ts';
import type { Decided } from './decided.ts';
import type { FactsCache } from './facts.ts';
import { outcomeOf } from './outcome.ts';
import { activeCount, finishedTasks, handedBack, recordsInto, recordsOf, taskRecords } from './read.ts';
import { broadcastFrom, broadcastsOf, snapshotOf, workersFor } from './read-broadcasts.ts';
import { readCommands } from './read-commands.ts';
import { placesInto, placesOf, priorEnds, priorFrom } from './read-generations.ts';
import { readReports } from './read-reports.ts';
import { newBench } from './workbench.ts';
import type { Workbench } from './workbench.ts';
import { writeCalls } from './write.ts';

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
      return outcomeOf(bench, [], { bound: [], subtasks: [], claimed: [], released: [], ended: [] });
    }
    return await decideAndWrite(bench);
  } catch (error) {
    // Also for an error of our own: nobody else may find these locks held.
    await transaction.rollback();
    throw error;
  }
}

async function decideAndWrite(bench: Workbench): Promise<StepOutcome> {
  const decided = await decideAll(bench);
  const claims = bench.mind.claims().map(claimCall);
  const { calls, releaseAt, subtasksAt, bindAt, claimsAt, endsAt } = writeCalls(decided, bench.commandIds, claims);
  const rows = await bench.transaction.commit(calls);
  const claimed = rows.slice(claimsAt, claimsAt + claims.length).map(claimedFrom);
  return outcomeOf(bench, decided, {
    bound: rows.slice(bindAt, claimsAt).flat(),
    subtasks: rows.slice(subtasksAt, bindAt).flat(),
    claimed,
    released: rows[releaseAt] ?? [],
    ended: rows[endsAt] ?? [],
  });
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

function ready(mind: StepMind, before: LoadedInstance, changes: InstanceChanges): Decided {
  // What is put in line now has the priority that the instance has from now on.
  const loaded = { ...before, live: changes.live };
  return {
    id: loaded.live.id,
    generation: changes.live.generation,
    changes,
    mayHold: ['pausing', 'paused'].includes(before.live.state),
    placements: mind.place(loaded, changes),
    delayedAs: mind.describe(loaded, changes.delayed),
    heldAs: mind.describe(loaded, changes.held),
    nonce: () => mind.newNonce(),
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
  await readHandedBack(bench, lacking);
  await readMissingBroadcasts(bench, lacking);
  await readPrior(bench, lacking);
  await readPlaces(bench, lacking);
}

async function readHandedBack(bench: Workbench, lacking: ReadonlyMap<string, Missing>): Promise<void> {
  const keys = [...lacking].flatMap(([id, missing]) =>
    missing.handedBack.map((task) => ({ instanceId: id, generation: bench.live.get(id)?.generation ?? 1, task })),
  );
  if (keys.length === 0) return;
  const [rows = []] = await bench.transaction.flight([handedBack(keys)]);
  for (const { instanceId, task } of keys) {
    const known = bench.handedBack.get(instanceId) ?? new Map<string, readonly number[]>();
    const own = rows.filter((row) => row.instance_id === instanceId && row.task === task);
    bench.handedBack.set(
      instanceId,
      known.set(
        task,
        own.map(({ attempt }) => attempt),
      ),
    );
  }
}

async function readMissingBroadcasts(bench: Workbench, lacking: ReadonlyMap<string, Missing>): Promise<void> {
  const asked = [...lacking].filter(([, { broadcasts }]) => broadcasts).map(([id]) => id);
  const wanted = [...lacking].flatMap(([id, { workers }]) =>
    workers.map((task) => ({ id, task, kind: kindOf(bench, id, task) })),
  );
  if (asked.length === 0 && wanted.length === 0) return;
  const [rows = [], snapshot = []] = await bench.transaction.flight([
    broadcastsOf(asked),
    snapshotOf(wanted.map(({ kind }) => kind)),
  ]);
  for (const id of asked) bench.broadcasts.set(id, new Map());
  for (const row of rows) bench.broadcasts.get(row.instance_id)?.set(row.task, broadcastFrom(row));
  for (const { id, task, kind } of wanted) {
    const known = bench.workers.get(id) ?? new Map<string, readonly SnapshotWorker[]>();
    bench.workers.set(id, known.set(task, workersFor(kind, snapshot)));
  }
}

async function readPrior(bench: Workbench, lacking: ReadonlyMap<string, Missing>): Promise<void> {
  const ends: GenerationKey[] = [];
  const outputs: TaskKey[] = [];
  for (const [id, { prior }] of lacking) {
    if (prior === undefined) continue;
    const before = { instanceId: id, generation: (bench.live.get(id)?.generation ?? 1) - 1 };
    ends.push(before);
    for (const task of prior.outputs) outputs.push({ ...before, task });
  }
  if (ends.length === 0) return;
  const [rows = [], outputRows = []] = await bench.transaction.flight([priorEnds(ends), finishedTasks(outputs)]);
  const byInstance = Map.groupBy(rows, (row): string => row.instance_id);
  const outputsOf = Map.groupBy(outputRows, (row): string => row.instance_id);
  for (const { instanceId } of ends)
    bench.prior.set(instanceId, priorFrom(byInstance.get(instanceId) ?? [], outputsOf.get(instanceId) ?? []));
}

async function readPlaces(bench: Workbench, lacking: ReadonlyMap<string, Missing>): Promise<void> {
  const keys = [...lacking].flatMap(([instanceId, { places }]) => places.map((task) => ({ instanceId, task })));
  if (keys.length === 0) return;
  const [rows = []] = await bench.transaction.flight([placesOf(keys)]);
  for (const [instanceId, tasks] of Map.groupBy(keys, (key) => key.instanceId)) {
    const known = bench.places.get(instanceId) ?? new Map<string, TaskPlace>();
    const found = rows.filter((row) => row.instance_id === instanceId);
    bench.places.set(
      instanceId,
      placesInto(
        known,
        tasks.map(({ task }) => task),
        found,
      ),
    );
  }
}

/** What a subtask of this task asks of its worker. */
function kindOf(bench: Workbench, id: string, task: string): TaskKind {
  const [described] = bench.mind.describe(load(bench, id), [{ task, attempt: 1, losses: 0 }]);
  if (described === undefined) throw new Error(`nobody knows which workers task ${task} is for`);
  return described;
}

function load(bench: Workbench, id: string): LoadedInstance {
  const live = bench.live.get(id);
  const facts: InstanceFacts | undefined = live && bench.facts.get({ instanceId: id, generation: live.generation });
  if (live === undefined || facts === undefined) throw new Error(`instance ${id} has a live row but no facts`);
  const activeAttempts = bench.activeCounts.get(id);
  const broadcasts = bench.broadcasts.get(id);
  const workers = bench.workers.get(id);
  const back = bench.handedBack.get(id);
  const prior = bench.prior.get(id);
  const places = bench.places.get(id);
  return {
    live,
    facts,
    events: bench.events.get(id) ?? [],
    tasks: recordsOf(bench.records, id),
    ...(activeAttempts === undefined ? {} : { activeAttempts }),
    ...(broadcasts === undefined ? {} : { broadcasts }),
    ...(workers === undefined ? {} : { workers }),
    ...(back === undefined ? {} : { handedBack: back }),
    ...(prior === undefined ? {} : { prior }),
    ...(places === undefined ? {} : { places }),
  };
}
