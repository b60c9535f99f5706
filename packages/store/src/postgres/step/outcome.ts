import type { BoundAttempt, Claimed, Placement, StepOutcome, TaskKind } from '../../engine.ts';
import { boundFrom } from '../claim.ts';
import type { Rows } from '../session.ts';
import type { Decided } from './decided.ts';
import type { Workbench } from './workbench.ts';

/** What the calls answered that bind something to workers. */
export interface BindingAnswers {
  readonly bound: Rows;
  readonly subtasks: Rows;
  readonly claimed: readonly Claimed[];
}

/** What the master is told of a step. */
export function outcomeOf(
  bench: Workbench,
  decided: readonly Decided[],
  { bound: boundRows, subtasks, claimed }: BindingAnswers,
): StepOutcome {
  const byId = new Map(decided.map((one) => [one.id, one.changes.live]));
  const attemptOf = (row: Rows[number]): BoundAttempt => {
    const live = byId.get(row.instance_id);
    return boundFrom(row, live?.versionId ?? '', live?.hasArtifacts ?? true);
  };
  const bound = boundRows.map(attemptOf);
  const boundTasks = new Set(bound.map(({ instanceId, task }) => `${instanceId}/${task}`));
  const left = decided.flatMap(({ id, placements }) =>
    placements.filter(({ task }) => !boundTasks.has(`${id}/${task}`)),
  );
  return {
    decided: decided.map(({ id }) => id),
    settled: bench.settled,
    postponed: bench.postponed,
    unknownVersions: [...new Set(bench.unknown.values())],
    bound,
    subtasks: subtasks.filter((row) => !row.orphaned).map(attemptOf),
    claimed,
    waiting: kindsOf(left),
    delayed: decided.some(({ changes }) => changes.delayed.length > 0),
    moreCommands:
      bench.left ||
      decided.some(({ changes }) => changes.withdraw !== undefined) ||
      subtasks.some((row) => row.orphaned),
    killing: decided.filter(({ changes }) => changes.withdraw !== undefined).map(({ id }) => id),
    ended: decided.filter(({ changes }) => changes.end !== undefined).map(({ id }) => id),
    alerts: decided.some(({ changes }) => changes.alerts.length > 0),
  };
}

function kindsOf(placements: readonly Placement[]): TaskKind[] {
  const kinds = new Map<string, TaskKind>();
  for (const { workerGroup, capability } of placements)
    kinds.set(`${workerGroup}\n${capability}`, { workerGroup, capability });
  return [...kinds.values()];
}
