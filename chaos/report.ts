import { execFileSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import type { Tally } from './check/check.ts';
import type { Violation } from './check/evidence.ts';
import type { Recovery } from './check/recovery.ts';
import type { Injection } from './injection.ts';
import type { ChaosOptions } from './options.ts';
import type { UnaskedEnd } from './supervisor.ts';

export interface Happened {
  readonly options: ChaosOptions;
  readonly startedAt: number;
  readonly endedAt: number;
  /** Undefined: not everything ended in time. */
  readonly settledMs: number | undefined;
  readonly injections: readonly Injection[];
  readonly chosen: readonly string[];
  readonly unavailable: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
  readonly counters: Readonly<Record<string, number>>;
  readonly unaskedEnds: readonly UnaskedEnd[];
  readonly tally: Tally;
  readonly violations: readonly Violation[];
  readonly recoveries: ReadonlyMap<string, Recovery>;
}

export type Verdict = 'passed' | 'violated' | 'invalid';

export interface NemesisReport {
  readonly injected: number;
  readonly bit: number;
  readonly recovery: Recovery | undefined;
}

export interface Report {
  readonly verdict: Verdict;
  /** What makes it invalid. */
  readonly doubts: readonly string[];
  readonly violations: readonly Violation[];
  readonly violationCounts: Readonly<Record<string, number>>;
  readonly rerun: string;
  readonly commit: string | null;
  readonly startedAt: string;
  readonly seconds: number;
  readonly settledMs: number | null;
  readonly machine: { readonly cpus: number; readonly load: number };
  readonly tally: Tally;
  readonly nemeses: Readonly<Record<string, NemesisReport>>;
  readonly unavailable: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
  readonly staleWritesRejected: { readonly refused: number; readonly settled: number };
  readonly counters: Readonly<Record<string, number>>;
  readonly unaskedEnds: readonly UnaskedEnd[];
  readonly injections: readonly Injection[];
}

/** Of what was asked for: at least so much was acknowledged. A master that is away half of the time is no reason for less. */
const LEAST_ACKNOWLEDGED = 0.5;
const LEAST_TASKS_PER_MINUTE = 60;

export function reportOf(happened: Happened): Report {
  const { options, startedAt, endedAt, injections, tally, counters, recoveries } = happened;
  const violations = [...happened.violations, ...redrives(counters)];
  const doubts = doubtsOf(happened);
  const groups = Map.groupBy(injections, ({ group }) => group);
  return {
    verdict: violations.length > 0 ? 'violated' : doubts.length > 0 ? 'invalid' : 'passed',
    doubts,
    violations,
    violationCounts: countBy(violations.map(({ rule }) => rule)),
    rerun: rerunOf(options),
    commit: commitOf(),
    startedAt: new Date(startedAt).toISOString(),
    seconds: Math.round((endedAt - startedAt) / 1000),
    settledMs: happened.settledMs ?? null,
    machine: { cpus: cpus().length, load: Math.round((loadavg()[0] ?? 0) * 10) / 10 },
    tally,
    nemeses: Object.fromEntries(
      [...groups].map(([group, list]) => [
        group,
        { injected: list.length, bit: list.filter(({ bit }) => bit).length, recovery: recoveries.get(group) },
      ]),
    ),
    unavailable: happened.unavailable,
    missing: happened.missing,
    staleWritesRejected: {
      refused: counters['keelson_reports_refused_total'] ?? 0,
      settled: counters['keelson_reports_settled_total'] ?? 0,
    },
    counters,
    unaskedEnds: happened.unaskedEnds,
    injections,
  };
}

/** The sweeper found rows that nothing drove: it had to mend what may not happen. */
function redrives(counters: Readonly<Record<string, number>>): Violation[] {
  const count = counters['keelson_sweeper_redrives_total'] ?? 0;
  return count === 0 ? [] : [{ rule: 'sweeper', detail: `${count} rows had no driver and were driven again` }];
}

function doubtsOf({ options, tally, injections, chosen, startedAt, endedAt }: Happened): string[] {
  const doubts: string[] = [];
  const minutes = (endedAt - startedAt) / 60_000;
  const share = tally.asked === 0 ? 0 : tally.acknowledged / tally.asked;
  if (share < LEAST_ACKNOWLEDGED) doubts.push(`only ${tally.acknowledged} of ${tally.asked} starts were acknowledged`);
  if (tally.tasks < LEAST_TASKS_PER_MINUTE * minutes)
    doubts.push(`only ${tally.tasks} tasks succeeded in ${minutes.toFixed(1)} minutes`);
  if (injections.length === 0) doubts.push('no fault was put on the cluster');
  for (const [nemesis, list] of Map.groupBy(injections, (injection) => injection.nemesis)) {
    if (!list.some(({ bit }) => bit)) doubts.push(`${nemesis} never bit: ${list.at(-1)?.proof}`);
  }
  const asked = options.nemeses ?? [];
  const drawn = new Set(injections.flatMap(({ nemesis, group }) => [nemesis, group]));
  for (const name of chosen) {
    if (asked.includes(name) && !drawn.has(name))
      doubts.push(`${name} was asked for and never drawn: give it more minutes`);
  }
  return doubts;
}

function countBy(names: readonly string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, list]) => [name, list.length]));
}

