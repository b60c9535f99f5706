import type { BoundAttempt, Claimed, StepOutcome, TaskKind } from '../../../engine.ts';
import { boundFrom } from '../claim.ts';
import type { Rows } from '../../connection/session.ts';
import type { Decided } from './decided.ts';
import type { Workbench } from './workbench.ts';
import { isWithdrawing } from './write-line.ts';

/** What the calls answered that bind something to workers. */
export interface BindingAnswers {
  readonly bound: Rows;
  readonly subtasks: Rows;
  readonly claimed: readonly Claimed[];
  readonly released: Rows;
  readonly ended: Rows;
}

/** What the master is told of a step. */
export function outcomeOf(
  bench: Workbench,
  decided: readonly Decided[],
  { bound: boundRows, subtasks, claimed, released, ended }: BindingAnswers,
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
    waiting: kindsOf([...left, ...released.filter(isIn('ready')).map(kindFrom)]),
    delayed: decided.some(({ changes }) => changes.delayed.length > 0) || released.some(isIn('delayed')),
    moreCommands:
      bench.left ||
      decided.some(({ changes }) => changes.withdraw !== undefined || changes.takeBack.length > 0) ||
      subtasks.some((row) => row.orphaned) ||
      released.some(isIn('command')),
    killing: decided.filter(isWithdrawing).map(({ id }) => id),
    ended: decided.filter(({ changes }) => changes.end !== undefined).map(({ id }) => id),
    followups: ended.map(({ kind }) => kind),
    alerts: decided.some(({ changes }) => changes.alerts.length > 0),
  };
}

/** Of rows that tell where held tasks have gone. */
const isIn =
  (place: 'ready' | 'delayed' | 'command') =>
  (row: Rows[number]): boolean =>
    row.place === place;

const kindFrom = (row: Rows[number]): TaskKind => ({ workerGroup: row.worker_group, capability: row.capability });

function kindsOf(placements: readonly TaskKind[]): TaskKind[] {
  const kinds = new Map<string, TaskKind>();
  for (const { workerGroup, capability } of placements)
    kinds.set(`${workerGroup}\n${capability}`, { workerGroup, capability });
  return [...kinds.values()];
}
