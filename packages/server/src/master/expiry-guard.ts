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

interface Reading {
  readonly databaseMs: number;
  /** When its answer came, by the monotonic clock. */
  readonly after: number;
  readonly timeline: number;
}

/** @param monotonicMs a clock that never jumps */
export function createExpiryGuard(monotonicMs: () => number): ExpiryGuard {
  let last: Reading | undefined;
  let doubtAt = monotonicMs();
  return {
    certainty: async (read) => {
      const before = monotonicMs();
      const { nowMs, timeline } = await read();
      const reading = { databaseMs: nowMs, after: monotonicMs(), timeline };
      if (last === undefined || timeline !== last.timeline || isAhead(last, before, nowMs)) doubtAt = reading.after;
      last = reading;
      return { forMs: reading.after - doubtAt, asOfMs: nowMs };
    },
  };
}

/** The database was read at some moment of each call: the shortest time that may have passed here counts, or a slow call would hide a jump. */
function isAhead(last: Reading, before: number, nowMs: number): boolean {
  return nowMs - last.databaseMs - (before - last.after) > MOST_DRIFT_MS;
}
