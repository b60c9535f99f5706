import { resolveParams, runContext, turnBackfill } from '@keelson/core';
import type { RunParams } from '@keelson/core';
import type { BackfillMind, DueBackfill } from '@keelson/store';
import type { MasterContext } from './context.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

/** Slow fallback for a lost wake-up. */
const FALLBACK_POLL_MS = 1000;
const RETRY_MS = 200;
const BATCH = 50;
/** Another transaction holds what was looked for, as a rule for less than this. */
const BUSY_MS = 20;
/** One that cannot be turned rests for so long, and longer with each failure in a row. */
const REST_MS = 1000;
const LONGEST_REST_MS = 60_000;

/** What this master remembers of a backfill that it could not turn. */
interface Resting {
  readonly until: number;
  readonly failures: number;
}

/**
 * Starts what backfills have room for. Woken by this master at once when a step of its own has ended an instance of one, by a signal when
 * another master or an operator did something.
 */
export function startBackfills(context: MasterContext): WakeableLoop {
  const { store, log, clock } = context;
  const resting = new Map<string, Resting>();

  /** Answers how long to wait at the most: 0 when there may be more to do at once. */
  const turnOne = async (due: DueBackfill): Promise<number> => {
    const rest = resting.get(due.id);
    if (rest !== undefined && rest.until > clock.now()) return rest.until - clock.now();
    try {
      await context.plans.load(due.versionIds);
      const turned = await store.backfills.turn(due.id, due.room, mindOf(context));
      resting.delete(due.id);
      if (turned === undefined) return BUSY_MS;
      tell(context, turned.started.length, turned.queued);
      if (turned.ended) log.info({ backfill: due.id }, 'a backfill has ended');
      return turned.worked ? 0 : FALLBACK_POLL_MS;
    } catch (error) {
      // One that cannot go on must not keep the others from it.
      const failures = (rest?.failures ?? 0) + 1;
      const ms = Math.min(REST_MS * 2 ** (failures - 1), LONGEST_REST_MS);
      resting.set(due.id, { until: clock.now() + ms, failures });
      log.warn({ err: error, backfill: due.id, failures }, 'a backfill could not go on; trying again');
      const message = error instanceof Error ? error.message : String(error);
      await store.backfills.noteError(due.id, message).catch(() => undefined);
      return ms;
    }
  };

  const round = async (): Promise<number> => {
    const due = await store.backfills.due(BATCH);
    for (const id of resting.keys()) if (due.every((one) => one.id !== id)) resting.delete(id);
    let wait = FALLBACK_POLL_MS;
    for (const one of due) wait = Math.min(wait, await turnOne(one));
    return wait;
  };
  return startLoop(clock, round, (error) => {
    log.warn({ err: error }, 'backfills could not be read; trying again');
    return RETRY_MS;
  });
}

function tell({ signals, metrics, wake }: MasterContext, started: number, queued: boolean): void {
  if (started === 0) return;
  metrics.backfillStarts += started;
  signals.send('command');
  if (queued) wake.followup('admission');
}

/** Parameters are resolved for each run's own time, as at a start of that day. The definitions are at hand. */
function mindOf({ plans }: MasterContext): BackfillMind {
  return (backfill, runs, ends) => {
    const times = new Map(runs.map(({ seq, runTime }) => [seq, runTime]));
    const paramsOf = (seq: number): RunParams => {
      const place = (seq - 1) % backfill.memberships.length;
      const member = backfill.memberships[place];
      const known = member === undefined ? undefined : plans.get(member.versionId);
      const timeUtc = times.get(seq);
      if (member === undefined || known === undefined || timeUtc === undefined)
        throw new Error(`the definition of run ${seq} is not at hand`);
      const { definition } = known.plan;
      const zone = member.zone ?? definition.timezone;
      const { params, issues } = resolveParams({
        declared: definition.params,
        project: member.projectParams,
        start: place === 0 ? backfill.params : {},
        run: runContext({ id: '', workflow: definition.name, project: definition.project, timeUtc, zone }),
      });
      if (issues.length === 0) return { params };
      return { reason: { code: 'invalid-params', message: issues.map(({ message }) => message).join('; ') } };
    };
    return turnBackfill(backfill, runs, ends, paramsOf);
  };
}
