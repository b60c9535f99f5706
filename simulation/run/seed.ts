import type { Violation } from '../world/violation.ts';
import { openDice } from '../clock/random.ts';
import { drawClimate } from '../faults/climate.ts';
import { startFaults } from '../faults/incidents.ts';
import type { Cluster } from '../faults/incidents.ts';
import { watchCommitted } from '../invariants/committed-rules.ts';
import { checkTheEnd, isQuiet } from '../invariants/final-rules.ts';
import { ledgerRules } from '../invariants/ledger-rules.ts';
import { openClientNode } from '../nodes/client-node.ts';
import { openServerNode } from '../nodes/server-node.ts';
import { openWorkerNode } from '../nodes/worker-node.ts';
import { scheduleCalendarWork } from '../workload/calendar-work.ts';
import { startOperator } from '../workload/operator.ts';
import { scheduleWishes } from '../workload/wishes.ts';
import { openWorld } from '../world/world.ts';
import type { World } from '../world/world.ts';

/** What one seed came to. */
export interface SeedResult {
  readonly seed: number;
  readonly hash: string;
  readonly violation: Violation | undefined;
  readonly simulatedMs: number;
  readonly events: number;
  readonly instances: number;
  readonly runs: number;
  readonly lines: readonly string[];
}

export interface SeedOptions {
  /** Remember the trace. */
  readonly trace: boolean;
  readonly print?: (line: string) => void;
}

/** Without a fault something must move at least so often, until everything has ended: a lost lease is found, a long task ends. */
const LONGEST_REST_MS = 90_000;
/** And all that was asked for must be done by then, with one slot for all of it. */
const LIVENESS_MS = 3_600_000;
/** After the last instance has ended, for what may come late. */
const AFTERMATH_MS = 15_000;

/** One simulated cluster from its start to its end, decided by the seed alone. */
export async function runSeed(seed: number, { trace, print }: SeedOptions): Promise<SeedResult> {
  const dice = openDice(seed).stream('plan');
  const servers = Array.from({ length: dice.whole(1, 3) }, (_, index) => `s${index + 1}`);
  const moods = { failing: dice.chance(0.5) ? 0.05 : dice.between(0, 0.4), long: dice.between(0.05, 0.6) };
  const world = openWorld({ seed, servers, moods, keepTrace: trace, print, watch: ledgerRules });
  const cluster: Cluster = {
    servers: servers.map((name) => openServerNode(world, name)),
    workers: Array.from({ length: dice.pick([1, 2, 2, 3, 3, 4]) }, (_, index) =>
      openWorkerNode(world, `w${index + 1}`, { slots: dice.whole(1, 4), killGraceMs: dice.chance(0.5) ? 5000 : 500 }),
    ),
    client: openClientNode(world, 'c1'),
  };
  for (const node of [...cluster.servers, ...cluster.workers, cluster.client])
    world.timeline.after(dice.between(0, 300), node.boot);
  const faultMs = dice.between(10_000, 60_000);
  scheduleWishes(world, cluster.client, dice, faultMs);
  scheduleCalendarWork(world, cluster.client, world.dice.stream('calendar'), faultMs);
  const operator = startOperator(world, cluster.client, world.dice.stream('operator'), faultMs);
  const faults = startFaults(world, cluster, drawClimate(dice));
  await live(world, cluster, faultMs, () => {
    faults.heal();
    operator.settle();
  });
  const { timeline, ledger, database } = world;
  return {
    seed,
    hash: world.trace.hash,
    violation: world.violation,
    simulatedMs: timeline.now(),
    events: timeline.count,
    instances: database.tables.workflow_instance.tuples.size,
    runs: ledger.runs.length,
    lines: world.trace.lines,
  };
}

/** Faults, then none any more: first nothing may go wrong, then everything must come to its end. */
async function live(world: World, cluster: Cluster, faultMs: number, heal: () => void): Promise<void> {
  const { timeline } = world;
  const rules = watchCommitted(world);
  const broken = (): boolean => {
    rules.check();
    return world.violation !== undefined;
  };
  await timeline.run(faultMs, broken);
  if (broken()) return;
  heal();
  const rests = watchRest(world);
  const untilQuiet = (): Promise<void> =>
    timeline.run(faultMs + LIVENESS_MS, () => broken() || isQuiet(world, cluster) || rests());
  await untilQuiet();
  if (broken()) return;
  await timeline.run(timeline.now() + AFTERMATH_MS, broken);
  // A request that was given up long ago may have arrived meanwhile.
  await untilQuiet();
  if (!broken()) checkTheEnd(world, cluster);
}

/** Tells when nothing has started or ended for too long. */
function watchRest({ timeline, ledger, database }: World): () => boolean {
  const { instance_end, instance_generation, finished_task, fire } = database.tables;
  let since = timeline.now();
  let before = -1;
  return () => {
    const written = [instance_end, instance_generation, finished_task, fire].map(({ tuples }) => tuples.size);
    const progress = written.reduce((sum, size) => sum + size, ledger.runs.length * 2 - ledger.open.size);
    if (progress !== before) since = timeline.now();
    before = progress;
    return timeline.now() - since > LONGEST_REST_MS;
  };
}
