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
        if (other.instanceId !== instanceId || other.task !== task || run.subtask) continue;
        const message = `${task} starts on ${worker} (attempt id ${attemptId}) while it still runs on ${other.worker} (attempt id ${other.attemptId})`;
        violated('attempts-never-overlap', message, instanceId);
      }
      checkNeeds(world(), run);
    },
    ended: ({ instanceId, task, attemptId, worker, how }) =>
      world().trace.note(worker, `TASK ${instanceId}/${task} is over: ${how}, attempt id ${attemptId}`),
  };
}

/** Each upstream task has ended in a state that the need accepts, and one that succeeded has really run to its end. */
function checkNeeds(world: World, { instanceId, task }: Run): void {
  const { tables } = world.database;
  const instance = committedRows(tables.workflow_instance).find(({ id }) => id === instanceId);
  if (instance === undefined)
    return world.violated('no-task-without-instance', `${task} starts, and its instance is not committed`, instanceId);
  const needs = world.definitionOf(instance.version_id)?.tasks[task]?.needs ?? {};
  if (Object.keys(needs).length === 0) return;
  const finished = committedRows(tables.finished_task).filter((row) => row.instance_id === instanceId);
  for (const [need, accepted] of Object.entries(needs)) {
    const upstream = finished.find((row) => row.task === need);
    if (upstream === undefined || !accepted.some((state) => state === upstream.state)) {
      const state = upstream?.state ?? 'not ended';
      world.violated('needs-before-task', `${task} starts although ${need} is ${state}`, instanceId);
    } else if (upstream.state === 'succeeded') checkEffect(world, upstream.attempt_id, need, instanceId);
  }
}

function checkEffect(world: World, attemptId: string | null, task: string, instanceId: string): void {
  const run = attemptId === null ? undefined : world.ledger.ofAttempt(attemptId);
  if (run?.how === 'succeeded') return;
  const said = run === undefined ? 'never started' : (run.how ?? 'still runs');
  world.violated('success-has-a-run', `${task} counts as succeeded, and its attempt ${attemptId} ${said}`, instanceId);
}
