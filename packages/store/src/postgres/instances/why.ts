import { meetsNeed, TASK_END_STATES } from '@keelson/core';
import type {
  BroadcastFacts,
  CommandFacts,
  HeldFacts,
  JsonObject,
  TaskEndState,
  TaskFacts,
  TaskState,
  WaitFacts,
  WorkerFacts,
  WorkflowDefinition,
} from '@keelson/core';
import type pg from 'pg';
import type { Why } from '../../why.ts';
import { definitionCache } from '../definitions/definition-cache.ts';
import type { DefinitionReader } from '../definitions/definition-cache.ts';
import { summaryFrom } from './instance-rows.ts';
import { readInstance, rowlessOf } from './instances.ts';
import { iso } from '../connection/rows.ts';
import type { Queryable } from '../connection/rows.ts';
import { readTaskRows } from './task-rows.ts';
import type { Rowless, TaskRow } from './task-rows.ts';
import { inSnapshot } from '../connection/transaction.ts';

export function createWhy(pool: pg.Pool, definitions: DefinitionReader = definitionCache()): Why {
  return {
    facts: (instanceId) =>
      inSnapshot(pool, async (client) => {
        const row = await readInstance(client, instanceId);
        if (row === undefined) return undefined;
        const definition = await definitions(client, row.version_id);
        const rows = await readTaskRows(client, { instanceId, generation: row.generation, outputs: false });
        const places = await readPlaces(client, instanceId);
        const holders = await readHolders(client, instanceId);
        const fans = await readFans(client, instanceId, definition);
        const held = await readHeld(client, instanceId);
        const { id, state, reason } = summaryFrom(row);
        return {
          now: await readNow(client),
          instance: {
            id,
            state,
            policy: definition.concurrency.policy,
            reason,
            ...(state === 'queued' ? await readQueue(client, instanceId) : {}),
          },
          tasks: taskFacts(definition, rows, {
            rowless: rowlessOf(row),
            places,
            holders,
            special: new Map<string, HeldFacts | BroadcastFacts>([...held, ...fans]),
          }),
          commands: await readCommands(client, instanceId),
          parked: await readParked(client, instanceId),
          groups: await readGroups(client, [...new Set([...places.values()].map(({ worker_group }) => worker_group))]),
        } satisfies WaitFacts;
      }),
  };
}

/** Where the tasks are that have not ended. */
interface Placed {
  readonly rowless: Rowless;
  readonly places: ReadonlyMap<string, Place>;
  readonly holders: ReadonlyMap<string, Holder>;
  /** Held ones, and broadcasts whose subtasks are under way. */
  readonly special: ReadonlyMap<string, HeldFacts | BroadcastFacts>;
}

const ENDS: ReadonlySet<TaskState> = new Set(TASK_END_STATES);
const isEnd = (state: TaskState): state is TaskEndState => ENDS.has(state);

function taskFacts(
  definition: WorkflowDefinition,
  rows: ReadonlyMap<string, TaskRow>,
  { rowless, places, holders, special }: Placed,
): TaskFacts[] {
  const stateOf = (task: string): TaskState => rows.get(task)?.state ?? rowless.state;
  return Object.values(definition.tasks).flatMap(({ id, needs }): TaskFacts[] => {
    const row = rows.get(id);
    if (row === undefined && rowless.state === 'waiting') {
      const unmet = Object.entries(needs).filter(([need, accepts]) => {
        const state = stateOf(need);
        return !isEnd(state) || !meetsNeed(accepts, { state, code: rows.get(need)?.reason?.code });
      });
      return [{ task: id, state: 'waiting', unmet: unmet.map(([need]) => ({ task: need, state: stateOf(need) })) }];
    }
    if (row === undefined)
      return [{ task: id, state: 'stopped', reason: rowless.reason, endedAt: rowless.endedAt ?? '' }];
    const fact = special.get(id) ?? rowFacts(row, places.get(id), holders.get(id));
    return fact === undefined ? [] : [fact];
  });
}

