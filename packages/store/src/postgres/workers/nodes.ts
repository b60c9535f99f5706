import type pg from 'pg';
import { taskInstanceId } from '../../ids.ts';
import type {
  Nodes,
  ServerLoad,
  ServerNode,
  ServerNodeDraft,
  WorkerGroup,
  WorkerNode,
  WorkerTask,
} from '../../nodes.ts';
import { StoreError } from '../../store-error.ts';
import { iso } from '../connection/rows.ts';
import { inSnapshot } from '../connection/transaction.ts';

const SEEN = `
  with forgotten as (
    delete from server_node where id <> $1 and seen_until < clock_timestamp() - interval '1 day'
  )
  insert into server_node (id, roles, host, pid, url, version, seen_until, schema_version, draining, load, workers, gateway_url)
  values ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 millisecond', $8, $9, $10, $11, $12)
  on conflict (id) do update set seen_until = excluded.seen_until, roles = excluded.roles, url = excluded.url, seen_at = clock_timestamp(),
    draining = excluded.draining, load = excluded.load, workers = excluded.workers, gateway_url = excluded.gateway_url`;

const SERVERS = `
  select id, roles, host, pid, url, version, schema_version, started_at, seen_at, seen_until, draining, load,
         gateway_url, seen_until > clock_timestamp() as alive
    from server_node order by host, started_at, id`;

/** Of the servers that say they have met a worker, the one that met it last. */
const WORKERS = `
  with met as (
    select distinct on (w.key) w.key::bigint as id, coalesce(n.url, n.id) as gateway, (w.value ->> 'load')::float8 as load
      from server_node n, jsonb_each(n.workers) w
     order by w.key, n.seen_at - (w.value ->> 'agoMs')::float8 * interval '1 millisecond' desc
  )
  select i.id, name, worker_group, state, slots, capabilities, host, pid, version, registered_at, lease_until, protocol,
         revoked_at is not null as revoked, lease_until <= clock_timestamp() as lease_over, met.gateway, met.load
    from worker_incarnation i left join met on met.id = i.id
   where state <> 'dead' order by worker_group, name, i.id`;

const GROUPS = `
  select name, lease_ms, (select count(*) from worker_incarnation where worker_group = g.name and state <> 'dead')::int as workers
    from worker_group g`;
const SET_LEASE = `
  insert into worker_group (name, lease_ms) values ($1, $2) on conflict (name) do update set lease_ms = excluded.lease_ms`;

const RUNNING = `
  select a.incarnation_id, a.instance_id, a.generation, a.task, a.attempt, a.state, coalesce(a.started_at, a.dispatched_at) as since,
         p.name as project, w.name as workflow
    from active a join live_instance l on l.id = a.instance_id
    join workflow w on w.id = l.workflow_id join project p on p.id = w.project_id
   where a.incarnation_id = any($1::bigint[]) and a.state <> 'bound' order by a.id`;

interface ServerRow {
  readonly id: string;
  readonly roles: string[];
  readonly host: string;
  readonly pid: number;
  readonly url: string | null;
  readonly gateway_url: string | null;
  readonly version: string;
  readonly schema_version: number | null;
  readonly started_at: Date;
  readonly seen_at: Date;
  readonly seen_until: Date;
  readonly alive: boolean;
  readonly draining: boolean;
  readonly load: ServerLoad | null;
}

interface WorkerRow {
  readonly id: string;
  readonly name: string;
  readonly worker_group: string;
  readonly state: 'live' | 'draining';
  readonly slots: number;
  readonly capabilities: string[];
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly registered_at: Date;
  readonly lease_until: Date;
  readonly lease_over: boolean;
  readonly protocol: number;
  readonly revoked: boolean;
  readonly gateway: string | null;
  readonly load: number | null;
}

interface GroupRow {
  readonly name: string;
  readonly lease_ms: number;
  readonly workers: number;
}

