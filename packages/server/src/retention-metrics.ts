import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { RetentionMetrics } from './master/retention.ts';

/** Shows what retention did in this process. */
export function registerRetentionMetrics(registry: Registry, metrics: RetentionMetrics): void {
  const shown = (name: string, help: string, read: () => number): void => {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
    registry.registerMetric(counter);
  };
  shown('keelson_retention_runs_total', 'Runs of the retention in this server', () => metrics.runs);
  shown('keelson_retention_failures_total', 'Runs of the retention that failed', () => metrics.failures);
  const removed = new Counter({
    name: 'keelson_retention_removed_total',
    help: 'What retention removed, by kind: rows, whole partitions, bytes of blobs',
    labelNames: ['kind'],
    registers: [],
    collect() {
      this.reset();
      for (const [kind, count] of Object.entries(metrics.removed)) this.inc({ kind }, count);
    },
  });
  registry.registerMetric(removed);
}
