import type { JsonObject } from '../json.ts';
import type { Reason } from '../engine/reason.ts';

export type BackfillState = 'running' | 'paused' | 'cancelled' | 'done';
export type BackfillRunState = 'waiting' | 'pending' | 'running' | 'succeeded' | 'failed' | 'stopped' | 'skipped';

/** How many runs of a backfill are in each state. */
export type BackfillCounts = Readonly<Record<BackfillRunState, number>>;

/** A backfill under its lock. */
export interface BackfillView {
  readonly state: BackfillState;
  /** Runs under way at once. */
  readonly parallel: number;
  readonly onFailure: 'stop' | 'continue';
  /** Instances that this turn may make, whatever else there is room for. */
  readonly room: number;
  /** Runs the times that have succeeded already, too. */
  readonly again: boolean;
  readonly counts: BackfillCounts;
  /** Of each member (the workflow itself is the first): its name, and the places of the members that it follows, all before its own. */
  readonly members: readonly { readonly name: string; readonly needs: readonly number[] }[];
}

export interface BackfillRun {
  /** From 1 on; those of one time stand together, in the order of the members. */
  readonly seq: number;
  readonly state: BackfillRunState;
  readonly reason?: Reason;
  /** Another instance of the workflow for the same time: a live one, else one that has succeeded. */
  readonly there?: { readonly instanceId: string; readonly live: boolean };
}

/** An instance that the backfill has made has ended; after a rerun, once more. */
export interface BackfillEnd {
  readonly seq: number;
  readonly state: 'succeeded' | 'failed' | 'stopped';
  readonly reason?: Reason;
}

/** What the view cannot say: the parameters of a run, or why there are none. */
export type RunParams = { readonly params: JsonObject } | { readonly reason: Reason };

export interface BackfillTurn {
  /** Instances to make, in the order of the runs; their runs are `running` from now on. */
  readonly starts: readonly { readonly seq: number; readonly params: JsonObject }[];
  /** Runs that change otherwise. */
  readonly changes: readonly { readonly seq: number; readonly state: BackfillRunState; readonly reason?: Reason }[];
  /** A run failed and the backfill is to stop then: everything not yet started is left out, with this reason. */
  readonly halted?: Reason;
  readonly counts: BackfillCounts;
  readonly state: BackfillState;
  /** It has ended with this turn. */
  readonly ended: boolean;
}

/** Reason codes of runs that were left out. */
export const ALREADY_SUCCEEDED = 'already-succeeded';
export const RUNNING_NOW = 'running-now';

/**
 * One turn of a backfill: notes what ended, lets dependents follow or leaves them out, and starts what there is room for. Never throws.
 *
 * @param runs in their order, all those of the times that anything of this turn is about
 * @param paramsOf asked once for each run that is about to start
 */
export function turnBackfill(
  view: BackfillView,
  runs: readonly BackfillRun[],
  ends: readonly BackfillEnd[],
  paramsOf: (seq: number) => RunParams,
): BackfillTurn {
  const bench = workbench(view, runs);
  for (const end of ends) bench.end(end);
  const starts: { seq: number; params: JsonObject }[] = [];
  for (const { seq } of runs) {
    if (view.state !== 'running' || bench.halted() !== undefined) break;
    if (bench.counts.running >= view.parallel || starts.length >= view.room) break;
    // Those that wait stand behind those that they wait for, so that one pass is enough.
    bench.follow(seq);
    if (bench.stateOf(seq) !== 'pending') continue;
    const found = bench.startable(seq, view.again, paramsOf);
    if ('params' in found) {
      bench.change(seq, 'running');
      starts.push({ seq, params: found.params });
    }
  }
  // What failed for want of parameters, or was left out, is nothing to wait for.
  for (const { seq } of runs) bench.follow(seq);
  const halted = bench.halted();
  const counts = halted === undefined ? { ...bench.counts } : withoutWaiting(bench.counts);
  const over = counts.waiting + counts.pending + counts.running === 0;
  const wasOver = view.counts.waiting + view.counts.pending + view.counts.running === 0;
  const started = new Set(starts.map(({ seq }) => seq));
  return {
    starts,
    changes: bench.changes().filter(({ seq }) => !started.has(seq)),
    ...(halted && { halted }),
    counts,
    state: over && view.state !== 'cancelled' ? 'done' : view.state,
    ended: over && !(wasOver && ended(view.state)),
  };
}

/**
 * The states in which runs begin: left out for what there is already, or for an upstream that is left out; to be started; waiting for others.
 *
 * @param there of each run, in their order: what there is already
 */
export function plannedRuns(
  members: BackfillView['members'],
  there: readonly BackfillRun['there'][],
  again: boolean,
): { readonly state: BackfillRunState; readonly reason?: Reason }[] {
  const runs = there.map((one, index): BackfillRun => {
    const needs = members[index % members.length]?.needs ?? [];
    return { seq: index + 1, state: needs.length === 0 ? 'pending' : 'waiting', ...(one && { there: one }) };
  });
  const bench = workbench({ members, onFailure: 'continue', state: 'running', counts: NOTHING }, runs);
  return runs.map(({ seq, there: one }) => {
    const left = one === undefined ? undefined : leftOut(one, again);
    if (left === undefined) bench.follow(seq);
    else bench.change(seq, 'skipped', left);
    return bench.planned(seq);
  });
}

