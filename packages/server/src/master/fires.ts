import type { FireRound } from '@keelson/store';
import { createClockBound } from './clock-bound.ts';
import type { MasterContext } from './context.ts';
import { createFireMind } from './fire-mind.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

/** Slow fallback for a lost wake-up. */
const FALLBACK_POLL_MS = 1000;
const RETRY_MS = 100;
/** Schedules of one transaction: another master takes the next ones meanwhile, and a killed one holds up no more than these. */
const BATCH = 500;
/** A crowd is thought about in the last seconds before it is due, in slices that hold nothing else up. */
const AHEAD = { fromMs: 4000, toMs: 500, crowdMs: 1000, most: 10_000, slice: 50 };
/** Something is due that cannot be taken: another master has it, or the clock is in doubt. */
const NOT_YET_MS = { first: 5, most: 250 };

/**
 * Makes instances by the clock. The index on the schedules' next times is the heap: this sleeps until the earliest of them, or until it is
 * woken because one was written or an instance has ended that a fixed delay waits for. Any number of masters share the work.
 */
export function startFires(context: MasterContext): WakeableLoop {
  const { clock, store, log } = context;
  const mind = createFireMind();
  const bound = createClockBound(() => clock.now());
  let resting = NOT_YET_MS.first;
  let preparedFor: number | undefined;

  const prepare = async (dueMs: number, givenMs: number): Promise<void> => {
    preparedFor = dueMs;
    mind.forget();
    const until = clock.now() + givenMs - AHEAD.toMs;
    const coming = await store.fires.ahead(dueMs + AHEAD.crowdMs, AHEAD.most);
    for (let from = 0; from < coming.length && clock.now() < until && !context.closing(); from += AHEAD.slice) {
      for (const schedule of coming.slice(from, from + AHEAD.slice)) mind.prepare(schedule);
      await new Promise<void>((resolve) => clock.soon(resolve));
    }
  };

  const round = async (): Promise<number> => {
    const before = clock.now();
    const { nowMs, dueMs = Infinity, ended } = await store.fires.nextLook();
    const asOfMs = bound.read(nowMs, before);
    const wait = ended ? 0 : Math.min(dueMs - nowMs, FALLBACK_POLL_MS);
    const untilDue = dueMs - nowMs;
    if (!ended && untilDue > AHEAD.toMs && untilDue <= AHEAD.fromMs && preparedFor !== dueMs) {
      // Not waited for: something nearer may be written meanwhile. What fails here is found out when its time has come.
      prepare(dueMs, untilDue).catch(() => undefined);
    }
    if (wait > 0) return Math.ceil(wait);
    if ((await fireAll(context, (limit) => store.fires.round(limit, asOfMs + clock.now() - before, mind))) > 0) {
      resting = NOT_YET_MS.first;
      return 0;
    }
    const rest = resting;
    resting = Math.min(2 * resting, NOT_YET_MS.most);
    return rest;
  };

  return startLoop(clock, round, (error) => {
    log.warn({ err: error }, 'what is to fire could not be read or written; trying again');
    return RETRY_MS;
  });
}

/** Rounds until nothing more is due. Answers how much was taken. */
async function fireAll(context: MasterContext, fire: (limit: number) => Promise<FireRound>): Promise<number> {
  const { crowd, signals, wake } = context;
  let taken = 0;
  let pending = false;
  const tell = (): void => {
    if (pending) signals.send('command');
    pending = false;
  };
  try {
    for (;;) {
      const round = await fire(BATCH);
      taken += round.taken;
      pending ||= round.commands;
      follow(context, round);
      if (!round.more || context.closing()) return taken;
      crowd.grows();
      if (crowd.waitMs() === 0) tell();
    }
  } catch (error) {
    // It may be committed all the same.
    pending = true;
    throw error;
  } finally {
    if (crowd.ends()) wake.commands();
    tell();
  }
}

function follow({ metrics, signals, wake, log }: MasterContext, round: FireRound): void {
  for (const [outcome, count] of Object.entries(round.fires) as [keyof FireRound['fires'], number][])
    metrics.fires[outcome] += count;
  for (const lagMs of round.lagsMs) metrics.onFireLag(lagMs / 1000);
  if (round.queued) wake.followup('admission');
  if (round.alerts) signals.send('alert');
  for (const { scheduleId, error } of round.failing)
    log.error({ schedule: scheduleId, error }, 'a schedule cannot be dealt with, and is tried again in a minute');
}
