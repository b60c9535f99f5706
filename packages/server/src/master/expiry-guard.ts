/**
 * Says for how long there has been no doubt about the database's clock. After it ran ahead of this process's monotonic one by more than a
 * second, or after a failover to another timeline, workers may hold leases that only look over; a new process has not seen anything yet.
 * In each case a lease may expire only after it has passed once more.
 */
export interface ExpiryGuard {
  /** Milliseconds since the last doubt. */
  certainForMs(clock: { readonly nowMs: number; readonly timeline: number }): number;
}

const MOST_DRIFT_MS = 1000;

/** @param monotonicMs a clock that never jumps */
export function createExpiryGuard(monotonicMs: () => number = () => performance.now()): ExpiryGuard {
  let last: { readonly databaseMs: number; readonly monotonicMs: number; readonly timeline: number } | undefined;
  let doubtAt = monotonicMs();
  return {
    certainForMs: ({ nowMs, timeline }) => {
      const now = monotonicMs();
      if (last !== undefined) {
        const ahead = nowMs - last.databaseMs - (now - last.monotonicMs);
        if (ahead > MOST_DRIFT_MS || timeline !== last.timeline) doubtAt = now;
      }
      last = { databaseMs: nowMs, monotonicMs: now, timeline };
      return now - doubtAt;
    },
  };
}
