import type { Pace } from '@keelson/store';
import type { MasterContext } from './context.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

const SWEEP_MS = 10_000;
/** The dearer rules; at once after a cheap one has found something. */
const SLOW_MS = 60_000;
/** Uploads that nobody finished are dropped after a day, and looked for as often. */
const UPLOAD_AGE_MS = 24 * 60 * 60 * 1000;

/**
 * Keeps the doctor's rules all the time: looks, mends what can be mended safely, and says that it had to. Its counters should stay 0. Masters take
 * turns: who finds another one at it leaves it to that one.
 */
export function startSweeper(context: MasterContext): WakeableLoop {
  const { store, sessions } = context;
  const told = new Set<string>();
  let first = true;
  let nextUploads = 0;
  let nextSlow = 0;
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
    const found = await sweep(context, 'fast', told);
    if (found || context.clock.now() >= nextSlow) {
      nextSlow = context.clock.now() + SLOW_MS;
      await sweep(context, 'slow', told);
    }
    return SWEEP_MS;
  };
  return startLoop(context.clock, round, (error) => {
    context.log.warn({ err: error }, 'the sweep failed');
    return SWEEP_MS;
  });
}

/** What is told once is not told again for as long as this master lives, unless there is too much of it to remember. */
const MOST_TOLD = 10_000;

/** Answers whether something was found. */
async function sweep({ store, signals, metrics, log }: MasterContext, pace: Pace, told: Set<string>): Promise<boolean> {
  const swept = await store.engine.sweep(pace);
  if (swept === undefined) return false;
  for (const { rule, instanceId, message } of swept.repairs) {
    metrics.sweeperRedrives[rule] = (metrics.sweeperRedrives[rule] ?? 0) + 1;
    log.error({ rule, instance: instanceId, did: message }, 'the sweeper found a broken invariant and repaired it');
  }
  for (const { rule, instanceId, message, byHand } of swept.left) {
    const finding = JSON.stringify([rule, instanceId, message]);
    if (told.has(finding)) continue;
    if (told.size >= MOST_TOLD) told.clear();
    told.add(finding);
    metrics.sweeperFindings[rule] = (metrics.sweeperFindings[rule] ?? 0) + 1;
    log.error(
      { rule, instance: instanceId, found: message, byHand },
      'the sweeper found a broken invariant that it cannot repair',
    );
  }
  if (swept.repairs.length > 0) signals.send('command');
  return swept.repairs.length + swept.left.length > 0;
}
