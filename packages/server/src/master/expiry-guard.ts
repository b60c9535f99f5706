/**
 * Says whether leases may expire. After the database's clock ran ahead of this process's monotonic one by more than a second, or
 * after a failover to another timeline, workers may hold leases that only look over: a full lease has to pass first.
 */
export interface ExpiryGuard {
  mayExpire(clock: { readonly nowMs: number; readonly timeline: number }): boolean;
}

const MOST_DRIFT_MS = 1000;
/** The longest lease a worker group may have. */
const LONGEST_LEASE_MS = 600_000;
const DEFAULT_HOLD_MS = 10_000;

/** @param monotonicMs a clock that never jumps */
export function createExpiryGuard(
  monotonicMs: () => number = () => performance.now(),
  holdMs = DEFAULT_HOLD_MS,
): ExpiryGuard {
  let last: { readonly databaseMs: number; readonly monotonicMs: number; readonly timeline: number } | undefined;
  let holdUntil = 0;
  return {
    mayExpire: ({ nowMs, timeline }) => {
      const mono = monotonicMs();
      if (last !== undefined) {
        const ahead = nowMs - last.databaseMs - (mono - last.monotonicMs);
        if (ahead > MOST_DRIFT_MS || timeline !== last.timeline) holdUntil = mono + Math.min(holdMs, LONGEST_LEASE_MS);
      }
      last = { databaseMs: nowMs, monotonicMs: mono, timeline };
      return mono >= holdUntil;
    },
  };
}
