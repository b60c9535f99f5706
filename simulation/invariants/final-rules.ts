import { committedRows } from '../../packages/store/src/memory/database.ts';
import type { Cluster } from '../faults/incidents.ts';
import type { World } from '../world/world.ts';
import { checkCalendarEnd } from './calendar-rules.ts';
import { isForced } from './ledger-rules.ts';

/** Whether everything that was asked for has come to its end. */
export function isQuiet({ database: { tables }, ledger }: World, { client }: Cluster): boolean {
  return (
    client.done() &&
    ledger.open.size === 0 &&
    tables.live_instance.tuples.size === 0 &&
    tables.command.tuples.size === 0 &&
    tables.active.tuples.size === 0 &&
    tables.followup.tuples.size === 0 &&
    committedRows(tables.schedule).every(({ next_at, awaiting }) => next_at === null && awaiting === null) &&
    committedRows(tables.backfill).every(({ state }) => state === 'done' || state === 'cancelled')
  );
}

/** What must hold once everything has ended, or should have. */
export function checkTheEnd(world: World, cluster: Cluster): void {
  const { tables } = world.database;
  for (const { id, state } of committedRows(tables.live_instance))
    world.violated('everything-ends', `the instance is still ${state} long after all faults were healed`, id);
  if (!cluster.client.done()) world.violated('everything-ends', 'a client still waits for an answer');
  for (const { instanceId, task, worker } of world.ledger.open)
    world.violated('everything-ends', `${task} still runs on ${worker}`, instanceId);
  const redrives = cluster.servers.reduce((sum, server) => sum + server.redrives(), 0);
  if (redrives > 0) world.violated('sweeper-stays-idle', `the sweeper had to drive ${redrives} instances again`);
  for (const { instance_id, error } of committedRows(tables.command_error))
    world.violated('no-command-is-parked', `a command was parked: ${error}`, instance_id);
  for (const { id, next_at, awaiting } of committedRows(tables.schedule))
    if (next_at !== null || awaiting !== null)
      world.violated('everything-ends', `schedule ${id} has not come to its end`);
  for (const { kind, subject_id, instance_id } of committedRows(tables.followup))
    world.violated('everything-ends', `nobody dealt with the follow-up ${kind} of ${subject_id}`, instance_id);
  checkWishes(world, cluster);
  checkEffects(world);
  checkCalendarEnd(world);
}

/** An acknowledged start has its instance; a wish with a key has one at the most, without one no more than tries. */
function checkWishes(world: World, { client }: Cluster): void {
  const instances = committedRows(world.database.tables.workflow_instance);
  for (const { name, key, tries, acknowledged } of client.wishes) {
    const made = instances.filter((row) => row.created_by === name);
    if (acknowledged !== undefined && !made.some(({ id }) => id === acknowledged))
      world.violated('acknowledged-start', `${name} was answered with an instance that is not there`, acknowledged);
    const most = key === undefined ? tries : 1;
    if (made.length > most) {
      const ids = made.map(({ id }) => id).join(', ');
      world.violated('one-instance-per-key', `${name} was started ${made.length} times: ${ids}`, made[1]?.id);
    }
  }
}

/** Every success that counts has exactly one run behind it, and no run that succeeded and was reported is counted for two. */
function checkEffects(world: World): void {
  const used = new Map<string, string>();
  const { finished_task, finished_subtask } = world.database.tables;
  const broadcast = new Set(committedRows(finished_subtask).map((row) => `${row.instance_id}.${row.task}`));
  // What was carried into a later generation counts in that in which it ended; what was forced never ran.
  const single = committedRows(finished_task).filter(
    (row) => !broadcast.has(`${row.instance_id}.${row.task}`) && row.carried_from === null && !isForced(row.reason),
  );
  for (const { instance_id, task, state, attempt_id } of [...single, ...committedRows(finished_subtask)]) {
    if (state !== 'succeeded') continue;
    const run = attempt_id === null ? undefined : world.ledger.ofAttempt(attempt_id);
    if (run?.how !== 'succeeded' || run.task !== task || run.instanceId !== instance_id)
      world.violated('success-has-a-run', `${task} counts as succeeded without a run that did`, instance_id);
    if (attempt_id === null) continue;
    if (used.has(attempt_id)) world.violated('success-counts-once', `a run of ${task} counts twice`, instance_id);
    used.set(attempt_id, task);
  }
}
