import type { Reason } from '@keelson/core';
import { FOLLOWUP_KINDS, outcomeOf } from '@keelson/store';
import type { StepOutcome } from '@keelson/store';
import type { MasterContext } from './context.ts';
import type { Handover } from './handover.ts';
import { stepAndFollow } from './outcome.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

const BATCH = 200;
/** Slow fallback for a lost wake-up. */
const FALLBACK_POLL_MS = 1000;
const RETRY_MS = 100;
/** Tries of a command before it is parked, those of them that the database may end, and how long a command rests between them. */
const MOST_TRIES = 5;
const MOST_EXCUSES = 100;
const REST_MS = (tries: number): number => Math.min(200 * 4 ** (tries - 1), 30_000);

/**
 * Claims commands and applies them. Losing a race is "nothing to do". What cannot be applied is found by going one by one, counted
 * (before each try, so that a try that kills the process counts too), put off, and parked in the end.
 */
export function startCommands(context: MasterContext, handover: Handover): WakeableLoop {
  // A command that brings a master down meets the next one here: what is due at the start is tried one by one, and counted.
  let careful = true;
  // What the database refused for its size or its time may pass in smaller pieces.
  let limit = BATCH;

  const batch = async (only?: string): Promise<StepOutcome> => {
    const input = { reports: [], demand: [], commandLimit: limit, ...(only === undefined ? {} : { only }) };
    for (;;) {
      const { outcome } = await stepAndFollow(context, handover, input);
      if (outcome.unknownVersions.length === 0) return outcome;
      await context.plans.load(outcome.unknownVersions);
    }
  };

  // The instance whose last try ended for a reason of the database's, and how often that happened to each: the try is taken back, but a
  // command that breaks its own connection each time is parked in the end, too.
  let owed: string | undefined;
  const excuses = new Map<string, number>();
  const oneByOne = async (): Promise<void> => {
    if (owed !== undefined) await context.store.engine.forgiveTry(owed);
    owed = undefined;
    for (const id of await context.store.engine.dueInstances(BATCH)) {
      try {
        await tryOne(context, id, () => batch(id));
      } catch (error) {
        const count = (excuses.get(id) ?? 0) + 1;
        excuses.set(id, count);
        if (count <= MOST_EXCUSES) owed = id;
        throw error;
      }
    }
    excuses.clear();
  };

  const round = async (): Promise<number> => {
    const wait = context.crowd.waitMs();
    if (wait > 0) return wait;
    if (careful) {
      await oneByOne();
      careful = false;
    }
    try {
      const outcome = await batch();
      limit = Math.min(BATCH, limit * 2);
      return outcome.moreCommands ? 0 : FALLBACK_POLL_MS;
    } catch (error) {
      if (outcomeOf(error) !== 'application') throw error;
      context.log.warn({ err: error }, 'a batch of commands could not be applied; going one by one');
      await oneByOne();
      return 0;
    }
  };

  return startLoop(context.clock, round, (error) => {
    // What breaks its own connection even alone has to be found.
    careful ||= limit === 1;
    limit = Math.max(1, Math.floor(limit / 2));
    context.metrics.stepRetries++;
    context.log.warn({ err: error, limit }, 'commands could not be claimed; trying again');
    return RETRY_MS;
  });
}

async function tryOne(context: MasterContext, instanceId: string, step: () => Promise<StepOutcome>): Promise<void> {
  const { store, log, metrics } = context;
  const counted = await store.engine.countTry([instanceId]);
  // Held by another transaction: not a try.
  if (counted.length === 0) return;
  const tries = Math.max(...counted.map((command) => command.tries));
  try {
    if (tries > MOST_TRIES) return await park(context, instanceId, tries, 'it brought the master down each time');
    await step();
  } catch (error) {
    if (outcomeOf(error) !== 'application') throw error;
    metrics.stepFailures++;
    const message = error instanceof Error ? error.message : String(error);
    log.error({ err: error, instance: instanceId, tries }, 'a command could not be applied');
    if (tries >= MOST_TRIES) return park(context, instanceId, tries, message);
    await store.engine.putOff(
      counted.map(({ id }) => id),
      REST_MS(tries),
      message,
    );
  }
}

async function park(context: MasterContext, instanceId: string, tries: number, message: string): Promise<void> {
  const reason: Reason = {
    code: 'command-parked',
    message: `a command could not be applied ${tries} times: ${message}`,
  };
  if (await context.store.engine.park(instanceId, reason)) {
    context.metrics.commandsParked++;
    context.log.error({ instance: instanceId, reason }, 'an instance was failed because its command cannot be applied');
    context.signals.send('alert');
    for (const kind of FOLLOWUP_KINDS) context.wake.followup(kind);
  }
}
