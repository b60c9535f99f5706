import type { MasterContext } from './context.ts';
import type { Handover } from './handover.ts';
import { noteReady } from './line.ts';
import { MOST_CLAIMED } from './mind.ts';
import { breakPromises, keepPromises } from './outcome.ts';
import type { SlotOffers } from './sessions.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

/** How often it looks into the line without having been told that there is something: for a lost wake-up. */
const FALLBACK_POLL_MS = 1000;
const RETRY_MS = 200;

/**
 * Tasks in line → free slots of the workers at this gateway, when no step does it on its way: after a worker joined, a delay ended, or
 * another master left tasks in line.
 */
export function startClaims(context: MasterContext, handover: Handover): WakeableLoop {
  const { sessions, line, log } = context;
  let nextLook = 0;

  const round = async (): Promise<number> => {
    if (context.clock.now() >= nextLook) {
      noteReady(context);
      nextLook = context.clock.now() + FALLBACK_POLL_MS;
    }
    const asOf = line.now();
    const all = sessions.offerAll(line, MOST_CLAIMED);
    const results = await Promise.allSettled(all.map((offers) => claimFor(context, handover, offers, asOf)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return results.some((result) => result.status === 'fulfilled' && result.value) ? 0 : FALLBACK_POLL_MS;
  };

  return startLoop(context.clock, round, (error) => {
    log.warn({ err: error }, 'tasks could not be claimed; trying again');
    return RETRY_MS;
  });
}

/** Answers whether every slot got a task, so that more may be in line. */
async function claimFor(
  context: MasterContext,
  handover: Handover,
  offers: SlotOffers,
  asOf: number,
): Promise<boolean> {
  const { workerGroup, capabilities, slots } = offers;
  const { bound, liveSlots } = await context.store.engine.claim(offers).catch((error: unknown) => {
    breakPromises(context, slots);
    throw error;
  });
  keepPromises(context, slots, bound);
  void handover.bound(bound);
  if (bound.length === liveSlots) return liveSlots > 0;
  for (const capability of capabilities) context.line.drained({ workerGroup, capability }, asOf);
  return false;
}
