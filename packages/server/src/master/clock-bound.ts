/**
 * Keeps what a jump of the database's clock makes look due from firing: the time that may be believed runs on at the speed of this process's
 * monotonic clock. A clock that stays ahead is right after all, and is believed after a while.
 */
export interface ClockBound {
  /**
   * Notes a reading of the database's clock. Answers the latest time that is believed now.
   *
   * @param before when it was asked, by the monotonic clock
   */
  read(databaseMs: number, before: number): number;
}

const MOST_DRIFT_MS = 1000;
const BELIEVED_AFTER_MS = 10_000;

/** @param monotonicMs a clock that never jumps */
export function createClockBound(monotonicMs: () => number): ClockBound {
  let anchor: { readonly databaseMs: number; readonly at: number } | undefined;
  let doubtSince: number | undefined;
  return {
    read: (databaseMs, before) => {
      const now = monotonicMs();
      anchor ??= { databaseMs, at: now };
      // It was read at some moment between before and now: the longest time that may have passed counts.
      const ahead = databaseMs - (anchor.databaseMs + now - anchor.at);
      if (ahead <= MOST_DRIFT_MS) doubtSince = undefined;
      else doubtSince ??= before;
      if (doubtSince === undefined || now - doubtSince >= BELIEVED_AFTER_MS) {
        anchor = { databaseMs, at: now };
        doubtSince = undefined;
      }
      return anchor.databaseMs + (now - anchor.at) + MOST_DRIFT_MS;
    },
  };
}
