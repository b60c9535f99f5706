import type { DueSchedule, FireMind, FireRound, Fires } from '../../fires.ts';
import { outcomeOf } from '../connection/errors.ts';
import {
  aheadCall,
  aheadFrom,
  calendarKey,
  calendarsCall,
  calendarsFrom,
  nextCall,
  nextFrom,
  takeCalls,
  takenFrom,
} from './fires-read.ts';
import type { Taken, TakenRows } from './fires-read.ts';
import { isFireCall, putOffCall, writeCalls } from './fires-write.ts';
import type { Decided, Unable } from './fires-write.ts';
import type { CalendarContent } from '../../fires.ts';
import type { NextId } from '../schema/partitions.ts';
import type { OpenSession, Rows, Session, Transaction } from '../connection/session.ts';

/** Times of one schedule that are decided about at once; more follow in the next round. */
const MOST_TIMES = 100;
/** Fires of one transaction; beyond them each schedule still gets one: those that make up for missed times must not hold up those that are in time. */
const MOST_PLANNED = 2000;

const NOTHING: FireRound = {
  taken: 0,
  more: false,
  fires: { fired: 0, misfired: 0, skipped: 0, failed: 0 },
  lagsMs: [],
  commands: false,
  queued: false,
  alerts: false,
  failing: [],
};

/**
 * Fires have a connection of their own: they must be on time when the others are busy.
 *
 * @param nextId hands out ids of instances, each once
 * @param now milliseconds, monotonic
 */
export function createFires(open: OpenSession, nextId: NextId, now: () => number): Fires & { close(): Promise<void> } {
  const session = open();
  const taker: Taker = { session, nextId, now };
  return {
    round: (limit, asOfMs, mind) => round(taker, limit, asOfMs, mind),
    ahead: async (untilMs, limit) => aheadFrom((await session.run([aheadCall(untilMs, limit)]))[0] ?? []),
    nextLook: async () => nextFrom((await session.run([nextCall()]))[0] ?? []),
    close: () => session.close(),
  };
}

interface Taker {
  readonly session: Session;
  readonly nextId: NextId;
  readonly now: () => number;
}

async function round(taker: Taker, limit: number, asOfMs: number, mind: FireMind): Promise<FireRound> {
  const touched: string[] = [];
  try {
    return await attempt(taker, limit, asOfMs, mind, touched);
  } catch (error) {
    if (outcomeOf(error) !== 'application' || touched.length === 0) throw error;
    // One that the database refuses must not take the others with it.
    const rounds: FireRound[] = [];
    for (const id of touched) rounds.push(await alone(taker, asOfMs, mind, id));
    return rounds.reduce(together, NOTHING);
  }
}