function rerunOf({ minutes, seed, nemeses, rate, workflows, plant }: ChaosOptions): string {
  const only = nemeses === undefined ? '' : ` --nemesis ${nemeses.join(',')}`;
  const load = workflows === undefined ? '' : ` --workflows ${workflows.join(',')}`;
  const planted = plant === undefined ? '' : ` --plant ${plant}`;
  return `npm run chaos -- --minutes ${minutes} --seed ${seed} --rate ${rate}${only}${load}${planted}`;
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

const SHOWN = 20;
const DETAIL_CHARACTERS = 400;

function clipped(text: string): string {
  return text.length <= DETAIL_CHARACTERS ? text : `${text.slice(0, DETAIL_CHARACTERS)} …`;
}

/** For people. */
export function textOf(report: Report): string {
  const { tally, nemeses, staleWritesRejected } = report;
  const seconds = (ms: number | undefined): string => (ms === undefined ? '' : (ms / 1000).toFixed(1)).padStart(8);
  return [
    `chaos: ${report.verdict.toUpperCase()} after ${report.seconds} s (${report.commit ?? 'no clone'}); again: ${report.rerun}`,
    ...report.doubts.map((doubt) => `  invalid: ${doubt}`),
    ...report.violations.slice(0, SHOWN).map(({ rule, detail }) => `  violated: ${rule}: ${clipped(detail)}`),
    ...(report.violations.length > SHOWN ? [`  and ${report.violations.length - SHOWN} violations more`] : []),
    `  starts: ${tally.asked} asked, ${tally.acknowledged} acknowledged; ${tally.instances} instances, ${tally.succeeded} succeeded`,
    `  tasks: ${tally.tasks} succeeded, ${tally.runs} runs, ${tally.complete} of them complete: ${tally.effectiveRunsPerTask} per task, at most ${tally.mostRunsOfOneTask} of one; ${tally.lostAttempts} attempts lost`,
    `  failures that no script wanted: ${JSON.stringify(tally.unplannedFailures)}`,
    `  after the last heal everything ended within ${report.settledMs === null ? '— it did not' : `${(report.settledMs / 1000).toFixed(1)} s`}`,
    `  stale reports: ${staleWritesRejected.refused} refused, ${staleWritesRejected.settled} of no consequence`,
    `  processes that ended unasked: ${report.unaskedEnds.map(({ name, exit }) => `${name} (${exit.signal ?? exit.code})`).join(', ') || 'none'}`,
    `  ${'seconds'.padEnd(24)}${['faults', 'bit', 'wait p50', 'p99', 'max', 'next p50', 'max'].map((head) => head.padStart(8)).join('')}`,
    ...Object.entries(nemeses).map(
      ([name, { injected, bit, recovery }]) =>
        `  ${name.padEnd(24)}${String(injected).padStart(8)}${String(bit).padStart(8)}` +
        `${seconds(recovery?.worstWait.p50)}${seconds(recovery?.worstWait.p99)}${seconds(recovery?.worstWait.max)}` +
        `${seconds(recovery?.nextStart.p50)}${seconds(recovery?.nextStart.max)}`,
    ),
    ...Object.entries(report.unavailable).map(([name, why]) => `  not available: ${name}: ${why}`),
    ...report.missing.map((what) => `  not part of the load: ${what}`),
  ].join('\n');
}
