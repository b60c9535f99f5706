import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { namespaceObstacle } from '../../chaos/cluster/namespace.ts';
import { withFailoverCluster } from '../failover-cluster.ts';
import type { FailoverCluster } from '../failover-cluster.ts';
import { figure, neverMoreThan } from '../figures.ts';
import type { Figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import type { BenchOptions } from '../run.ts';

const TRIALS = 12;
const READERS = 10;
const BAR = neverMoreThan(4000);
const CHAINS = 16;
/** A stop at a moment without a lock is taken back, and tried again. */
const MOST_TRIES = 3000;
const HOLDER = fileURLToPath(new URL('../lock-holder.ts', import.meta.url));

/** Sessions of the master that stand in a transaction that has locked or written rows. */
const HOLDERS = `select pid, state, wait_event from pg_stat_activity
  where application_name like 'keelson%' and backend_xid is not null`;
const LOCKED = `select id::text as id from live_instance
  where id not in (select id from live_instance for update skip locked)`;

/** A master is stopped, or cut off, while it holds row locks: how long until another session gets them. */
export function failoverLocks(options: BenchOptions): Promise<Measured> {
  const trials = options.repetitions ?? TRIALS;
  const cuts = namespaceObstacle() === undefined;
  const plan = { masters: 1, apis: 1, processorWorkers: 2, slots: 8, namespaces: cuts, directDatabase: true };
  return withFailoverCluster(options, plan, async (failover) => {
    const { cluster } = failover;
    const [master] = cluster.servers;
    if (master === undefined) throw new Error('there is no master');
    await failover.publish(chain(cluster.ledger));
    const load = keepStarting(failover);
    const stopped = await trialsOf(trials, failover, {
      begin: () => void master.process.signal('SIGSTOP'),
      heal: () => void master.process.signal('SIGCONT'),
    });
    const { namespace } = master;
    const cut =
      namespace === undefined
        ? []
        : await trialsOf(trials, failover, { begin: () => namespace.cut(['in', 'out']), heal: () => namespace.heal() });
    await load.stop();
    const figures: Record<string, Figure> = {
      'locks of a master stopped by SIGSTOP': figure('ms', stopped, BAR),
      ...(cut.length > 0 && { 'locks of a master cut off from the database': figure('ms', cut, BAR) }),
      'locks of a process stopped in a large read': figure('ms', await largeReads(failover), BAR),
    };
    return {
      figures,
      workload: { trials, readers: READERS, chains: CHAINS },
      complaints: cuts ? [] : [`no cut was measured: ${namespaceObstacle()}`],
    };
  });
}

function chain(ledger: string) {
  const ids = Array.from({ length: 20 }, (_, index) => `t${index + 1}`);
  const task = (index: number): object => ({
    uses: 'processor',
    with: { processor: 'work', args: { ledger, ms: 0 } },
    onLost: { retry: 100 },
    ...(index > 0 && { needs: [ids[index - 1]] }),
  });
  return { name: 'chain', tasks: Object.fromEntries(ids.map((id, index) => [id, task(index)])) };
}

/** Through the server that stays: always some chains on their way. */
function keepStarting({ start }: FailoverCluster) {
  let over = false;
  const line = async (): Promise<void> => {
    while (!over) {
      await start('chain').catch(() => undefined);
      await pause(100);
    }
  };
  const lines = Array.from({ length: CHAINS }, line);
  return {
    stop: async () => {
      over = true;
      await Promise.all(lines);
    },
  };
}

interface Harm {
  begin(): void;
  heal(): void;
}

async function trialsOf(trials: number, { cluster }: FailoverCluster, harm: Harm): Promise<number[]> {
  const session = await cluster.postgres.session();
  await session.query(`set lock_timeout = '60s'`);
  const freed: number[] = [];
  for (let tries = 0; freed.length < trials && tries < MOST_TRIES; tries++) {
    await pause(Math.random() * 20);
    const began = performance.now();
    harm.begin();
    // What was on its way to the database arrives, and commits if it was a commit.
    await pause(30);
    const { rows: holders } = await session.query(HOLDERS);
    const locked = holders.length === 0 ? [] : (await session.query<{ id: string }>(LOCKED)).rows.map(({ id }) => id);
    if (locked.length > 0) {
      await session.query('select 1 from live_instance where id = any($1::bigint[]) for update', [locked]);
      freed.push(performance.now() - began);
    }
    harm.heal();
    // It finds its sessions gone, and its workers their way back.
    if (locked.length > 0) await pause(3000);
  }
  await session.end();
  if (freed.length < trials)
    throw new Error(`only ${freed.length} of ${MOST_TRIES} stops met a transaction with locks`);
  return freed;
}

/** All at once: each has a row and a connection of its own. */
async function largeReads({ cluster }: FailoverCluster): Promise<number[]> {
  const { postgres } = cluster;
  await postgres.rows('create table if not exists bench_row (id int primary key)');
  await postgres.rows('insert into bench_row select generate_series(1, $1) on conflict do nothing', [READERS]);
  return Promise.all(
    Array.from({ length: READERS }, async (_, index) => {
      const child = fork(HOLDER, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      try {
        return await freedAfter(child, postgres, index + 1);
      } finally {
        child.kill('SIGKILL');
      }
    }),
  );
}

async function freedAfter(
  child: ChildProcess,
  { url, session }: FailoverCluster['cluster']['postgres'],
  row: number,
): Promise<number> {
  child.send({ type: 'hold', databaseUrl: url, row });
  const [answer] = (await once(child, 'message')) as [{ type: string; message?: string }];
  if (answer.type !== 'held') throw new Error(answer.message);
  const began = performance.now();
  const other = await session();
  await other.query(`set lock_timeout = '60s'`);
  await other.query('select 1 from bench_row where id = $1 for update', [row]);
  const ms = performance.now() - began;
  await other.end();
  return ms;
}
