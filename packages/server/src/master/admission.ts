import type { MasterContext } from './context.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

/** Slow fallback for a lost wake-up. */
const FALLBACK_POLL_MS = 1000;
/** Another transaction holds what was looked for, as a rule for less than this. */
const BUSY_MS = 10;
const RETRY_MS = 100;
/** Fewer are begun by this master alone: the others would only look in vain, or begin them where no worker waits. */
const ENOUGH_FOR_ALL = 20;

/**
 * Gives the free slots of limited workflows to instances in line. Woken by this master at once when a step of its own has freed one, by a signal
 * when an instance came.
 */
export function startAdmission(context: MasterContext): WakeableLoop {
  const { store, signals, wake, metrics, log, clock } = context;
  const round = async (): Promise<number> => {
    const { admitted, discarded, left } = await store.admission.admit();
    metrics.instancesAdmitted += admitted.length;
    metrics.instancesDiscarded += discarded.length;
    const told = admitted.length + discarded.length;
    if (told > ENOUGH_FOR_ALL) signals.send('command');
    else if (told > 0) wake.commands();
    return left === 'more' ? 0 : left === 'busy' ? BUSY_MS : FALLBACK_POLL_MS;
  };
  return startLoop(clock, round, (error) => {
    log.warn({ err: error }, 'free slots could not be given; trying again');
    return RETRY_MS;
  });
}