function rowFacts(row: TaskRow, place: Place | undefined, holder: Holder | undefined): TaskFacts | undefined {
  const { task, state, reason, ended_at, due_at, cause } = row;
  if (state === 'succeeded' || state === 'waiting') return undefined;
  if (state === 'delayed')
    return due_at === null
      ? undefined
      : { task, state, cause: cause ?? 'delay', attempt: row.attempt + 1, dueAt: iso(due_at) };
  if (state === 'ready') {
    if (place === undefined) return undefined;
    return {
      task,
      state,
      since: iso(place.ready_at),
      group: place.worker_group,
      capability: place.capability,
      position: place.position,
    };
  }
  if (state === 'dispatched' || state === 'running') {
    if (holder === undefined) return undefined;
    const worker = { name: holder.name, state: holder.state, leaseUntil: iso(holder.lease_until) };
    return {
      task,
      state,
      attempt: row.attempt,
      since: iso(holder.since),
      killReason: row.kill_reason,
      progress: row.progress,
      worker,
    };
  }
  const carried = row.carried_from === null ? {} : { carriedFrom: row.carried_from };
  return { task, state, reason, endedAt: ended_at === null ? '' : iso(ended_at), ...carried };
}

/** Tasks that wait for the instance to be resumed. */
async function readHeld(client: Queryable, instanceId: string): Promise<Map<string, HeldFacts>> {
  const { rows } = await client.query<Omit<HeldFacts, 'held'>>(
    `select task, case when cause is null then 'ready' else 'delayed' end as state, attempt, cause, delay_left_ms as "delayLeftMs"
       from held where instance_id = $1`,
    [instanceId],
  );
  return new Map(rows.map((row) => [row.task, { ...row, held: true }]));
}

/** The limit that holds the instance back, and who is before it in the order of the policy. */
async function readQueue(
  client: Queryable,
  instanceId: string,
): Promise<{ readonly queue?: NonNullable<WaitFacts['instance']['queue']> }> {
  const { rows } = await client.query<NonNullable<WaitFacts['instance']['queue']>>(
    `select c.policy, c.slots, (select count(*)::int from slot s where s.workflow_id = c.workflow_id) as used,
            array(select s.instance_id::text from slot s where s.workflow_id = c.workflow_id order by s.held_since, s.instance_id limit 5) as holders,
            (select count(*)::int from live_instance o
              where o.workflow_id = c.workflow_id and o.limited and o.state = 'queued'
                and not exists (select from slot s where s.workflow_id = o.workflow_id and s.instance_id = o.id)
                and case c.policy when 'serial-priority' then (-o.priority, o.place) < (-l.priority, l.place) else o.place < l.place end) as ahead
       from live_instance l join concurrency c on c.workflow_id = l.workflow_id where l.id = $1`,
    [instanceId],
  );
  return rows[0] === undefined ? {} : { queue: rows[0] };
}

interface Place {
  readonly task: string;
  readonly worker_group: string;
  readonly capability: string;
  readonly ready_at: Date;
  readonly position: number;
}

/** The line is counted whole, in the groups where this instance stands in it. */
async function readPlaces(client: Queryable, instanceId: string): Promise<Map<string, Place>> {
  const { rows } = await client.query<Place>(
    `select task, worker_group, capability, ready_at, position::int from (
       select r.*, row_number() over (partition by worker_group, capability order by priority desc, seq) as position from ready r
        where worker_group in (select worker_group from ready where instance_id = $1)) r
      where r.instance_id = $1`,
    [instanceId],
  );
  return new Map(rows.map((row) => [row.task, row]));
}

interface Holder {
  readonly task: string;
  readonly name: string;
  readonly state: 'live' | 'draining' | 'dead';
  readonly lease_until: Date;
  readonly since: Date;
}

async function readHolders(client: Queryable, instanceId: string): Promise<Map<string, Holder>> {
  const { rows } = await client.query<Holder>(
    `select a.task, w.name, w.state, w.lease_until, coalesce(a.started_at, a.dispatched_at) as since
       from active a join worker_incarnation w on w.id = a.incarnation_id where a.instance_id = $1 and a.subtask = 0`,
    [instanceId],
  );
  return new Map(rows.map((row) => [row.task, row]));
}

