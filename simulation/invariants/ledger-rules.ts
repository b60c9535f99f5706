import { FORCED_SUCCESS, SKIPPED_BY_OPERATOR } from '@keelson/core';
import { committedRows } from '../../packages/store/src/memory/database.ts';
import type { LedgerWatch, Run } from '../world/ledger.ts';
import type { World } from '../world/world.ts';

/** What must hold at the moment when a task starts, by what tasks wrote down themselves. */
export function ledgerRules(world: () => World): LedgerWatch {
  return {
    starting: (run, ledger) => {
      const { trace, violated } = world();
      const { instanceId, task, attemptId, worker } = run;
      trace.note(worker, `TASK ${instanceId}/${task} starts, attempt id ${attemptId}`);
      if (ledger.ofAttempt(attemptId) !== undefined)
        violated('token-starts-once', `the token of ${task} was started a second time, by ${worker}`, instanceId);
      for (const other of ledger.open) {
        if (other.instanceId !== instanceId || other.task !== task || other.subtask !== run.subtask) continue;
        if (run.subtask && other.incarnationId !== run.incarnationId) continue;
        const message = `${task} starts on ${worker} (attempt id ${attemptId}) while it still runs on ${other.worker} (attempt id ${other.attemptId})`;
        violated('attempts-never-overlap', message, instanceId);
      }
      checkNeeds(world(), run);
      if (run.subtask) checkSubtask(world(), run);
    },
    ended: ({ instanceId, task, attemptId, worker, how }) =>
      world().trace.note(worker, `TASK ${instanceId}/${task} is over: ${how}, attempt id ${attemptId}`),
  };
}

/** A subtask runs only where it was bound, and never again after it has ended there. */
function checkSubtask(world: World, { instanceId, task, attemptId, incarnationId, worker }: Run): void {
  const { active, finished_subtask, worker_incarnation } = world.database.tables;
  const bound = committedRows(active).find(({ id }) => id === attemptId);
  if (bound !== undefined && bound.subtask !== incarnationId)
    world.violated(
      'subtask-stays-with-its-worker',
      `the subtask of ${bound.subtask} runs on ${incarnationId}`,
      instanceId,
    );
  const name = committedRows(worker_incarnation).find(({ id }) => id === incarnationId)?.name;
  if (name !== undefined && !worker.startsWith(`${name}#`))
    world.violated('subtask-stays-with-its-worker', `a subtask bound to ${name} runs on ${worker}`, instanceId);
  const ended = committedRows(finished_subtask).find(
    (row) =>
      row.instance_id === instanceId &&
      row.task === task &&
      row.incarnation_id === incarnationId &&
      row.generation === bound?.generation,
  );
  if (ended !== undefined)
    world.violated(
      'subtask-ends-once',
      `${task} runs on ${worker} after its subtask there was ${ended.state}`,
      instanceId,
    );
}

const codeOf = (reason: unknown): unknown => (reason as { code?: unknown } | null)?.code;

/** An operator has said that it succeeded. */
export const isForced = (reason: unknown): boolean => codeOf(reason) === FORCED_SUCCESS;

/** Each upstream task has ended in a state that the need accepts, and one that succeeded has really run to its end. */
function checkNeeds(world: World, { instanceId, task, attemptId }: Run): void {
  const { tables } = world.database;
  const instance = committedRows(tables.workflow_instance).find(({ id }) => id === instanceId);
  if (instance === undefined)
    return world.violated('no-task-without-instance', `${task} starts, and its instance is not committed`, instanceId);
  const definition = world.definitionOf(instance.version_id);
  const needs = definition?.tasks[task]?.needs ?? {};
  if (Object.keys(needs).length === 0) return;
  const generation =
    committedRows(tables.active).find(({ id }) => id === attemptId)?.generation ??
    committedRows(tables.live_instance).find(({ id }) => id === instanceId)?.generation ??
    1;
  const begun = committedRows(tables.instance_generation).find(
    (row) => row.instance_id === instanceId && row.generation === generation,
  );
  // One task alone runs whatever its needs are.
  if (begun?.mode === 'only' && begun.task === task) return;
  const finished = committedRows(tables.finished_task).filter(
    (row) => row.instance_id === instanceId && row.generation === generation,
  );
  for (const [need, accepted] of Object.entries(needs)) {
    const upstream = finished.find((row) => row.task === need);
    // For what comes after, a task that an operator skipped is one that succeeded.
    const skipped = upstream?.state === 'skipped' && codeOf(upstream.reason) === SKIPPED_BY_OPERATOR;
    const state = skipped ? 'succeeded' : upstream?.state;
    if (upstream === undefined || !accepted.some((one) => one === state || one === upstream.state)) {
      const found = upstream?.state ?? 'not ended';
      world.violated('needs-before-task', `${task} starts although ${need} is ${found}`, instanceId);
    } else if (
      upstream.state === 'succeeded' &&
      !isForced(upstream.reason) &&
      definition?.tasks[need]?.broadcast === undefined
    )
      checkEffect(world, upstream.attempt_id, need, instanceId);
  }
}

function checkEffect(world: World, attemptId: string | null, task: string, instanceId: string): void {
  const run = attemptId === null ? undefined : world.ledger.ofAttempt(attemptId);
  if (run?.how === 'succeeded') return;
  const said = run === undefined ? 'never started' : (run.how ?? 'still runs');
  world.violated('success-has-a-run', `${task} counts as succeeded, and its attempt ${attemptId} ${said}`, instanceId);
}
