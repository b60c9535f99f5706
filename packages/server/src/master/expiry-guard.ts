/** For how long there has been no doubt (milliseconds), and the database's time up to which that holds: it may jump at any moment after. */
export interface Certainty {
  readonly forMs: number;
  readonly asOfMs: number;
}

/**
 * Says for how long there has been no doubt about the database's clock. After it ran ahead of this process's monotonic one by more than a
 * second, or after a failover to another timeline, workers may hold leases that only look over; a new process has not seen anything yet.
 * In each case a lease may expire only after it has passed once more.
 */
export interface ExpiryGuard {
  /** Reads the database's clock. */
  certainty(read: () => Promise<{ readonly nowMs: number; readonly timeline: number }>): Promise<Certainty>;
}

const MOST_DRIFT_MS = 1000;

/** @param monotonicMs a clock that never jumps */
export function createExpiryGuard(monotonicMs: () => number): ExpiryGuard {
  let last: { readonly databaseMs: number; readonly before: number; readonly timeline: number } | undefined;
  let doubtAt = monotonicMs();
  return {
    certainty: async (read) => {
      const before = monotonicMs();
      const { nowMs, timeline } = await read();
      const after = monotonicMs();
      if (last !== undefined) {
        // The database was read at some moment between before and after: the longest time that may have passed here counts.
        const ahead = nowMs - last.databaseMs - (after - last.before);
        if (ahead > MOST_DRIFT_MS || timeline !== last.timeline) doubtAt = after;
      }
      last = { databaseMs: nowMs, before, timeline };
      return { forMs: after - doubtAt, asOfMs: nowMs };
    },
  };
}