interface FanRow {
  readonly task: string;
  readonly since: Date;
  readonly total: number;
  readonly waiting: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly lost: number;
  readonly holders:
    | {
        readonly worker: string;
        readonly state: 'dispatched' | 'running';
        readonly killReason: 'stop' | 'timeout' | null;
        readonly leaseUntil: string;
      }[]
    | null;
}

/** Broadcasts whose subtasks are under way, by task. */
async function readFans(
  client: Queryable,
  instanceId: string,
  { tasks }: WorkflowDefinition,
): Promise<Map<string, BroadcastFacts>> {
  if (!Object.values(tasks).some(({ broadcast }) => broadcast !== undefined)) return new Map();
  const { rows } = await client.query<FanRow>(
    `select b.task, b.since, b.total, b.waiting, b.succeeded, b.failed, b.lost, h.holders from broadcast b
       left join lateral (
         select jsonb_agg(jsonb_build_object('worker', w.name, 'state', a.state, 'killReason', a.kill_reason, 'leaseUntil', w.lease_until) order by a.subtask_index) as holders
           from active a join worker_incarnation w on w.id = a.incarnation_id
          where a.instance_id = b.instance_id and a.task = b.task and a.subtask <> 0 and a.state <> 'bound') h on true
      where b.instance_id = $1 and b.phase = 'fan'`,
    [instanceId],
  );
  return new Map(
    rows.map(({ task, since, total, waiting, succeeded, failed, lost, holders }): [string, BroadcastFacts] => {
      const parallel = tasks[task]?.broadcast?.parallel ?? total;
      const broadcast = { total, waiting, succeeded, failed, lost, parallel };
      return [task, { task, state: 'running', since: iso(since), broadcast, holders: holders ?? [] }];
    }),
  );
}

async function readNow(client: Queryable): Promise<string> {
  const { rows } = await client.query<{ now: Date }>('select clock_timestamp() as now');
  return iso(rows[0]?.now ?? new Date(NaN));
}

interface CommandRow {
  readonly kind: string;
  readonly created_at: Date;
  readonly tries: number;
  readonly last_error: string | null;
  readonly not_before: Date | null;
}

async function readCommands(client: Queryable, instanceId: string): Promise<CommandFacts[]> {
  const { rows } = await client.query<CommandRow>(
    `select kind, created_at, tries, last_error, case when isfinite(not_before) then not_before end as not_before
       from command where instance_id = $1 order by id`,
    [instanceId],
  );
  return rows.map(({ kind, created_at, tries, last_error, not_before }) => ({
    kind,
    createdAt: iso(created_at),
    tries,
    lastError: last_error,
    notBefore: not_before === null ? null : iso(not_before),
  }));
}

async function readParked(client: Queryable, instanceId: string): Promise<WaitFacts['parked']> {
  const { rows } = await client.query<{
    kind: string;
    payload: JsonObject;
    tries: number;
    error: string;
    parked_at: Date;
  }>('select kind, tries, error, parked_at from command_error where instance_id = $1 order by id', [instanceId]);
  return rows.map(({ kind, tries, error, parked_at }) => ({ kind, tries, error, at: iso(parked_at) }));
}

async function readGroups(client: Queryable, groups: readonly string[]): Promise<Record<string, WorkerFacts[]>> {
  if (groups.length === 0) return {};
  const { rows } = await client.query<WorkerFacts & { worker_group: string }>(
    `select w.worker_group, w.name, w.capabilities, w.slots,
            (select count(*)::int from active a where a.incarnation_id = w.id and a.state <> 'bound') as "inUse"
       from worker_incarnation w
      where w.state = 'live' and w.lease_until > clock_timestamp() and w.worker_group = any($1::text[]) order by w.name`,
    [groups],
  );
  const facts = rows.map(({ worker_group: group, name, capabilities, slots, inUse }) => ({
    group,
    worker: { name, capabilities, slots, inUse },
  }));
  return Object.fromEntries(
    groups.map((name) => [name, facts.filter(({ group }) => group === name).map(({ worker }) => worker)]),
  );
}