interface RunningRow {
  readonly incarnation_id: string;
  readonly instance_id: string;
  readonly generation: number;
  readonly task: string;
  readonly attempt: number;
  readonly state: 'dispatched' | 'running';
  readonly since: Date;
  readonly project: string;
  readonly workflow: string;
}

export function createNodes(pool: pg.Pool): Nodes {
  return {
    seen: async (node, ttlMs) => void (await pool.query(SEEN, seenValues(node, ttlMs))),
    remove: async (id) => void (await pool.query('delete from server_node where id = $1', [id])),
    servers: async () => (await pool.query<ServerRow>(SERVERS)).rows.map(serverFrom),
    workers: () =>
      inSnapshot(pool, async (client) => {
        const { rows } = await client.query<WorkerRow>(WORKERS);
        const running = await client.query<RunningRow>(RUNNING, [rows.map(({ id }) => id)]);
        const tasks = Map.groupBy(running.rows, (row) => row.incarnation_id);
        return rows.map((row) => workerFrom(row, (tasks.get(row.id) ?? []).map(taskFrom)));
      }),
    groups: async () => (await pool.query<GroupRow>(`${GROUPS} order by name`)).rows.map(groupFrom),
    setLease: async (group, leaseMs) => {
      if (!Number.isInteger(leaseMs) || leaseMs < SHORTEST_LEASE_MS || leaseMs > LONGEST_LEASE_MS)
        throw new StoreError('invalid', 'invalid-lease', 'a lease is between 10 s and 10 min');
      await pool.query(SET_LEASE, [group, leaseMs]);
      const { rows } = await pool.query<GroupRow>(`${GROUPS} where name = $1`, [group]);
      const [row] = rows;
      if (row === undefined) throw new Error(`worker group ${group} vanished`);
      return groupFrom(row);
    },
  };
}

/** A worker that cannot renew kills its tasks within its lease: less than this leaves no time for it. */
const SHORTEST_LEASE_MS = 10_000;
const LONGEST_LEASE_MS = 600_000;

function groupFrom({ name, lease_ms, workers }: GroupRow): WorkerGroup {
  return { name, leaseMs: lease_ms, workers };
}

function seenValues(node: ServerNodeDraft, ttlMs: number): unknown[] {
  const { id, roles, host, pid, url, version, schemaVersion, draining, load, workers, gatewayUrl } = node;
  const contacts = JSON.stringify(Object.fromEntries(workers));
  return [
    id,
    roles,
    host,
    pid,
    url ?? null,
    version,
    ttlMs,
    schemaVersion,
    draining,
    JSON.stringify(load),
    workers.size === 0 ? null : contacts,
    gatewayUrl ?? null,
  ];
}

function serverFrom(row: ServerRow): ServerNode {
  const { id, roles, host, pid, url, version, alive, draining, load } = row;
  return {
    id,
    roles,
    host,
    pid,
    url,
    gatewayUrl: row.gateway_url,
    version,
    schemaVersion: row.schema_version,
    startedAt: iso(row.started_at),
    seenAt: iso(row.seen_at),
    seenUntil: iso(row.seen_until),
    alive,
    draining,
    load,
  };
}

function workerFrom(row: WorkerRow, running: WorkerTask[]): WorkerNode {
  const { name, state, slots, capabilities, host, pid, version, protocol, revoked, gateway, load } = row;
  return {
    incarnation: row.id,
    name,
    group: row.worker_group,
    state,
    slots,
    inUse: running.length,
    capabilities,
    host,
    pid,
    version,
    registeredAt: iso(row.registered_at),
    leaseUntil: iso(row.lease_until),
    leaseOver: row.lease_over,
    protocol,
    revoked,
    gateway,
    load,
    running,
  };
}

function taskFrom(row: RunningRow): WorkerTask {
  const key = { instanceId: row.instance_id, generation: row.generation, task: row.task };
  const { project, workflow, attempt, state } = row;
  return { ...key, id: taskInstanceId(key), project, workflow, attempt, state, since: iso(row.since) };
}
