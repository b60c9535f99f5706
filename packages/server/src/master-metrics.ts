import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { INVARIANTS } from '@keelson/store';
import type { MasterMetrics } from './master/metrics.ts';

type ByRule = 'sweeperRedrives' | 'sweeperFindings';

const HELP: Readonly<
  Record<Exclude<keyof MasterMetrics, ByRule | 'callsRefused' | 'fires' | 'onFireLag'>, [name: string, help: string]>
> = {
  steps: ['keelson_steps_total', 'Decision transactions committed'],
  stepRetries: ['keelson_step_retries_total', 'Decision transactions that were run again'],
  stepFailures: ['keelson_step_failures_total', 'Decisions that could not be applied'],
  commandsParked: ['keelson_commands_parked_total', 'Instances failed because a command could not be applied'],
  instancesAdmitted: ['keelson_instances_admitted_total', 'Queued instances that were given a slot of their workflow'],
  instancesDiscarded: ['keelson_instances_discarded_total', 'Queued instances that a policy did not let wait'],
  backfillStarts: ['keelson_backfill_starts_total', 'Instances that backfills have made'],
  attemptsDispatched: ['keelson_attempts_dispatched_total', 'Attempts handed to workers'],
  attemptsEnded: ['keelson_attempts_ended_total', 'Attempts whose end was applied'],
  reportsSettled: ['keelson_reports_settled_total', 'Reports that were of no consequence: repeated, or overtaken'],
  reportsRefused: ['keelson_reports_refused_total', 'Reports under a token of another worker'],
  leasesExpired: ['keelson_leases_expired_total', 'Worker incarnations that lost their lease'],
};

const BY_RULE: Readonly<Record<ByRule, [name: string, help: string]>> = {
  sweeperRedrives: [
    'keelson_sweeper_redrives_total',
    'Broken invariants that the sweeper repaired, by rule; should stay 0',
  ],
  sweeperFindings: [
    'keelson_sweeper_findings_total',
    'Broken invariants that the sweeper cannot repair, by rule; should stay 0',
  ],
};

const FIRES = ['keelson_fires_total', 'Times of schedules that were decided about, by outcome'] as const;
const FIRE_LAG = [
  'keelson_fire_lag_seconds',
  'From the time that a schedule was due (with its jitter) to its instance being committed',
] as const;

const CALLS_REFUSED = ['keelson_worker_calls_refused_total', 'Calls of workers that were refused, by code'] as const;

/** Shows a master's counters in the metrics of its process. */
export function registerMasterMetrics(registry: Registry, metrics: MasterMetrics): void {
  for (const [key, [name, help]] of Object.entries(HELP) as [keyof typeof HELP, [string, string]][]) {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [],
      collect() {
        this.reset();
        this.inc(metrics[key]);
      },
    });
    registry.registerMetric(counter);
  }
  const [name, help] = CALLS_REFUSED;
  const refused = new Counter({
    name,
    help,
    labelNames: ['code'],
    registers: [],
    collect() {
      this.reset();
      for (const [code, count] of Object.entries(metrics.callsRefused)) this.inc({ code }, count);
    },
  });
  registry.registerMetric(refused);
  registerFires(registry, metrics);
  for (const [key, [name, help]] of Object.entries(BY_RULE) as [ByRule, [string, string]][]) {
    const counter = new Counter({
      name,
      help,
      labelNames: ['rule'],
      registers: [],
      collect() {
        this.reset();
        for (const rule of INVARIANTS) this.inc({ rule: rule.name }, metrics[key][rule.name] ?? 0);
      },
    });
    registry.registerMetric(counter);
  }
}

function registerFires(registry: Registry, metrics: MasterMetrics): void {
  const [name, help] = FIRES;
  const fires = new Counter({
    name,
    help,
    labelNames: ['outcome'],
    registers: [],
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(metrics.fires)) this.inc({ outcome }, count);
    },
  });
  registry.registerMetric(fires);
  const [lagName, lagHelp] = FIRE_LAG;
  const buckets = [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
  const lag = new Histogram({ name: lagName, help: lagHelp, buckets, registers: [registry] });
  metrics.onFireLag = (seconds) => lag.observe(seconds);
}
