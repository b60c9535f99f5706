import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isAlive } from '../../chaos/cluster/process.ts';
import type { WorkerNode } from '../../chaos/cluster/cluster.ts';
import type { Entry } from '../../chaos/ledger/entry.ts';
import { withFailoverCluster } from '../failover-cluster.ts';
import type { FailoverCluster } from '../failover-cluster.ts';
import { figure, neverMoreThan, p99AtMost } from '../figures.ts';
import type { Measured } from '../result.ts';
import type { BenchOptions } from '../run.ts';

const ROUNDS = 5;
const WORKERS = 8;
const KILLED = 4;
const TASKS = 32;
/** The default lease, and what the project allows beyond it. */
const BAR_MS = 10_000 + 2000;
const DEADLINE_MS = 60_000;
const SCRIPT = fileURLToPath(new URL('../../chaos/load/task.sh', import.meta.url));

/** kill -9 of workers with running tasks: how long until each is running again elsewhere, and whether it ever began too early. */
export function failoverWorker(options: BenchOptions): Promise<Measured> {
  const rounds = options.repetitions ?? ROUNDS;
  return withFailoverCluster(options, { masters: 3, shellWorkers: WORKERS, slots: 8 }, async (failover) => {
    await failover.publish(sleeper(failover.cluster.ledger));
    const again: number[] = [];
    const dying: number[] = [];
    let early = 0;
    for (let round = 0; round < rounds; round++) {
      const found = await oneRound(failover);
      again.push(...found.map(({ againMs }) => againMs));
      dying.push(...found.map(({ dyingMs }) => dyingMs));
      early += found.filter((each) => each.early).length;
    }
    return {
      figures: {
        'next attempt, its worker killed': figure('ms', again, p99AtMost(BAR_MS)),
        'the killed worker’s task goes on writing for': figure('ms', dying),
        'next attempts that began before the old one was dead': figure('attempts', [early], neverMoreThan(0)),
      },
      workload: { rounds, workers: WORKERS, killedPerRound: KILLED, tasks: TASKS, leaseMs: 10_000 },
      complaints: [],
    };
  });
}

function sleeper(ledger: string) {
  const run = 'if [ "$KEELSON_ATTEMPT" = 1 ]; then exec bash "$SCRIPT" 600.0 0; else exec bash "$SCRIPT" 0.0 0; fi';
  const onLost = { retry: 20 };
  return { name: 'sleeper', tasks: { sleep: { run, onLost, env: { SCRIPT, LEDGER: ledger } } } };
}

interface Found {
  readonly againMs: number;
  readonly dyingMs: number;
  readonly early: boolean;
}

async function oneRound({ cluster, client, start, ledger }: FailoverCluster): Promise<Found[]> {
  const ids = new Set(await Promise.all(Array.from({ length: TASKS }, () => start('sleeper'))));
  const own = async (): Promise<Entry[]> => (await ledger()).filter(({ instance }) => ids.has(instance));
  await waitUntil('every task to run', async () => started(await own(), 1).length === ids.size);
  const victims = cluster.workers.toSorted(() => Math.random() - 0.5).slice(0, KILLED);
  const killedAt = new Map<string, number>();
  // At different moments of their leases.
  await Promise.all(victims.map((victim) => killLater(victim, Math.random() * 5000, killedAt)));
  const lost = started(await own(), 1).filter(({ worker }) => killedAt.has(worker));
  await waitUntil('every lost task to run again', async () => {
    const again = new Set((await own()).filter(isAgain).map(({ instance }) => instance));
    return lost.every(({ instance }) => again.has(instance));
  });
  const entries = await own();
  const found = lost.map((first) => foundOf(first, entries, killedAt.get(first.worker) ?? 0));
  // The others have done their part.
  await Promise.all(
    [...ids].map((id) => client.until('POST', `instances/${id}/stop`, { body: {} }).catch(() => undefined)),
  );
  await Promise.all(victims.map(({ process }) => process.start()));
  return found;
}

async function killLater({ name, process }: WorkerNode, ms: number, killedAt: Map<string, number>): Promise<void> {
  await pause(ms);
  process.expectEnd();
  killedAt.set(name, Date.now());
  process.signal('SIGKILL');
  await process.exited();
}

function foundOf(first: Entry, entries: readonly Entry[], killedAt: number): Found {
  const own = entries.filter(({ instance }) => instance === first.instance);
  const last = own.findLast(({ attempt }) => attempt === 1) ?? first;
  const again = own.find(isAgain);
  if (again === undefined) throw new Error(`the ledger has no later attempt of ${first.instance}`);
  return {
    againMs: again.wallMs - killedAt,
    dyingMs: Math.max(0, last.wallMs - killedAt),
    early: last.place > again.place || isAlive(first.pid),
  };
}

const started = (entries: readonly Entry[], attempt: number): Entry[] =>
  entries.filter((entry) => entry.kind === 'S' && entry.attempt === attempt);

/** The second attempt may have been given to a worker that was about to be killed: then it is a later one that runs. */
const isAgain = ({ kind, attempt }: Entry): boolean => kind === 'S' && attempt > 1;

async function waitUntil(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const giveUpAt = performance.now() + DEADLINE_MS; performance.now() < giveUpAt; await pause(100))
    if (await look()) return;
  throw new Error(`waited ${DEADLINE_MS / 1000} s in vain for ${what}`);
}
