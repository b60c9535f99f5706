import { execFileSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { VERSION } from '@keelson/server';
import type { Cost } from './counters.ts';
import type { Database } from './database.ts';
import type { Figure } from './figures.ts';

/** What a bench gives back. */
export interface Measured {
  readonly figures: Readonly<Record<string, Figure>>;
  /** What PostgreSQL counted, by phase; the phases include the warm-up where there is no other word. */
  readonly costs?: Readonly<Record<string, Cost>>;
  readonly workload: Readonly<Record<string, number | string>>;
  readonly complaints: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
}

export interface BenchResult extends Measured {
  readonly bench: string;
  readonly startedAt: string;
  readonly seconds: number;
  readonly versions: {
    readonly node: string;
    readonly keelson: string;
    readonly postgres: string;
    /** The commit, with `-dirty` when files differ from it; null outside a clone. */
    readonly commit: string | null;
  };
  readonly machine: {
    readonly cpus: number;
    readonly model: string;
    readonly memoryGiB: number;
    readonly platform: string;
    /** Runnable processes over the minute before the end, the bench's own included: above the CPUs, others took part. */
    readonly load: number;
  };
}

const SETTINGS = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_sync_method',
  'shared_buffers',
];

/** As the server has them. */
export async function readSettings(database: Database): Promise<Record<string, string>> {
  const rows = await database.rows('select name, current_setting(name) as value from unnest($1::text[]) as s(name)', [
    SETTINGS,
  ]);
  return Object.fromEntries(rows.map(({ name, value }) => [String(name), String(value)]));
}

export function resultOf(bench: string, startedAt: Date, measured: Measured): BenchResult {
  const { server_version: postgres = 'unknown', ...settings } = measured.settings;
  return {
    bench,
    startedAt: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt.getTime()) / 100) / 10,
    versions: { node: process.versions.node, keelson: VERSION, postgres, commit: commitOf() },
    machine: {
      cpus: cpus().length,
      model: cpus()[0]?.model.trim() ?? 'unknown',
      memoryGiB: Math.round(totalmem() / 1024 ** 3),
      platform: `${process.platform} ${process.arch}`,
      load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    },
    ...measured,
    settings,
  };
}

function commitOf(): string | null {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}

/** The short form, for people. */
export function tableOf({
  bench,
  seconds,
  versions,
  machine,
  settings,
  figures,
  costs = {},
  complaints,
}: BenchResult): string {
  const lines = [
    `${bench}: ${machine.cpus} × ${machine.model}, ${machine.memoryGiB} GiB; node ${versions.node}, PostgreSQL ${versions.postgres}, ` +
      `Keelson ${versions.keelson} (${versions.commit ?? 'no clone'}); fsync ${settings['fsync']}, synchronous_commit ${settings['synchronous_commit']}; load ${machine.load}; ${seconds} s`,
    row(['', 'median', 'min', 'max', 'p99', 'n', '', 'bar']),
    ...Object.entries(figures).map(([name, { median, min, max, p99, samples, unit, bar, met }]) =>
      row([
        name,
        median,
        min,
        max,
        p99 ?? '',
        samples,
        unit,
        bar === undefined
          ? ''
          : `${bar.of === undefined ? '' : `${bar.of} `}${bar.bound} ${bar.value} ${met === true ? 'met' : 'NOT MET'}`,
      ]),
    ),
    ...Object.entries(costs).map(
      ([name, cost]) =>
        `  ${name}: ${cost.commits} commits for ${cost.tasks} tasks; per task ${cost.commitsPerTask} commits, ` +
        `${cost.walBytesPerTask} WAL bytes, ${cost.rowWritesPerTask} row writes`,
    ),
    ...complaints.slice(0, 10).map((complaint) => `  ! ${complaint}`),
  ];
  return lines.join('\n');
}

function row([name, ...cells]: readonly (string | number)[]): string {
  return `  ${String(name).padEnd(44)}${cells.map((cell) => ` ${String(cell).padStart(9)}`).join('')}`.trimEnd();
}
