import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { askProduct } from './ask-product.ts';
import { check } from './check/check.ts';
import { collectInstances, listInstances } from './check/collect.ts';
import type { Evidence, InstanceRecord, Violation } from './check/evidence.ts';
import { recoveries } from './check/recovery.ts';
import { FAKE_CLOCK } from './cluster/fake-clock.ts';
import { openChaosCluster } from './cluster/cluster.ts';
import type { ChaosCluster } from './cluster/cluster.ts';
import { namespaceObstacle } from './cluster/namespace.ts';
import { mountObstacle } from './cluster/small-disk.ts';
import { createFaults, drawRounds } from './faults.ts';
import type { Faults } from './faults.ts';
import { parseLedger } from './ledger/entry.ts';
import { createClient } from './load/client.ts';
import type { Client } from './load/client.ts';
import { startLoad } from './load/load.ts';
import type { Load } from './load/load.ts';
import { publishShapes } from './load/publish.ts';
import type { Shape } from './load/workflows.ts';
import { watchMetrics } from './metrics.ts';
import { NEMESES, SEVERAL } from './nemeses/all.ts';
import type { Nemesis } from './nemeses/nemesis.ts';
import type { ChaosOptions } from './options.ts';
import { createRandom } from './random.ts';
import type { Random } from './random.ts';
import { reportOf } from './report.ts';
import type { Report } from './report.ts';
import { superviseCluster } from './supervisor.ts';

export interface Campaign {
  readonly report: Report;
  readonly evidence: Evidence;
}

export interface CampaignOptions extends ChaosOptions {
  /** For everything that the cluster writes; other accounts can reach it. */
  readonly folder: string;
  readonly say: (line: string) => void;
  /** Ends the faults early; what has happened so far is judged. */
  readonly signal: AbortSignal;
  /** Default: 3 masters, 1 api, 4 shell workers and 2 processor workers. */
  readonly size?: Partial<Record<'masters' | 'apis' | 'shellWorkers' | 'processorWorkers', number>>;
}

/** After the last heal everything ends within this time, or it is stuck. */
const SETTLE_MS = 120_000;
const WARM_UP_MS = 4000;
const LOOK_MS = 500;

/** Runs one campaign from an empty folder to its report. Leaves no process behind. */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
  const { folder, say } = options;
  const namespaces = namespaceObstacle() === undefined;
  const smallDisks = mountObstacle(folder) === undefined;
  say('opening the cluster');
  const cluster = await openChaosCluster({
    masters: 3,
    apis: 1,
    shellWorkers: 4,
    processorWorkers: 2,
    ...options.size,
    folder,
    slots: 6,
    namespaces,
    smallDisks,
    fakeClock: FAKE_CLOCK !== undefined,
    plant: options.plant,
  });
  try {
    return await shake(cluster, options);
  } finally {
    await cluster.close();
  }
}

async function shake(cluster: ChaosCluster, options: CampaignOptions): Promise<Campaign> {
  const { say, seed, rate } = options;
  const random = createRandom(seed);
  const [loadRandom, faultRandom, roundRandom] = [random.fork(), random.fork(), random.fork()];
  const complaints: Violation[] = [];
  const complain = (rule: string, detail: string): void => {
    say(`VIOLATION ${rule}: ${detail}`);
    complaints.push({ rule, detail });
  };
  const urls = cluster.servers.map(({ clients }) => `http://${clients.host}:${clients.port}`);
  const client = createClient(urls, cluster.adminToken);
  const { shapes, missing } = await publishShapes(client, cluster.ledger, options.workflows);
  const supervisor = superviseCluster(cluster, complain);
  const metrics = watchMetrics(client, cluster.servers.length);
  const faults = createFaults({ cluster, random: faultRandom, complain, say });
  const startedAt = Date.now();
  const load = startLoad(client, shapes, rate, loadRandom);
  const chosen = choose(cluster, options.nemeses);
  await delay(WARM_UP_MS);
  await putFaults(faults, chosen, roundRandom, options);
  const healedAt = Date.now();
  say('healed; waiting for everything to end');
  await load.stop();
  await supervisor.stop();
  const settledMs = await settle(client, healedAt);
  const counters = await metrics.stop();
  complaints.push(...(await askProduct(urls[0] ?? '', cluster.adminToken)));
  const evidence = await gather(cluster, client, load, shapes);
  const findings = check(evidence);
  const report = reportOf({
    options,
    startedAt,
    endedAt: Date.now(),
    settledMs,
    injections: faults.injections,
    chosen: [...chosen.nemeses.map(({ name }) => name), ...(chosen.several ? [SEVERAL] : [])],
    unavailable: chosen.unavailable,
    missing,
    counters,
    unaskedEnds: supervisor.ends,
    tally: findings.tally,
    violations: [...complaints, ...findings.violations],
    recoveries: recoveries(evidence, findings.runs, faults.injections),
  });
  return { report, evidence };
}

