import { OPERATION_TABLE, SKIPPED_BY_OPERATOR } from '@keelson/core';
import type { Clock, InstanceLiveState, Operation } from '@keelson/core';
import { systemClock } from '@keelson/core/system';
import type {
  GenerationOutcome,
  GenerationRequest,
  LiveOperation,
  OperationOutcome,
  Operations,
} from '../../operations.ts';
import { again } from '../connection/again.ts';
import { isId } from '../connection/rows.ts';
import { call } from '../connection/session.ts';
import type { Call, Rows, Runner } from '../connection/session.ts';

/**
 * The live row FOR KEY SHARE, so that the instance cannot end between the look and the command; and `ahead`: the state that it will be in when the
 * commands that wait are applied, for two buttons pressed one after the other shall not be told of the state before the first.
 */
const AHEAD = `live as (
    select id, state, generation, priority from live_instance where id = $1 for key share
  ), steering as (
    select kind from command where instance_id = $1 and kind in ('pause', 'resume', 'stop') order by (kind = 'stop') desc, id desc limit 1
  ), ahead as (
    select l.id, l.generation, l.priority, case s.kind when 'stop' then 'stopping' when 'pause' then 'pausing' when 'resume' then 'running' else l.state end as state
      from live l left join steering s on true
  )`;
const ANSWER = `(select state from ahead) as state, exists (select from asked) as asked, exists (select from workflow_instance where id = $1) as known`;

/** $2 the command, $3 who asks, $4 the states in which the table of operations applies it. */
const STEER = {
  name: 'operate-steer',
  text: `
  with ${AHEAD}, asked as (
    insert into command (instance_id, kind, payload)
    select id, $2, jsonb_build_object('by', $3::text) from ahead where state = any($4::text[]) returning 1
  )
  select ${ANSWER}`,
};

/** $2 the task. What a worker has, or has ended, is not skipped; the decision looks again under the lock. */
const SKIP = {
  name: 'operate-skip',
  text: `
  with ${AHEAD}, waiting as (
    select 1 from command where instance_id = $1 and kind = 'skip-task' and payload->>'task' = $2 limit 1
  ), ended as (
    select f.state, f.reason->>'code' as code from live l
      join finished_task f on f.instance_id = $1 and f.task = $2 and f.generation = l.generation
  ), held as (
    select case when subtask = 0 then state else 'running' end as state from active where instance_id = $1 and task = $2 limit 1
  ), asked as (
    insert into command (instance_id, kind, payload)
    select id, 'skip-task', jsonb_build_object('task', $2::text, 'by', $3::text) from ahead
     where state = any($4::text[]) and not exists (select from waiting) and not exists (select from ended) and not exists (select from held)
    returning 1
  )
  select ${ANSWER}, exists (select from waiting) as waiting, (select state from ended) as ended, (select code from ended) as code, (select state from held) as held`,
};

/** $2 the priority. Of those that wait the last one counts. */
const PRIORITISE = {
  name: 'operate-prioritise',
  text: `
  with ${AHEAD}, asked as (
    insert into command (instance_id, kind, payload)
    select a.id, 'set-priority', jsonb_build_object('priority', $2::int, 'by', $3::text) from ahead a
      left join (select (payload->>'priority')::int as priority from command where instance_id = $1 and kind = 'set-priority' order by id desc limit 1) c on true
     where a.state = any($4::text[]) and coalesce(c.priority, a.priority) <> $2::int
    returning 1
  )
  select ${ANSWER}`,
};

/**
 * All of a new generation in one statement. Two at once meet at the key of `instance_generation`: the second waits there and writes nothing.
 * What retention removes meanwhile is not begun again: its row is locked FOR KEY SHARE, and that of a partition that goes is noted in `removal`.
 * Of a workflow with a limit it waits for a slot; its `begin` is the admission's to write then.
 */
