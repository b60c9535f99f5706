import type { MasterContext } from './context.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

const SWEEP_MS = 10_000;
/** Uploads that nobody finished are dropped after a day, and looked for as often. */
const UPLOAD_AGE_MS = 24 * 60 * 60 * 1000;

/** Looks for rows that nothing drives, drives them again, and says that it had to: its counter should stay 0. */
export function startSweeper(context: MasterContext): WakeableLoop {
  const { store, signals, sessions, metrics, log } = context;
  let first = true;
  let nextUploads = 0;
  const round = async (): Promise<number> => {
    if (first) {
      first = false;
      return SWEEP_MS;
    }
    sessions.prune();
    await store.starts.forgetOldKeys();
    if (context.clock.now() >= nextUploads) {
      await store.blobs.sweep(UPLOAD_AGE_MS);
      nextUploads = context.clock.now() + UPLOAD_AGE_MS;
    }
    const driven = await store.engine.redrive();
    if (driven.length > 0) {
      metrics.sweeperRedrives += driven.length;
      log.error({ instances: driven }, 'instances had no driver and were driven again');
      signals.send('command');
    }
    return SWEEP_MS;
  };
  return startLoop(context.clock, round, (error) => {
    log.warn({ err: error }, 'the sweep failed');
    return SWEEP_MS;
  });
}