interface Chosen {
  readonly nemeses: readonly Nemesis[];
  readonly several: boolean;
  /** Name → why it cannot be had here. */
  readonly unavailable: Readonly<Record<string, string>>;
}

function choose(cluster: ChaosCluster, names: readonly string[] | undefined): Chosen {
  // Asked for nothing but several at once: several of all.
  const single = names?.filter((name) => name !== SEVERAL) ?? [];
  const wanted = single.length === 0 ? NEMESES : NEMESES.filter(({ name }) => single.includes(name));
  const obstacles = wanted.map((nemesis) => ({ nemesis, obstacle: nemesis.obstacle(cluster) }));
  return {
    nemeses: obstacles.filter(({ obstacle }) => obstacle === undefined).map(({ nemesis }) => nemesis),
    several: names === undefined || names.includes(SEVERAL),
    unavailable: Object.fromEntries(
      obstacles.flatMap(({ nemesis, obstacle }) => (obstacle === undefined ? [] : [[nemesis.name, obstacle]])),
    ),
  };
}

async function putFaults(
  faults: Faults,
  { nemeses, several }: Chosen,
  random: Random,
  { minutes, signal }: CampaignOptions,
): Promise<void> {
  if (nemeses.length === 0) return;
  const until = performance.now() + minutes * 60_000;
  for (const round of drawRounds(nemeses, several, random)) {
    if (signal.aborted || performance.now() > until) return;
    // A round that has begun is held as long as was drawn: cut short it would not bite.
    await faults.run(round, signal);
  }
}

/** Until nothing is under way; answers the milliseconds that took, or undefined when the time was up. */
async function settle(client: Client, since: number): Promise<number | undefined> {
  while (Date.now() - since < SETTLE_MS) {
    const under = (await listInstances(client)).filter(({ endedAt }) => endedAt === null);
    if (under.length === 0) return Date.now() - since;
    await delay(LOOK_MS);
  }
  return undefined;
}

/** Of the incarnations that run shell tasks, as the broadcasts of the load are. */
const LIFETIMES = `
  select extract(epoch from registered_at) * 1000 as "from", extract(epoch from least(lease_until, ended_at)) * 1000 as until
    from keelson.worker_incarnation where 'shell' = any(capabilities)`;

async function gather(
  { ledger, postgres }: ChaosCluster,
  client: Client,
  { wishes }: Load,
  shapes: readonly Shape[],
): Promise<Evidence> {
  const instances: InstanceRecord[] = await collectInstances(client);
  const entries = parseLedger(await readFile(ledger, 'utf8').catch(() => ''));
  const lifetimes = await postgres.rows(LIFETIMES);
  return {
    entries,
    instances,
    wishes,
    shapes: new Map(shapes.map((shape) => [shape.name, shape])),
    lifetimes: lifetimes.map((row) => ({ from: Number(row['from']), until: Number(row['until']) })),
  };
}
