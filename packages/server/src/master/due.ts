import type { MasterContext } from './context.ts';
import { createExpiryGuard } from './expiry-guard.ts';
import { noteReady } from './line.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

const FALLBACK_POLL_MS = 1000;
const RETRY_MS = 200;
const BATCH = 500;
/** A lease that is over but may not expire yet is due all the time: do not spin on it. */
const SHORTEST_SLEEP_MS = 5;

/** Everything that falls due: delays, timeouts, leases. Sleeps until the earliest of them, or until something nearer was written. */
export function startDue(context: MasterContext): WakeableLoop {
  const { store, signals, sessions, log, metrics } = context;
  const guard = createExpiryGuard();

  const expire = async (): Promise<void> => {
    const expired = await store.workers.expire(guard.certainForMs(await store.timers.clock()));
    for (const { id, name, group } of expired) {
      metrics.leasesExpired++;
      sessions.remove(id);
      log.warn({ worker: name, group, incarnation: id }, 'a worker lost its lease; its attempts are lost');
    }
    if (expired.length > 0) signals.send('command');
  };

  const round = async (): Promise<number> => {
    for (const group of await store.timers.releaseDelayed(BATCH)) {
      noteReady(context, group);
      signals.send('ready', group);
    }
    for (const { instanceId, action } of await store.timers.strikeTimeouts(BATCH))
      signals.send(action === 'fail' ? 'kill' : 'alert', instanceId);
    await expire();
    const next = await store.timers.nextDue();
    return next === undefined ? FALLBACK_POLL_MS : Math.min(FALLBACK_POLL_MS, Math.max(next, SHORTEST_SLEEP_MS));
  };

  return startLoop(round, (error) => {
    log.warn({ err: error }, 'what is due could not be read; trying again');
    return RETRY_MS;
  });
}
