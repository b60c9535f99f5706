import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster } from '../cluster.ts';
import { atMost, figure } from '../figures.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';

const SCHEDULES = 1_000_000;
const SAMPLES = 5;
const SAMPLE_MS = 10_000;
/** Linux counts the time of a process in these. */
const TICKS_PER_SECOND = 100;

/** Schedules that wait for their time, and nothing else: what a master and PostgreSQL spend on them. */
export function firesIdle(options: BenchOptions): Promise<Measured> {
  const schedules = options.tasks ?? SCHEDULES;
  const samples = options.repetitions ?? SAMPLES;
  return withCluster({ ...options, workers: 0, slots: 1 }, async (cluster) => {
    const { database, rest } = cluster;
    const tasks = { t1: { uses: 'processor', with: { processor: 'noop' } } };
    await rest.publish({ name: 'yearly', tasks, triggers: [{ id: 'yearly', cron: '0 0 3 1 1 ?' }] });
    await pause(SAMPLE_MS);
    const without = await shares(cluster, samples);
    await database.rows(
      `insert into schedule (workflow_id, version_id, trigger_id, trigger, next_due, next_at)
       select s.workflow_id, s.version_id, 't' || n, s.trigger, at, at
         from schedule s, generate_series(1, $1::int) n, lateral (select now() + interval '1 day' + n * interval '30 seconds' as at) later`,
      [schedules],
    );
    await database.rows('vacuum analyze schedule');
    await database.rows('checkpoint');
    await pause(SAMPLE_MS);
    const withThem = await shares(cluster, samples);
    const median = (values: readonly number[]): number => figure('', values).median;
    return {
      figures: {
        'with the schedules, all of it': figure('% of a core', withThem),
        'without, all of it': figure('% of a core', without),
        'what the schedules cost': figure('% of a core', [Math.max(0, median(withThem) - median(without))], atMost(2)),
      },
      workload: { schedules, samples, sampleMs: SAMPLE_MS },
    };
  });
}

/** Shares of one core that the server and PostgreSQL took, in percent. */
async function shares({ database, servers }: Cluster, samples: number): Promise<number[]> {
  const postmaster = await database.number(
    `select substring(pg_read_file('postmaster.pid') from '^[0-9]+')::int as pid`,
  );
  const pid = servers[0]?.pid() ?? 0;
  const all: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const before = await ticks(pid, postmaster);
    const began = performance.now();
    await pause(SAMPLE_MS);
    const seconds = (await ticks(pid, postmaster)) - before;
    all.push((100 * seconds) / ((performance.now() - began) / 1000));
  }
  return all;
}

/** Seconds of a process, and of another with its children. */
async function ticks(server: number, postmaster: number): Promise<number> {
  let sum = 0;
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    if (Number(name) !== server && Number(name) !== postmaster && Number(fields[1]) !== postmaster) continue;
    sum += Number(fields[11]) + Number(fields[12]);
  }
  return sum / TICKS_PER_SECOND;
}
