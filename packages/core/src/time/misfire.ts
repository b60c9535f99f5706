import type { Reason } from '../engine/reason.ts';
import { formatDuration } from './duration.ts';
import { jitterOf } from './jitter.ts';
import type { CompiledTrigger, FireContext } from './trigger.ts';
import { nextFire } from './trigger.ts';

/** A schedule of which a time has come. */
export interface DueTrigger {
  readonly trigger: CompiledTrigger;
  readonly context: FireContext;
  /** The same for one schedule for ever: the jitter hangs on it. */
  readonly scheduleKey: string;
  /** The first time that nothing was decided about. */
  readonly dueMs: number;
}

/** `fired`: an instance starts for this time. `misfired`: it was missed, and the rule is not to make up for it. */
export interface PlannedTime {
  readonly dueMs: number;
  readonly outcome: 'fired' | 'misfired';
  /** Codes: `fired-late` (made up for; the message says what was missed with it), `missed`. */
  readonly reason?: Reason;
}

export interface NextTime {
  readonly dueMs: number;
  /** With the jitter. */
  readonly atMs: number;
}

export interface FirePlan {
  /** In the order of their times. */
  readonly fires: readonly PlannedTime[];
  /** What follows; absent when the trigger is never due again, and for a fixed delay, whose next time nobody knows yet. */
  readonly next?: NextTime;
}

/** Missed times are counted one by one up to here; beyond it the reason says "more than". */
const MAX_COUNTED = 1_000;

/** What is due after a moment, and when it starts. For a fixed delay see `nextFire`. */
export function nextTime(
  trigger: CompiledTrigger,
  afterMs: number,
  scheduleKey: string,
  context: FireContext,
): NextTime | undefined {
  const next = nextFire(trigger, afterMs, context);
  return next && timeAt(trigger, next.dueMs, scheduleKey);
}

function timeAt(trigger: CompiledTrigger, dueMs: number, scheduleKey: string): NextTime {
  return { dueMs, atMs: dueMs + jitterOf(trigger.jitterMs, scheduleKey, dueMs) };
}

/**
 * Decides about all times that have come by `nowMs`, at most `most` of them at once: `next` then has come already, and the
 * caller asks again. A time is missed when it (with its jitter) is more than the threshold ago. What is not missed fires.
 *
 * fire-once: as soon as one is missed, only the latest time fires, and its reason says how many it stands for.
 * fire-all: all fire, the earliest first. skip: the missed ones do not fire; the latest of them says how many they were.
 */
export function planFires(due: DueTrigger, nowMs: number, most: number): FirePlan {
  const { trigger, scheduleKey, dueMs } = due;
  const first = timeAt(trigger, dueMs, scheduleKey);
  if (first.atMs > nowMs) return { fires: [], next: first };
  if (trigger.definition.fixedDelayMs !== undefined) return { fires: [firedAt(first, trigger, nowMs)] };
  if (!isMissed(first, trigger, nowMs) || trigger.definition.misfire === 'fire-all')
    return fireInTurn(due, first, nowMs, most);
  return trigger.definition.misfire === 'fire-once'
    ? fireLatest(due, first, nowMs)
    : skipMissed(due, first, nowMs, most);
}

function isMissed({ atMs }: NextTime, { thresholdMs }: CompiledTrigger, nowMs: number): boolean {
  return nowMs - atMs > thresholdMs;
}

function firedAt(time: NextTime, trigger: CompiledTrigger, nowMs: number): PlannedTime {
  const { dueMs } = time;
  if (!isMissed(time, trigger, nowMs)) return { dueMs, outcome: 'fired' };
  return {
    dueMs,
    outcome: 'fired',
    reason: { code: 'fired-late', message: `it was due ${ago(nowMs - dueMs)} before it could fire` },
  };
}

function fireInTurn(due: DueTrigger, first: NextTime, nowMs: number, most: number): FirePlan {
  const fires: PlannedTime[] = [];
  let time: NextTime | undefined = first;
  while (time !== undefined && time.atMs <= nowMs && fires.length < most) {
    fires.push(firedAt(time, due.trigger, nowMs));
    time = nextTime(due.trigger, time.dueMs, due.scheduleKey, due.context);
  }
  return { fires, ...(time !== undefined && { next: time }) };
}

function fireLatest(due: DueTrigger, first: NextTime, nowMs: number): FirePlan {
  const { count, latest, next } = stretch(due, first, (time) => time.atMs <= nowMs, nowMs - due.trigger.jitterMs);
  const only = firedAt(latest, due.trigger, nowMs);
  const summed = `stands for ${counted(count)} times from ${timeText(first.dueMs)} on that could not fire when they were due`;
  const fire: PlannedTime = count === 1 ? only : { ...only, reason: { code: 'fired-late', message: summed } };
  return { fires: [fire], ...(next !== undefined && { next }) };
}

function skipMissed(due: DueTrigger, first: NextTime, nowMs: number, most: number): FirePlan {
  const { jitterMs, thresholdMs } = due.trigger;
  const missed = (time: NextTime): boolean => isMissed(time, due.trigger, nowMs);
  const { count, latest, next } = stretch(due, first, missed, nowMs - thresholdMs - jitterMs);
  const message =
    count === 1
      ? `it could not fire when it was due, ${ago(nowMs - latest.dueMs)} ago`
      : `${counted(count)} times from ${timeText(first.dueMs)} on could not fire when they were due`;
  const skipped: PlannedTime = { dueMs: latest.dueMs, outcome: 'misfired', reason: { code: 'missed', message } };
  if (next === undefined || next.atMs > nowMs) return { fires: [skipped], ...(next !== undefined && { next }) };
  const rest = fireInTurn(due, next, nowMs, most - 1);
  return { ...rest, fires: [skipped, ...rest.fires] };
}

interface Stretch {
  /** Counted up to one more than `MAX_COUNTED`. */
  readonly count: number;
  readonly latest: NextTime;
  readonly next?: NextTime;
}

/**
 * From `first` on, the times for which `holds` is true without a break.
 *
 * @param surelyMs before it, it is true of all, whatever their jitter
 */
function stretch(due: DueTrigger, first: NextTime, holds: (time: NextTime) => boolean, surelyMs: number): Stretch {
  let count = 1;
  let latest = first;
  let next = nextTime(due.trigger, first.dueMs, due.scheduleKey, due.context);
  // What the search by halves leaves over is found here.
  while (next !== undefined && holds(next)) {
    count++;
    latest = count > MAX_COUNTED ? latestOf(due, next, holds, surelyMs) : next;
    next = nextTime(due.trigger, latest.dueMs, due.scheduleKey, due.context);
  }
  return { count, latest, ...(next !== undefined && { next }) };
}

/**
 * The latest of those that hold for sure, found by halving the time between: a trigger of every 100 ms may have been off for a year. Behind them
 * one may hold and the one before it not, for the jitter of neighbours differs.
 */
function latestOf(due: DueTrigger, known: NextTime, holds: (time: NextTime) => boolean, surelyMs: number): NextTime {
  let latest = known;
  let low = known.dueMs;
  let high = surelyMs;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const time = nextTime(due.trigger, middle, due.scheduleKey, due.context);
    if (time !== undefined && holds(time)) {
      latest = time;
      low = time.dueMs;
    } else high = middle;
  }
  return latest;
}

function counted(count: number): string {
  return count > MAX_COUNTED ? `more than ${MAX_COUNTED}` : String(count);
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

/** Of a longer time nobody wants the milliseconds. */
function ago(ms: number): string {
  return formatDuration(ms < 10_000 ? ms : Math.round(ms / 1000) * 1000);
}
