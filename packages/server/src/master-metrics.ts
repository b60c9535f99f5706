import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { MasterMetrics } from './master/metrics.ts';

const HELP: Readonly<Record<keyof MasterMetrics, [name: string, help: string]>> = {
  steps: ['keelson_steps_total', 'Decision transactions committed'],
  stepRetries: ['keelson_step_retries_total', 'Decision transactions that were run again'],
  stepFailures: ['keelson_step_failures_total', 'Decisions that could not be applied'],
  commandsParked: ['keelson_commands_parked_total', 'Instances failed because a command could not be applied'],
  attemptsDispatched: ['keelson_attempts_dispatched_total', 'Attempts handed to workers'],
  attemptsEnded: ['keelson_attempts_ended_total', 'Attempts whose end was applied'],
  reportsSettled: ['keelson_reports_settled_total', 'Reports that were of no consequence: repeated, or overtaken'],
  reportsRefused: ['keelson_reports_refused_total', 'Reports under a token of another worker'],
  leasesExpired: ['keelson_leases_expired_total', 'Worker incarnations that lost their lease'],
  sweeperRedrives: ['keelson_sweeper_redrives_total', 'Rows without a driver that were driven again; should stay 0'],
};

/** Shows a master's counters in the metrics of its process. */
export function registerMasterMetrics(registry: Registry, metrics: MasterMetrics): void {
  for (const [key, [name, help]] of Object.entries(HELP) as [keyof MasterMetrics, [string, string]][]) {
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
}
