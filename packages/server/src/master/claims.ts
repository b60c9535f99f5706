import type { MasterContext } from './context.ts';
import type { Handover } from './handover.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

/** Slow fallback for a lost wake-up. */
const FALLBACK_POLL_MS = 1000;
const RETRY_MS = 200;
const MOST_SLOTS = 500;

/** Tasks in line → free slots of the workers at this gateway; one claimer per master, taking batches. */
export function startClaims(context: MasterContext, handover: Handover): WakeableLoop {
  const { store, sessions, line, log } = context;

  const round = async (): Promise<number> => {
    let more = false;
    const offers = sessions.offerAll(undefined);
    for (const { workerGroup, capabilities, slots } of offers) {
      const tried = slots.slice(0, MOST_SLOTS);
      for (const { incarnationId } of slots.slice(MOST_SLOTS)) sessions.takeBack(incarnationId);
      const bound = await store.engine.claim({ workerGroup, capabilities, slots: tried }).catch((error: unknown) => {
        for (const { incarnationId } of tried) {
          sessions.takeBack(incarnationId);
          const session = sessions.get(incarnationId);
          if (session !== undefined) session.stale = true;
        }
        throw error;
      });
      const taken = new Set(bound.map(({ nonce }) => nonce));
      for (const { incarnationId, nonce } of tried) if (!taken.has(nonce)) sessions.takeBack(incarnationId);
      void handover.bound(bound);
      const full = bound.length === tried.length;
      more ||= full && slots.length > MOST_SLOTS;
      if (!full) for (const capability of capabilities) line.drained({ workerGroup, capability });
    }
    return more ? 0 : FALLBACK_POLL_MS;
  };

  return startLoop(round, (error) => {
    log.warn({ err: error }, 'tasks could not be claimed; trying again');
    return RETRY_MS;
  });
}
