import type { Decision, InstanceChanges, Missing } from '@keelson/core';
import type { InstanceFacts, LoadedInstance, StepInput, StepMind, StepOutcome, TaskKey } from '../../engine.ts';
import { claimCall, claimedFrom } from '../claim.ts';
import type { Session } from '../session.ts';
import type { Decided } from './decided.ts';
import type { FactsCache } from './facts.ts';
import { outcomeOf } from './outcome.ts';
import { activeCount, recordsInto, recordsOf, taskRecords } from './read.ts';
import { readCommands } from './read-commands.ts';
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
      return outcomeOf(bench, [], [], []);
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
  const { calls, bindAt, claimsAt } = writeCalls(decided, bench.commandIds, claims);
  const rows = await bench.transaction.commit(calls);
  const claimed = rows.slice(claimsAt, claimsAt + claims.length).map(claimedFrom);
  return outcomeOf(bench, decided, bindAt < 0 ? [] : (rows[bindAt] ?? []), claimed);
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
