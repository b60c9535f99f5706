import { ApiError } from '@keelson/protocol';
import type { Clock } from '@keelson/core';
import type { WorkerSession } from '../sessions.ts';

/**
 * What one worker may ask of a gateway at once, so that the others go on whatever it does. A worker of Keelson's own has one report, one
 * poll and one renewal under way and holds no more than its slots: it never gets near.
 */
export const BOUNDS = {
  callsPerSecond: 2000,
  /** Calls that it may make at once after a pause. */
  burst: 4000,
  /** Of bodies that are read into memory. */
  bytesUnderWay: 128 * 1024 * 1024,
  /** Of all workers. */
  allBytesUnderWay: 512 * 1024 * 1024,
  /** Ends under way beyond twice its slots. */
  spareEnds: 1000,
} as const;

export interface Bounds {
  /**
   * Counts a call, and the bytes of its body until the returned function is called.
   *
   * @throws {ApiError} `too-many-requests`
   */
  admit(session: WorkerSession, bytes: number): () => void;
  /**
   * Counts ends that are being settled until the returned function is called.
   *
   * @throws {ApiError} `too-many-requests`
   */
  admitEnds(session: WorkerSession, ends: number): () => void;
}

interface Use {
  calls: number;
  asOf: number;
  bytes: number;
  ends: number;
}

export function createBounds(clock: Clock): Bounds {
  const uses = new WeakMap<WorkerSession, Use>();
  let allBytes = 0;
  const useOf = (session: WorkerSession): Use => {
    let use = uses.get(session);
    if (use === undefined) uses.set(session, (use = { calls: 0, asOf: clock.now(), bytes: 0, ends: 0 }));
    return use;
  };
  return {
    admit: (session, bytes) => {
      const use = useOf(session);
      const now = clock.now();
      // A bucket that leaks: it never fills at the allowed rate.
      use.calls = Math.max(0, use.calls - ((now - use.asOf) / 1000) * BOUNDS.callsPerSecond);
      use.asOf = now;
      if (use.calls >= BOUNDS.burst) throw tooMuch(`more than ${BOUNDS.callsPerSecond} calls a second`);
      use.calls++;
      if (bytes > 0 && (use.bytes + bytes > BOUNDS.bytesUnderWay || allBytes + bytes > BOUNDS.allBytesUnderWay))
        throw tooMuch('too many bytes in bodies that are under way');
      use.bytes += bytes;
      allBytes += bytes;
      return once(() => {
        use.bytes -= bytes;
        allBytes -= bytes;
      });
    },
    admitEnds: (session, ends) => {
      const use = useOf(session);
      if (use.ends > 0 && use.ends + ends > 2 * session.incarnation.slots + BOUNDS.spareEnds)
        throw tooMuch('too many ends that are not settled yet');
      use.ends += ends;
      return once(() => {
        use.ends -= ends;
      });
    },
  };
}

const tooMuch = (what: string): ApiError => new ApiError('too-many-requests', `this worker has sent ${what}`);

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}
