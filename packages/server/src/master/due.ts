import type { MasterContext } from './context.ts';
import { createExpiryGuard } from './expiry-guard.ts';
import { noteReady } from './line.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

const FALLBACK_POLL_MS = 1000;
const RETRY_MS = 200;
const BATCH = 500;
const NOT_YET_MS = 250;

/** Everything that falls due: delays, timeouts, leases. Sleeps until the earliest of them, or until something nearer was written. */
export function startDue(context: MasterContext): WakeableLoop {
  const { store, signals, sessions, log, metrics } = context;
  const guard = createExpiryGuard(() => context.clock.now());

  const expire = async (): Promise<boolean> => {
    const { forMs, asOfMs } = await guard.certainty(() => store.timers.clock());
    const expired = await store.workers.expire(forMs, asOfMs);
    for (const { id, name, group } of expired) {
      metrics.leasesExpired++;
      sessions.remove(id);
      log.warn({ worker: name, group, incarnation: id }, 'a worker lost its lease; its attempts are lost');
    }
    if (expired.length > 0) signals.send('command');
    return expired.length > 0;
  };

  const round = async (): Promise<number> => {
    const released = await store.timers.releaseDelayed(BATCH);
    for (const group of released) {
      if (group === null) {
        signals.send('command');
        continue;
      }
      noteReady(context, group);
      signals.send('ready', group);
    }
    const struck = await store.timers.strikeTimeouts(BATCH);
    for (const { instanceId, action } of struck) signals.send(action === 'fail' ? 'kill' : 'alert', instanceId);
    const worked = (await expire()) || released.length > 0 || struck.length > 0;
    const next = await store.timers.nextDue();
    if (next === undefined) return FALLBACK_POLL_MS;
    // Due, and nothing could be done about it: a lease that is over but may not expire yet.
    if (next <= 0 && !worked) return NOT_YET_MS;
    return Math.min(FALLBACK_POLL_MS, next);
  };

  return startLoop(context.clock, round, (error) => {
    log.warn({ err: error }, 'what is due could not be read; trying again');
    return RETRY_MS;
  });
}
