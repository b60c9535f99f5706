import { committedRows } from '../../packages/store/src/memory/database.ts';
import type { World } from '../world/world.ts';
import { watchCalendar } from './calendar-rules.ts';

/** Checks what is committed; cheap where nothing has changed. */
export interface CommittedRules {
  /** To be called after every event. */
  check(): void;
}

export function watchCommitted(world: World): CommittedRules {
  let changed = false;
  world.database.onCommit(() => void (changed = true));
  const ends = absorbingEnds(world);
  const checkCalendar = watchCalendar(world);
  return {
    check: () => {
      if (!changed) return;
      changed = false;
      checkHotTables(world, ends());
      checkDeadWorkers(world);
      checkCalendar();
    },
  };
}

/** Ends are never taken back: what was seen once stays. Answers the ids of the instances that have ended, each with its last generation that has. */
function absorbingEnds(world: World): () => ReadonlyMap<string, number> {
  const { tables } = world.database;
  const ended = new Map<string, string>();
  const endedIds = new Map<string, number>();
  const finished = new Map<string, string>();
  let seen = -1;
  return () => {
    const size = tables.instance_end.tuples.size + tables.finished_task.tuples.size;
    if (size === seen) return endedIds;
    seen = size;
    for (const { instance_id, generation, state } of committedRows(tables.instance_end)) {
      absorb(world, ended, `${instance_id}.${generation}`, state, instance_id, 'the instance');
      if ((endedIds.get(instance_id) ?? 0) >= generation) continue;
      noRunsLeft(world, instance_id, state);
      endedIds.set(instance_id, generation);
    }
    for (const { instance_id, generation, task, state, attempt_id } of committedRows(tables.finished_task))
      absorb(world, finished, `${instance_id}.${generation}.${task}`, `${state} by ${attempt_id}`, instance_id, task);
    if (committedRows(tables.finished_task).length < finished.size)
      world.violated('ends-absorb', 'the end of a task has vanished');
    return endedIds;
  };
}

function absorb(world: World, known: Map<string, string>, key: string, state: string, id: string, what: string): void {
  const before = known.get(key);
  if (before !== undefined && before !== state)
    world.violated('ends-absorb', `${what} had ended as ${before} and now is ${state}`, id);
  known.set(key, state);
}

function noRunsLeft(world: World, instanceId: string, state: string): void {
  world.trace.note('db', `instance ${instanceId} is ${state}`);
  for (const run of world.ledger.open)
    if (run.instanceId === instanceId)
      world.violated(
        'ended-runs-nothing',
        `the instance is ${state} while ${run.task} runs on ${run.worker}`,
        instanceId,
      );
}

/** A row in a hot table belongs to a live instance, stands in one place, and each live instance has something that drives it on. */
function checkHotTables(world: World, ends: ReadonlyMap<string, number>): void {
  const { tables } = world.database;
  const living = new Map(committedRows(tables.live_instance).map((row) => [row.id, row]));
  const ended = (id: string): boolean => (ends.get(id) ?? 0) >= (living.get(id)?.generation ?? 1);
  const driven = new Set<string>();
  const places = new Map<string, string>();
  const place = (instanceId: string, task: string, table: string): void => {
    if (table !== 'held') driven.add(instanceId);
    if (ended(instanceId))
      world.violated(
        'ended-has-no-rows',
        `${task} still stands in ${table} although its instance has ended`,
        instanceId,
      );
    const key = `${instanceId}.${task}`;
    const other = places.get(key);
    if (other !== undefined)
      world.violated('one-place-per-task', `${task} stands in ${other} and in ${table}`, instanceId);
    places.set(key, table);
  };
  for (const { instance_id, task, subtask } of committedRows(tables.active))
    place(instance_id, subtask === '0' ? task : `${task} on ${subtask}`, 'active');
  for (const row of committedRows(tables.ready)) place(row.instance_id, row.task, 'ready');
  for (const row of committedRows(tables.delayed)) place(row.instance_id, row.task, 'delayed');
  for (const { instance_id, task } of committedRows(tables.held)) {
    place(instance_id, task, 'held');
    const state = living.get(instance_id)?.state ?? 'gone';
    if (state !== 'pausing' && state !== 'paused')
      world.violated('held-while-paused', `${task} is held while its instance is ${state}`, instance_id);
  }
  for (const { instance_id } of committedRows(tables.command)) driven.add(instance_id);
  const waits = waitingForSlots(world);
  for (const { id, state } of living.values()) {
    if (ended(id)) world.violated('ended-is-not-live', `the instance has ended and is live, ${state}`, id);
    if (!driven.has(id) && state !== 'paused' && !waits.has(id))
      world.violated('live-has-a-driver', `the instance is ${state} and nothing drives it on`, id);
  }
}

/** Queued instances whom somebody will hear: all slots of their workflow are taken by others, or an admission is due. */
function waitingForSlots({ database: { tables } }: World): ReadonlySet<string> {
  const due = new Set(
    committedRows(tables.followup).flatMap((row) => (row.kind === 'admission' ? [row.subject_id] : [])),
  );
  const taken = Map.groupBy(committedRows(tables.slot), (row) => row.workflow_id);
  const most = new Map(committedRows(tables.concurrency).map((row) => [row.workflow_id, row.slots ?? 0]));
  return new Set(
    committedRows(tables.live_instance).flatMap(({ id, state, workflow_id }) => {
      const isFull = (taken.get(workflow_id)?.length ?? 0) >= (most.get(workflow_id) ?? Infinity);
      return state === 'queued' && (isFull || due.has(workflow_id)) ? [id] : [];
    }),
  );
}

/** What a dead worker was bound to has been told to the instance in the same commit. */
function checkDeadWorkers(world: World): void {
  const { tables } = world.database;
  const dead = new Set(
    committedRows(tables.worker_incarnation).flatMap(({ id, state }) => (state === 'dead' ? [id] : [])),
  );
  if (dead.size === 0) return;
  const orphans = committedRows(tables.active).filter(({ incarnation_id }) => dead.has(incarnation_id));
  if (orphans.length === 0) return;
  const told = new Set(
    committedRows(tables.command).flatMap(({ kind, payload }) =>
      kind === 'attempt-ended' ? [(payload as { attemptId?: string }).attemptId] : [],
    ),
  );
  for (const { id, instance_id, task } of orphans)
    if (!told.has(id))
      world.violated('dead-worker-is-told', `${task} is bound to a dead worker and nobody is told`, instance_id);
}