/** One schedule by itself; what the database refuses again is put off. */
async function alone(taker: Taker, asOfMs: number, mind: FireMind, id: string): Promise<FireRound> {
  try {
    return await attempt(taker, 1, asOfMs, mind, [], id);
  } catch (error) {
    if (outcomeOf(error) !== 'application') throw error;
    return putOff(taker, asOfMs, id, messageOf(error));
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function attempt(
  { session, nextId, now }: Taker,
  limit: number,
  asOfMs: number,
  mind: FireMind,
  touched: string[],
  only?: string,
): Promise<FireRound> {
  const transaction = session.begin();
  try {
    const rows = takenFrom(await transaction.flight(takeCalls(limit, asOfMs, only)));
    const takenAt = now();
    const all = [...rows.ended, ...rows.due];
    if (rows.followups.length + all.length === 0) {
      await transaction.rollback();
      return NOTHING;
    }
    touched.push(...all.map(({ schedule }) => schedule.id));
    const calendars = await readCalendars(transaction, all, mind);
    const { decided, idle, unable } = await decideAll(all, calendars, mind, nextId, asOfMs);
    const calls = writeCalls(decided, idle, unable, rows.followups);
    const written = await transaction.commit(calls);
    const answers = written.filter((_, index) => calls[index] !== undefined && isFireCall(calls[index]));
    return outcome(rows, limit, decided, unable, answers, now() - takenAt);
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}

async function readCalendars(
  transaction: Transaction,
  all: readonly Taken[],
  mind: FireMind,
): Promise<ReadonlyMap<string, CalendarContent>> {
  const wanted = new Map<string, { projectId: string; name: string }>();
  for (const { schedule, projectId } of all)
    for (const name of namesOf(mind, schedule)) wanted.set(calendarKey(projectId, name), { projectId, name });
  if (wanted.size === 0) return new Map();
  const [rows = []] = await transaction.flight([calendarsCall([...wanted.values()])]);
  return calendarsFrom(rows);
}

/** One that cannot be read says so when it is decided about. */
function namesOf(mind: FireMind, schedule: DueSchedule): readonly string[] {
  try {
    return mind.calendarsOf(schedule);
  } catch {
    return [];
  }
}

async function decideAll(
  all: readonly Taken[],
  calendars: ReadonlyMap<string, CalendarContent>,
  mind: FireMind,
  nextId: NextId,
  asOfMs: number,
): Promise<{ decided: Decided[]; idle: Taken[]; unable: Unable[] }> {
  const decided: Decided[] = [];
  const idle: Taken[] = [];
  const unable: Unable[] = [];
  let planned = 0;
  for (const taken of all) {
    if (!taken.active) {
      idle.push(taken);
      continue;
    }
    try {
      const most = planned < MOST_PLANNED ? MOST_TIMES : 1;
      const of = (name: string): CalendarContent | undefined => calendars.get(calendarKey(taken.projectId, name));
      const decision = mind.decide(taken.schedule, of, Math.min(taken.nowMs, asOfMs), most);
      planned += decision.fires.length;
      decided.push({ taken, decision, instanceIds: [] });
    } catch (error) {
      unable.push({ taken, error: messageOf(error) });
    }
  }
  return { decided: await withIds(decided, nextId), idle, unable };
}

async function withIds(decided: readonly Decided[], nextId: NextId): Promise<Decided[]> {
  const firedBy = ({ decision }: Decided): number =>
    decision.fires.filter(({ outcome: what }) => what === 'fired').length;
  let more = decided.reduce((sum, one) => sum + firedBy(one), 0);
  const complete: Decided[] = [];
  for (const one of decided) {
    const instanceIds: string[] = [];
    for (let left = firedBy(one); left > 0; left--) instanceIds.push(await nextId(more--));
    complete.push({ ...one, instanceIds });
  }
  return complete;
}

function outcome(
  { due, followups }: TakenRows,
  limit: number,
  decided: readonly Decided[],
  unable: readonly Unable[],
  answers: readonly Rows[],
  tookMs: number,
): FireRound {
  const rows = answers.flat();
  const sum = (of: string): number => rows.reduce((total, row) => total + Number(row[of]), 0);
  const fires = { fired: sum('fired'), misfired: sum('misfired'), skipped: sum('skipped'), failed: sum('failed') };
  return {
    taken: due.length + followups.length,
    more: due.length === limit || followups.length === limit,
    fires,
    lagsMs: decided.flatMap((one) => lagOf(one, tookMs) ?? []),
    commands: rows.some((row) => row.commands === true),
    queued: rows.some((row) => row.queued === true),
    alerts: fires.failed + unable.length > 0,
    failing: unable.map(({ taken, error }) => ({ scheduleId: taken.schedule.id, error })),
  };
}

/** Of a schedule that was looked at for the first time that was due, and fired it. */
function lagOf({ taken: { schedule, atMs, nowMs }, decision }: Decided, tookMs: number): number | undefined {
  const [first] = decision.fires;
  if (atMs === undefined || first?.outcome !== 'fired' || first.dueMs !== schedule.dueMs) return undefined;
  return Math.max(0, nowMs - atMs + tookMs);
}

async function putOff({ session }: Taker, asOfMs: number, id: string, error: string): Promise<FireRound> {
  const transaction = session.begin();
  try {
    const { due, ended, followups } = takenFrom(await transaction.flight(takeCalls(1, asOfMs, id)));
    const taken = due[0] ?? ended[0];
    if (taken === undefined) {
      await transaction.rollback();
      return NOTHING;
    }
    const unable = [{ taken, error }];
    await transaction.commit([...writeCalls([], [], [], followups), putOffCall(unable)]);
    return { ...NOTHING, taken: 1, alerts: true, failing: [{ scheduleId: id, error }] };
  } catch (failure) {
    await transaction.rollback();
    throw failure;
  }
}

function together(one: FireRound, other: FireRound): FireRound {
  const sum = (of: keyof FireRound['fires']): number => one.fires[of] + other.fires[of];
  return {
    taken: one.taken + other.taken,
    more: one.more || other.more,
    fires: { fired: sum('fired'), misfired: sum('misfired'), skipped: sum('skipped'), failed: sum('failed') },
    lagsMs: [...one.lagsMs, ...other.lagsMs],
    commands: one.commands || other.commands,
    queued: one.queued || other.queued,
    alerts: one.alerts || other.alerts,
    failing: [...one.failing, ...other.failing],
  };
}
