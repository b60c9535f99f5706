import type { ActiveAttempt, EngineEvent, LiveInstance, TaskRecord } from '@keelson/core';
import { call } from '../../connection/session.ts';
import type { Call, Rows } from '../../connection/session.ts';
import type { GenerationKey, InstanceFacts, ReportedEnd, TaskKey } from '../../../engine.ts';

const LIVE_COLUMNS =
  'l.id, l.version_id, l.generation, l.revision, l.state, l.unfinished, l.failed, l.ending, l.has_artifacts, l.failure, l.priority, l.begun, l.ended_ahead';

/** Locks: each instance's live row, for the whole step; one that is locked already is left to its holder. */
const LOCK_INSTANCES = {
  name: 'step-lock',
  text: `select ${LIVE_COLUMNS} from live_instance l where l.id = any($1::bigint[]) order by l.id for no key update skip locked`,
};

/**
 * Locks: as above, for instances that have commands due, oldest command first, one by one until there are enough. `offset 0` keeps the
 * planner from turning the look-up by key into a scan.
 */
const LOCK_COMMANDED = {
  name: 'step-lock-commanded',
  text: `select l.* from command c
          cross join lateral (select ${LIVE_COLUMNS} from live_instance l where l.id = c.instance_id offset 0 for no key update skip locked) l
          where c.not_before <= clock_timestamp() and ($2::bigint is null or c.instance_id = $2)
          order by c.id limit $1`,
};

/** Read again under the instance's lock: what the locking statement saw of commands may be applied and gone by now. */
const DUE_COMMANDS = {
  name: 'step-commands',
  text: `select id, instance_id, kind, payload from command
          where instance_id = any($1::bigint[]) and not_before <= clock_timestamp() order by id`,
};

const ACTIVE_COLUMNS =
  'a.id, a.instance_id, a.task, a.attempt, a.losses, a.state, a.kill_reason, a.incarnation_id, a.nonce, a.subtask_index';

const ACTIVE_BY_ID = {
  name: 'step-active',
  text: `select ${ACTIVE_COLUMNS} from active a where a.id = any($1::bigint[])`,
};

const COUNTERS = {
  name: 'step-counters',
  text: `select k.instance_id, k.task, n.met from unnest($1::bigint[], $2::text[]) as k(instance_id, task)
          cross join lateral (select met from need_counter where instance_id = k.instance_id and task = k.task offset 0) n`,
};

const FINISHED = {
  name: 'step-finished',
  text: `select k.instance_id, k.task, f.state, f.outputs, f.reason->>'code' as code
           from unnest($1::bigint[], $2::int[], $3::text[]) as k(instance_id, generation, task)
          cross join lateral (select state, outputs, reason from finished_task
                               where instance_id = k.instance_id and task = k.task and generation = k.generation offset 0) f`,
};

const ACTIVE_COUNT = {
  name: 'step-active-count',
  text: 'select instance_id, count(*)::int as active from active where instance_id = any($1::bigint[]) group by instance_id',
};

const HANDED_BACK = {
  name: 'step-handed-back',
  text: `select k.instance_id, k.task, e.attempt from unnest($1::bigint[], $2::int[], $3::text[]) as k(instance_id, generation, task)
          cross join lateral (select attempt from earlier_attempt
                               where instance_id = k.instance_id and task = k.task and generation = k.generation and subtask = 0
                                 and state = 'lost' and reason->>'code' = 'worker-shutdown' offset 0) e`,
};

/** Only a generation after the first has a row that may say otherwise than the instance's own. */
const FACTS = {
  name: 'instance-facts',
  text: `select i.id, k.generation, i.workflow_id, coalesce(g.version_id, i.version_id) as version_id, coalesce(g.params, i.params) as params, i.run_time,
                i.created_by
           from unnest($1::bigint[], $2::int[]) as k(id, generation)
          cross join lateral (select * from workflow_instance where id = k.id offset 0) i
           left join lateral (select version_id, params from instance_generation
                               where k.generation > 1 and instance_id = k.id and generation = k.generation offset 0) g on true`,
};

export const lockInstances = (ids: readonly string[]): Call => call(LOCK_INSTANCES, ids);
export const lockCommanded = (limit: number, only: string | undefined): Call =>
  call(LOCK_COMMANDED, limit, only ?? null);
