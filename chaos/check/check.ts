import { broadcasts } from './broadcasts.ts';
import { ends, witnesses } from './ends.ts';
import { runsByTask } from './evidence.ts';
import type { Evidence, Run, Violation } from './evidence.ts';
import { order } from './order.ts';
import { fencingTokens, overlaps, startedTwice } from './runs.ts';
import { wishes } from './wishes.ts';

export interface Tally {
  readonly asked: number;
  readonly acknowledged: number;
  readonly instances: number;
  readonly succeeded: number;
  readonly tasks: number;
  /** Attempts that started, by the ledger. */
  readonly runs: number;
  /** Those that wrote their end. */
  readonly complete: number;
  /** Complete runs per task that succeeded; 1 is what one would like, and a lost report makes it more. */
  readonly effectiveRunsPerTask: number;
  readonly mostRunsOfOneTask: number;
  readonly lostAttempts: number;
  /** Attempts that failed although their script did not want to, by reason. */
  readonly unplannedFailures: Readonly<Record<string, number>>;
}

export interface Findings {
  readonly violations: readonly Violation[];
  readonly tally: Tally;
  readonly runs: ReadonlyMap<string, readonly Run[]>;
}

/** Joins the ledger, the history and the client's acknowledgements. */
export function check(evidence: Evidence): Findings {
  const runs = runsByTask(evidence);
  const workflowOf = new Map(evidence.instances.map(({ id, workflow }) => [id, workflow]));
  const isBroadcast = ({ instance, task }: Run): boolean =>
    evidence.shapes.get(workflowOf.get(instance) ?? '')?.tasks[task]?.broadcast === true;
  const violations = [
    ...wishes(evidence),
    ...ends(evidence),
    ...witnesses(evidence, runs),
    ...startedTwice(runs),
    ...overlaps(runs, isBroadcast),
    ...fencingTokens(runs, isBroadcast),
    ...order(evidence, runs),
    ...broadcasts(evidence, runs),
  ];
  return { violations, runs, tally: tallyOf(evidence, runs) };
}

function tallyOf({ wishes: asked, instances }: Evidence, runs: ReadonlyMap<string, readonly Run[]>): Tally {
  const all = [...runs.values()];
  const events = instances.flatMap((instance) => instance.events);
  const complete = all.flat().filter(({ end }) => end?.code === 0).length;
  const succeededTasks = instances.flatMap(({ tasks }) => tasks).filter(({ state }) => state === 'succeeded').length;
  const ended = events.filter(({ type }) => type === 'attempt-ended');
  const unplanned = ended.filter(({ end, reason }) => end === 'failed' && reason?.code !== 'exit-code');
  const byReason = Map.groupBy(unplanned, ({ reason }) => reason?.code ?? 'no reason');
  return {
    asked: asked.length,
    acknowledged: asked.filter(({ acknowledged }) => acknowledged.size > 0).length,
    instances: instances.length,
    succeeded: instances.filter(({ state }) => state === 'succeeded').length,
    tasks: succeededTasks,
    runs: all.flat().length,
    complete,
    effectiveRunsPerTask: succeededTasks === 0 ? 0 : Math.round((complete / succeededTasks) * 1000) / 1000,
    mostRunsOfOneTask: Math.max(0, ...all.map((each) => each.length)),
    lostAttempts: ended.filter(({ end }) => end === 'lost').length,
    unplannedFailures: Object.fromEntries([...byReason].map(([reason, list]) => [reason, list.length])),
  };
}
