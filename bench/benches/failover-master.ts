import { setTimeout as pause } from 'node:timers/promises';
import type { ServerNode, WorkerNode } from '../../chaos/cluster/cluster.ts';
import type { Entry } from '../../chaos/ledger/entry.ts';
import { withFailoverCluster } from '../failover-cluster.ts';
import type { FailoverCluster } from '../failover-cluster.ts';
import { figure, p99AtMost } from '../figures.ts';
import type { Measured } from '../result.ts';
import type { BenchOptions } from '../run.ts';

const TRIALS = 40;
const CHAINS = 12;
const LENGTH = 30;
const TASK_MS = 60;
const DEADLINE_MS = 30_000;
/** So long a master that was killed and is there again has to warm up: nobody restarts one a second before the next one dies. */
const STEADY_MS = 3000;

/** kill -9 of a master whose workers are in the middle of chains: how long until the next task of each chain starts. */
export function failoverMaster(options: BenchOptions): Promise<Measured> {
  const trials = options.repetitions ?? TRIALS;
  return withFailoverCluster(options, { masters: 3, processorWorkers: 4, slots: 8 }, async (failover) => {
    await failover.publish(chain(failover.cluster.ledger));
    const load = keepChains(failover);
    const affected: number[] = [];
    const worst: number[] = [];
    const usual: number[] = [];
    for (let trial = 0; trial < trials; trial++) {
      await pause(STEADY_MS + Math.random() * TASK_MS);
      usual.push(...usualHops(await failover.ledger()));
      const waits = await killOne(failover, await load.alive());
      if (waits.length === 0) continue;
      affected.push(...waits);
      worst.push(Math.max(...waits));
    }
    await load.stop();
    return {
      figures: {
        'next task of a chain, its master killed': figure('ms', affected, p99AtMost(2000)),
        'the slowest chain of each trial': figure('ms', worst),
        'next task of a chain, nothing killed': figure('ms', usual),
      },
      workload: { trials, masters: 3, workers: 4, chains: CHAINS, taskMs: TASK_MS },
      complaints: [],
    };
  });
}

function chain(ledger: string) {
  const ids = Array.from({ length: LENGTH }, (_, index) => `t${index + 1}`);
  const task = (index: number): object => ({
    uses: 'processor',
    with: { processor: 'work', args: { ledger, ms: TASK_MS } },
    ...(index > 0 && { needs: [ids[index - 1]] }),
  });
  return { name: 'chain', tasks: Object.fromEntries(ids.map((id, index) => [id, task(index)])) };
}

/** So many chains at any time; a chain that is not at its end goes on, whatever dies. */
function keepChains({ start, ledger }: FailoverCluster) {
  let stopped = false;
  const ids = new Set<string>();
  const one = async (): Promise<void> => {
    while (!stopped) {
      const before = (await ledger()).length;
      const id = await start('chain');
      ids.add(id);
      while (!stopped && !(await ended(id, before))) await pause(100);
      ids.delete(id);
    }
  };
  const ended = async (id: string, from: number): Promise<boolean> =>
    (await ledger())
      .slice(from)
      .some(({ kind, instance, task }) => kind === 'E' && instance === id && task === `t${LENGTH}`);
  const lines = Array.from({ length: CHAINS }, one);
  return {
    alive: async () => [...ids],
    stop: async () => {
      stopped = true;
      await Promise.all(lines);
    },
  };
}

/** From the end of a task to the start of the next, in the quiet before a kill: what the machine can do at this moment. */
function usualHops(entries: readonly Entry[]): number[] {
  const since = Date.now() - STEADY_MS;
  const lately = entries.slice(entries.findLastIndex(({ wallMs }) => wallMs < since) + 1);
  return lately.flatMap(({ kind, instance, place, wallMs }) => {
    if (kind !== 'E') return [];
    const next = lately.find((later) => later.kind === 'S' && later.instance === instance && later.place > place);
    return next === undefined ? [] : [next.wallMs - wallMs];
  });
}

/** Milliseconds until the next task of each chain that runs on a worker of the killed master, from its kill or from its task's end. */
async function killOne({ cluster, ledger }: FailoverCluster, chains: readonly string[]): Promise<number[]> {
  const victim = busiest(cluster.servers, cluster.workers);
  const served = cluster.workers.filter((worker) => (worker.servers.get(victim.name)?.open() ?? 0) > 0);
  const names = new Set(served.map(({ name }) => name));
  victim.process.expectEnd();
  const killedAt = Date.now();
  victim.process.signal('SIGKILL');
  await victim.process.exited();
  const before = lastStarts(await ledger(), killedAt);
  const open = chains.filter((id) => {
    const last = before.get(id);
    return last !== undefined && names.has(last.worker) && last.task !== `t${LENGTH}`;
  });
  const waits = await nextStarts(ledger, open, before, killedAt);
  await victim.process.start();
  return waits;
}

/** Workers stay where they are well served: the master that was killed last has none. */
function busiest(servers: readonly ServerNode[], workers: readonly WorkerNode[]): ServerNode {
  const load = ({ name }: ServerNode): number =>
    workers.reduce((sum, worker) => sum + (worker.servers.get(name)?.open() ?? 0), 0);
  const [first] = servers.toSorted((a, b) => load(b) - load(a));
  if (first === undefined) throw new Error('there is no master');
  return first;
}

function lastStarts(entries: readonly Entry[], until: number): Map<string, Entry> {
  return new Map(
    entries.filter(({ kind, wallMs }) => kind === 'S' && wallMs <= until).map((entry) => [entry.instance, entry]),
  );
}

async function nextStarts(
  ledger: () => Promise<readonly Entry[]>,
  chains: readonly string[],
  before: ReadonlyMap<string, Entry>,
  killedAt: number,
): Promise<number[]> {
  const since = Math.min(...chains.map((id) => before.get(id)?.place ?? 0));
  for (const giveUpAt = performance.now() + DEADLINE_MS; performance.now() < giveUpAt; await pause(100)) {
    const entries = (await ledger()).slice(since);
    const waits = chains.flatMap((id) => {
      const last = before.get(id);
      const own = entries.filter((entry) => entry.instance === id);
      const end = own.find(
        ({ kind, task, attempt }) => kind === 'E' && task === last?.task && attempt === last.attempt,
      );
      const next = own.find(({ kind, place }) => kind === 'S' && place > (last?.place ?? 0));
      return next === undefined ? [] : [next.wallMs - Math.max(killedAt, end?.wallMs ?? killedAt)];
    });
    if (waits.length === chains.length) return waits;
  }
  throw new Error(`a chain did not go on within ${DEADLINE_MS / 1000} s of a master's death`);
}
