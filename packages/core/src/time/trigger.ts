import { DEFAULT_MISFIRE_THRESHOLD_MS } from '../definition/limits.ts';
import type { TriggerDefinition } from '../definition/model.ts';
import type { Calendar, Exclusion } from './calendar.ts';
import { cronRecurrence } from './cron.ts';
import { readCron } from './cron-fields.ts';
import { boundInstant, localInstant } from './local-time.ts';
import type { Recurrence } from './recurrence.ts';
import { dailyInterval, fixedRate, once } from './recurrence.ts';
import type { ZoneClock } from './zone-clock.ts';
import { DAY_MS, firstInstant, startOfWallDay, wallAt, zoneClock } from './zone-clock.ts';

/** A trigger with its expression parsed. Make it once and keep it: to make it costs more than to ask it. */
export interface CompiledTrigger {
  readonly definition: TriggerDefinition;
  readonly clock: ZoneClock;
  /** Without bounds and calendars; absent for a `fixedDelay`, which has no times of its own. */
  readonly recurrence?: Recurrence;
  /** Inclusive; -Infinity without a start. */
  readonly startMs: number;
  /** Inclusive; Infinity without an end. */
  readonly endMs: number;
  readonly thresholdMs: number;
  readonly jitterMs: number;
}

/** What the project adds to a trigger. */
export interface FireContext {
  /** By name. One that a trigger names and that is not here excludes nothing. */
  readonly calendars: ReadonlyMap<string, Calendar>;
}

/** A search for fires that finds only excluded days gives up after so long. */
export const HORIZON_MS = 100 * 366 * DAY_MS;

/** Prepares a trigger for many questions. Throws a RangeError for one that the checks of a definition would refuse. */
export function compileTrigger(definition: TriggerDefinition): CompiledTrigger {
  const clock = zoneClock(definition.timezone);
  const startMs = bound(definition.start, clock, 'start') ?? -Infinity;
  const endMs = bound(definition.end, clock, 'end') ?? Infinity;
  const recurrence = recurrenceOf(definition, clock, startMs);
  return {
    definition,
    clock,
    ...(recurrence !== undefined && { recurrence }),
    startMs,
    endMs,
    thresholdMs: definition.misfireThresholdMs ?? DEFAULT_MISFIRE_THRESHOLD_MS,
    jitterMs: definition.jitterMs ?? 0,
  };
}

function bound(text: string | undefined, clock: ZoneClock, side: 'start' | 'end'): number | undefined {
  if (text === undefined) return undefined;
  const at = boundInstant(text, clock, side);
  if (at === undefined) throw new RangeError(`the ${side} of a trigger is ${JSON.stringify(text)}, which is no time`);
  return at;
}

function recurrenceOf(trigger: TriggerDefinition, clock: ZoneClock, startMs: number): Recurrence | undefined {
  if (trigger.cron !== undefined) return cronRecurrence(readCron(trigger.cron), clock);
  if (trigger.fixedRateMs !== undefined) return fixedRate(trigger.fixedRateMs, Number.isFinite(startMs) ? startMs : 0);
  if (trigger.dailyInterval !== undefined) return dailyInterval(trigger.dailyInterval, clock);
  if (trigger.at === undefined) return undefined;
  const at = localInstant(trigger.at, clock);
  if (at === undefined) throw new RangeError(`a trigger is due at ${JSON.stringify(trigger.at)}, which is no time`);
  return once(at);
}

/**
 * When a trigger is due next, in milliseconds since 1970: later than `afterMs`, within its start and end, on a day that
 * none of its calendars excludes. Undefined when it is never due again.
 *
 * For a `fixedDelay`, `afterMs` is the moment from which the delay counts: the end of the last instance, or the moment at
 * which the schedule began or went on. Its first fire is at `start`, where that is still to come.
 *
 * Whether the trigger is enabled is not asked here.
 */
export function nextFire(
  trigger: CompiledTrigger,
  afterMs: number,
  context: FireContext,
): { readonly dueMs: number } | undefined {
  const dueMs = nextDue(trigger, afterMs, context);
  return dueMs === undefined ? undefined : { dueMs };
}

function nextDue(trigger: CompiledTrigger, afterMs: number, context: FireContext): number | undefined {
  const { clock, startMs, endMs } = trigger;
  const giveUpMs = Math.max(afterMs, startMs) + HORIZON_MS;
  for (let dueMs = firstDue(trigger, afterMs); dueMs !== undefined && dueMs <= endMs;) {
    const excluded = exclusionAt(trigger, dueMs, context);
    if (excluded === undefined) return dueMs;
    const free = firstInstant(clock, excluded.untilDayMs);
    if (free > giveUpMs) return undefined;
    // A midnight that comes twice must not lead back into the day before it.
    dueMs = dueFrom(trigger, Math.max(free, dueMs + 1));
  }
  return undefined;
}

function firstDue(trigger: CompiledTrigger, afterMs: number): number | undefined {
  const delayMs = trigger.definition.fixedDelayMs;
  if (delayMs === undefined) return dueFrom(trigger, Math.max(afterMs + 1, trigger.startMs));
  return afterMs < trigger.startMs ? trigger.startMs : afterMs + delayMs;
}

/** The first time at or after `fromMs`; a delay that is over is due at any time. */
function dueFrom({ recurrence }: CompiledTrigger, fromMs: number): number | undefined {
  return recurrence === undefined ? fromMs : recurrence.next(fromMs - 1);
}

/** Why the day of an instant has no fires. */
export function exclusionAt(trigger: CompiledTrigger, ms: number, context: FireContext): Exclusion | undefined {
  const names = trigger.definition.calendars;
  if (names === undefined) return undefined;
  const day = startOfWallDay(wallAt(trigger.clock, ms));
  for (const name of names) {
    const excluded = context.calendars.get(name)?.excludes(day);
    if (excluded !== undefined) return excluded;
  }
  return undefined;
}
