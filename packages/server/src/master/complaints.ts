import type { Clock } from '@keelson/core';
import type { Logger } from 'pino';

/** Says what some caller does wrong, once; then once a minute how often it has gone on. */
export interface Complaints {
  /**
   * @param who the caller, as far as it is known
   * @param code what is wrong; the first of its kind is said at once
   */
  complain(who: string, code: string, message: string, fields?: object): void;
}

const AGAIN_AFTER_MS = 60_000;
/** Callers without a credential can have any name: of so many kinds of complaint the oldest is forgotten. */
const MOST_KINDS = 1000;

interface Kind {
  saidAt: number;
  unsaid: number;
}

export function createComplaints(log: Logger, clock: Clock): Complaints {
  const kinds = new Map<string, Kind>();
  return {
    complain: (who, code, message, fields = {}) => {
      const key = `${code}\n${who}`;
      const known = kinds.get(key);
      const now = clock.now();
      if (known !== undefined && now - known.saidAt < AGAIN_AFTER_MS) {
        known.unsaid++;
        return;
      }
      log.warn({ ...fields, who, code, ...(known === undefined ? {} : { times: known.unsaid + 1 }) }, message);
      kinds.delete(key);
      kinds.set(key, { saidAt: now, unsaid: 0 });
      if (kinds.size <= MOST_KINDS) return;
      for (const oldest of kinds.keys()) {
        kinds.delete(oldest);
        return;
      }
    },
  };
}
