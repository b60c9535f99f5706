import type { MasterContext } from './context.ts';
import type { Handover } from './handover.ts';
import { MOST_CLAIMED } from './mind.ts';
import { breakPromises, keepPromises } from './outcome.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

/** Slow fallback for a lost wake-up. */
const FALLBACK_POLL_MS = 1000;
const RETRY_MS = 200;

/**
 * Tasks in line → free slots of the workers at this gateway, when no step does it on its way: after a worker joined, a delay ended, or
 * another master left tasks in line.
 */
export function startClaims(context: MasterContext, handover: Handover): WakeableLoop {
  const { store, sessions, line, log } = context;

  const round = async (): Promise<number> => {
    let more = false;
    for (const offers of sessions.offerAll(line, MOST_CLAIMED)) {
      const { workerGroup, capabilities, slots } = offers;
      const bound = await store.engine.claim(offers).catch((error: unknown) => {
        breakPromises(context, slots);
        throw error;
      });
      keepPromises(context, slots, bound);
      void handover.bound(bound);
      if (bound.length === slots.length) more = true;
      else for (const capability of capabilities) line.drained({ workerGroup, capability });
    }
    return more ? 0 : FALLBACK_POLL_MS;
  };

  return startLoop(round, (error) => {
    log.warn({ err: error }, 'tasks could not be claimed; trying again');
    return RETRY_MS;
  });
}