export const dueCommands = (ids: readonly string[]): Call => call(DUE_COMMANDS, ids);
/** Only how the tasks ended, of any generation. */
export const finishedTasks = (keys: readonly TaskKey[]): Call =>
  call(
    FINISHED,
    keys.map(({ instanceId }) => instanceId),
    keys.map(({ generation }) => generation),
    keys.map(({ task }) => task),
  );
export const activeById = (ids: readonly string[]): Call => call(ACTIVE_BY_ID, ids);
export const activeCount = (ids: readonly string[]): Call => call(ACTIVE_COUNT, ids);
export const instanceFacts = (keys: readonly GenerationKey[]): Call =>
  call(
    FACTS,
    keys.map(({ instanceId }) => instanceId),
    keys.map(({ generation }) => generation),
  );

export const handedBack = (keys: readonly TaskKey[]): Call =>
  call(
    HANDED_BACK,
    keys.map(({ instanceId }) => instanceId),
    keys.map(({ generation }) => generation),
    keys.map(({ task }) => task),
  );

/** Two calls, in this order: counters, finished tasks. */
export function taskRecords(keys: readonly TaskKey[]): [Call, Call] {
  const ids = keys.map(({ instanceId }) => instanceId);
  const tasks = keys.map(({ task }) => task);
  return [call(COUNTERS, ids, tasks), finishedTasks(keys)];
}

export function liveFrom(row: Rows[number]): LiveInstance {
  return {
    id: row.id,
    versionId: row.version_id,
    generation: row.generation,
    revision: Number(row.revision),
    state: row.state,
    begun: row.begun,
    endedAhead: row.ended_ahead,
    unfinished: row.unfinished,
    failed: row.failed,
    ending: row.ending,
    hasArtifacts: row.has_artifacts,
    failure: row.failure,
    priority: row.priority,
  };
}

export function factsFrom(row: Rows[number]): InstanceFacts {
  return {
    id: row.id,
    generation: row.generation,
    workflowId: row.workflow_id,
    versionId: row.version_id,
    params: row.params,
    runTime: row.run_time.toISOString(),
    createdBy: row.created_by,
  };
}

export interface ActiveRow extends ActiveAttempt {
  readonly instanceId: string;
  readonly incarnationId: string;
  readonly nonce: string;
}

export function activeFrom(row: Rows[number]): ActiveRow {
  return {
    id: row.id,
    instanceId: row.instance_id,
    task: row.task,
    attempt: row.attempt,
    losses: row.losses,
    state: row.state,
    killReason: row.kill_reason,
    incarnationId: row.incarnation_id,
    nonce: row.nonce,
    ...(typeof row.subtask_index !== 'number'
      ? {}
      : { subtask: { incarnation: row.incarnation_id, index: row.subtask_index } }),
  };
}

/** Every key gets a record, so that "loaded and empty" differs from "not loaded". */
export function recordsInto(
  into: Map<string, Map<string, TaskRecord>>,
  keys: readonly TaskKey[],
  counters: Rows,
  finished: Rows,
): void {
  for (const { instanceId, task } of keys) recordsOf(into, instanceId).set(task, { met: 0 });
  for (const row of counters) recordsOf(into, row.instance_id).set(row.task, { met: row.met });
  for (const { instance_id, task, state, outputs, code } of finished) {
    const end = { state, outputs: outputs ?? {}, ...(code === null ? {} : { code }) };
    recordsOf(into, instance_id).set(task, { met: 0, end });
  }
}

export function recordsOf(all: Map<string, Map<string, TaskRecord>>, instanceId: string): Map<string, TaskRecord> {
  let records = all.get(instanceId);
  if (records === undefined) all.set(instanceId, (records = new Map()));
  return records;
}

/** What a report or an `attempt-ended` command says, once its attempt was found active. */
export function endEvent(
  attempt: ActiveAttempt,
  said: Omit<ReportedEnd, keyof TaskKey | 'attemptId' | 'incarnationId' | 'nonce'>,
): EngineEvent {
  return {
    type: 'attempt-ended',
    attempt,
    end: said.end,
    ...(said.reason === undefined ? {} : { reason: said.reason }),
    ...(said.outputs === undefined ? {} : { outputs: said.outputs }),
    ...(said.artifacts === undefined ? {} : { artifacts: said.artifacts }),
    ...(said.startedAgoMs === undefined ? {} : { startedAgoMs: said.startedAgoMs }),
    ...(said.endedAgoMs === undefined ? {} : { endedAgoMs: said.endedAgoMs }),
  };
}