const NOTHING: BackfillCounts = {
  waiting: 0,
  pending: 0,
  running: 0,
  succeeded: 0,
  failed: 0,
  stopped: 0,
  skipped: 0,
};

const ended = (state: BackfillState): boolean => state === 'done' || state === 'cancelled';

function withoutWaiting(counts: BackfillCounts): BackfillCounts {
  return { ...counts, skipped: counts.skipped + counts.waiting + counts.pending, waiting: 0, pending: 0 };
}

function workbench(
  view: Pick<BackfillView, 'state' | 'counts' | 'members' | 'onFailure'>,
  runs: readonly BackfillRun[],
) {
  const now = new Map<number, BackfillRun>(runs.map((run) => [run.seq, run]));
  const changed = new Map<number, { state: BackfillRunState; reason?: Reason }>();
  const counts: Record<BackfillRunState, number> = { ...view.counts };
  const width = view.members.length;
  let halted: Reason | undefined;

  const change = (seq: number, state: BackfillRunState, reason?: Reason): void => {
    const run = now.get(seq);
    if (run === undefined) return;
    counts[run.state]--;
    counts[state]++;
    const next = { state, ...(reason && { reason }) };
    const { there } = run;
    now.set(seq, { seq, ...next, ...(there && { there }) });
    changed.set(seq, next);
  };
  const fail = (seq: number, state: 'failed' | 'stopped', reason: Reason | undefined): void => {
    change(seq, state, reason);
    if (view.onFailure === 'stop' && !ended(view.state))
      halted ??= {
        code: 'backfill-halted',
        message: `run ${seq} ${state === 'failed' ? 'failed' : 'was stopped'}, and the backfill stops at the first failure`,
      };
  };

  return {
    counts,
    halted: () => halted,
    stateOf: (seq: number) => now.get(seq)?.state,
    planned: (seq: number): { readonly state: BackfillRunState; readonly reason?: Reason } => {
      const { state = 'pending', reason } = now.get(seq) ?? {};
      return { state, ...(reason && { reason }) };
    },
    changes: () => [...changed].map(([seq, to]) => ({ seq, ...to })),
    change,
    end: ({ seq, state, reason }: BackfillEnd): void => {
      const run = now.get(seq);
      if (run === undefined || run.state === state) return;
      // A rerun of one that has ended: what came of it is noted, what was decided on it stays.
      if (run.state !== 'running') change(seq, state, reason);
      else if (state === 'succeeded') change(seq, state);
      else fail(seq, state, reason);
    },
    /** Lets one that waits go on, or leaves it out, by what has become of those that it follows. */
    follow: (seq: number): void => {
      if (now.get(seq)?.state !== 'waiting') return;
      const place = (seq - 1) % width;
      const needs = view.members[place]?.needs ?? [];
      const upstreams = needs.map((need) => ({ name: view.members[need]?.name, run: now.get(seq - place + need) }));
      const broken = upstreams.find(({ run }) => run !== undefined && isOver(run) && !isDone(run));
      if (broken?.run !== undefined)
        change(seq, 'skipped', {
          code: 'upstream-not-succeeded',
          message: `${broken.name} of this time ${WORDS[broken.run.state]} (run ${broken.run.seq})`,
        });
      else if (upstreams.every(({ run }) => run !== undefined && isDone(run))) change(seq, 'pending');
    },
    /** The parameters of a pending run, unless it turns out that it must not start: then it is changed accordingly. */
    startable: (seq: number, again: boolean, paramsOf: (seq: number) => RunParams): RunParams => {
      const there = now.get(seq)?.there;
      const left = there === undefined ? undefined : leftOut(there, again);
      if (left !== undefined) {
        change(seq, 'skipped', left);
        return { reason: left };
      }
      const found = paramsOf(seq);
      if ('reason' in found) fail(seq, 'failed', found.reason);
      return found;
    },
  };
}

const WORDS: Readonly<Record<BackfillRunState, string>> = {
  waiting: 'waits',
  pending: 'has not started',
  running: 'is running',
  succeeded: 'succeeded',
  failed: 'failed',
  stopped: 'was stopped',
  skipped: 'was left out',
};

const isOver = ({ state }: BackfillRun): boolean =>
  state === 'succeeded' || state === 'failed' || state === 'stopped' || state === 'skipped';

const isDone = ({ state, reason }: BackfillRun): boolean =>
  state === 'succeeded' || (state === 'skipped' && reason?.code === ALREADY_SUCCEEDED);

/** Why a time is left out for what there is already; undefined: it is not. */
export function leftOut(
  { instanceId, live }: { readonly instanceId: string; readonly live: boolean },
  again: boolean,
): Reason | undefined {
  if (live) return { code: RUNNING_NOW, message: `instance ${instanceId} of this time is under way already` };
  return again ? undefined : { code: ALREADY_SUCCEEDED, message: `instance ${instanceId} of this time has succeeded` };
}
