import type { Clock } from '@keelson/core';
import { systemClock } from '@keelson/core/system';
import type { Removed, Retention } from '@keelson/store';
import type { Logger } from 'pino';
import { startLoop } from './wakeable.ts';

/** A server that was just started has other things to do. */
const FIRST_MS = 60_000;
const EVERY_MS = 3_600_000;
/** Who finds that it is not time yet, or that another master is at it, looks again so soon. */
const LOOK_MS = 600_000;

export interface RetentionMetrics {
  runs: number;
  failures: number;
  /** By kind of what was removed. */
  readonly removed: Record<string, number>;
}

/** Removes what is past its time, once an hour, in one master of all. */
export function startRetention(dependencies: {
  readonly retention: Retention;
  readonly log: Logger;
  readonly clock?: Clock;
}): { readonly metrics: RetentionMetrics; stop(): Promise<void> } {
  const { retention, log, clock = systemClock } = dependencies;
  const metrics: RetentionMetrics = { runs: 0, failures: 0, removed: {} };
  let first = true;
  let stopping = false;
  const round = async (): Promise<number> => {
    if (first) {
      first = false;
      return FIRST_MS;
    }
    const outcome = await retention.run({ stopped: () => stopping, unlessWithinMs: EVERY_MS });
    if (outcome.kind !== 'done') return LOOK_MS;
    metrics.runs++;
    countRemoved(metrics, outcome.removed);
    if (Object.values(outcome.removed).some((count) => count > 0))
      log.info({ removed: outcome.removed, more: outcome.more }, 'retention removed what was past its time');
    return LOOK_MS;
  };
  const loop = startLoop(clock, round, (error) => {
    metrics.failures++;
    log.warn({ err: error }, 'retention failed; it goes on later');
    return LOOK_MS;
  });
  return {
    metrics,
    stop: async () => {
      stopping = true;
      await loop.stop();
    },
  };
}

function countRemoved(metrics: RetentionMetrics, removed: Removed): void {
  for (const [kind, count] of Object.entries(removed)) metrics.removed[kind] = (metrics.removed[kind] ?? 0) + count;
}