const BEGIN = {
  name: 'begin-generation',
  text: `
  with kept as (
    select id from workflow_instance where id = $1 for key share
  ), made as (
    insert into instance_generation (instance_id, generation, mode, task, version_id, params, created_by)
    select $1::bigint, $2::int + 1, $3::text, $4::text, $5::bigint, $6::jsonb, $7::text
     where (select max(generation) from instance_end where instance_id = $1) = $2 and not exists (select from live_instance where id = $1)
       and exists (select from kept) and not exists (select from removal where whole_partition and $1 between first_id and last_id)
    on conflict (instance_id, generation) do nothing returning *
  ), live as (
    insert into live_instance (id, workflow_id, version_id, generation, state, unfinished, priority, limited, backfill_id)
    select i.id, i.workflow_id, m.version_id, m.generation, case when c.slots is null then 'running' else 'queued' end, $8::int, i.priority,
           c.slots is not null, i.backfill_id
      from made m join workflow_instance i on i.id = m.instance_id left join concurrency c on c.workflow_id = i.workflow_id
    returning id, workflow_id, limited
  ), begun as (
    insert into command (instance_id, kind, payload)
    select l.id, 'begin', jsonb_strip_nulls(jsonb_build_object('mode', m.mode, 'task', m.task, 'by', m.created_by)) from live l, made m where not l.limited
  ), held_back as (
    insert into followup (kind, subject_id, instance_id) select 'admission', workflow_id, id from live where limited
  ), noted as (
    insert into history (instance_id, events)
    select l.id, jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('type', 'generation-created', 'generation', m.generation, 'mode', m.mode, 'task', m.task,
             'by', m.created_by, 'version', m.version_id::text, 'queued', case when l.limited then true end))) from live l, made m
  )
  select limited from live`,
};

/** Why nothing was made: what there is instead. */
const LOOK = {
  name: 'begin-look',
  text: `select l.generation as live_generation, l.state, e.generation as ended_generation,
                g.mode = $3 and g.task is not distinct from $4 and g.version_id = $5 and g.params = $6::jsonb as same
           from workflow_instance i
           left join live_instance l on l.id = i.id
           left join lateral (select max(generation) as generation from instance_end where instance_id = $1) e on true
           left join instance_generation g on g.instance_id = $1 and g.generation = $2::int + 1
          where i.id = $1`,
};

export function createOperations(runner: Runner, clock: Clock = systemClock): Operations {
  const first = async (calls: readonly Call[]): Promise<Rows> => (await runner.run(calls))[0] ?? [];
  return {
    operate: (instanceId, operation, by) =>
      again(clock, async () => {
        if (!isId(instanceId)) return { kind: 'unknown' } as const;
        return outcomeFrom(operation, (await first([operationCall(instanceId, operation, by)]))[0]);
      }),
    beginGeneration: (request) =>
      again(clock, async () => {
        if (!isId(request.instanceId)) return { kind: 'unknown' } as const;
        const { instanceId, after, mode, task = null, versionId, params, by, taskCount } = request;
        const asked = [instanceId, after, mode, task, versionId, JSON.stringify(params)];
        const [made] = await first([call(BEGIN, ...asked, by, taskCount)]);
        if (made !== undefined)
          return { kind: 'begun', generation: after + 1, state: made.limited ? 'queued' : 'running' } as const;
        return instead(request, (await first([call(LOOK, ...asked)]))[0]);
      }),
  };
}

function operationCall(instanceId: string, operation: LiveOperation, by: string): Call {
  const states = appliesIn(operation.type);
  switch (operation.type) {
    case 'skip-task':
      return call(SKIP, instanceId, operation.task, by, states);
    case 'set-priority':
      return call(PRIORITISE, instanceId, operation.priority, by, states);
    default:
      return call(STEER, instanceId, operation.type, by, states);
  }
}

/** The states in which the table of operations applies it. */
function appliesIn(operation: Operation): string[] {
  return Object.entries(OPERATION_TABLE[operation]).flatMap(([state, { kind }]) => (kind === 'apply' ? [state] : []));
}

const FOLLOWING: Readonly<Record<'pause' | 'resume' | 'stop', InstanceLiveState>> = {
  pause: 'pausing',
  resume: 'running',
  stop: 'stopping',
};

function outcomeFrom({ type }: LiveOperation, row: Rows[number] | undefined): OperationOutcome {
  if (row === undefined || row.state === null) return { kind: row?.known === true ? 'ended' : 'unknown' };
  const state: InstanceLiveState = row.state;
  if (row.asked === true) return { kind: 'requested', state: type in FOLLOWING ? FOLLOWING[type as 'pause'] : state };
  const answer = OPERATION_TABLE[type][state];
  if (answer.kind === 'refuse') return { kind: 'refused', state };
  if (type === 'skip-task' && row.waiting !== true && row.code !== SKIPPED_BY_OPERATOR)
    return { kind: 'task-refused', taskState: row.ended ?? row.held };
  return { kind: 'already', state };
}

function instead({ after }: GenerationRequest, row: Rows[number] | undefined): GenerationOutcome {
  if (row === undefined) return { kind: 'unknown' };
  if (row.same === true) return { kind: 'already', generation: after + 1 };
  if (row.live_generation !== null) return { kind: 'live', generation: row.live_generation, state: row.state };
  return { kind: 'changed', generation: row.ended_generation ?? 1 };
}
