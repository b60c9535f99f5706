import type { BroadcastRecord, SnapshotWorker } from '@keelson/core';
import type { TaskKind } from '../../../engine.ts';
import { call } from '../../connection/session.ts';
import type { Call, Rows } from '../../connection/session.ts';

const BROADCASTS = {
  name: 'step-broadcasts',
  text: `select instance_id, task, phase, prior_attempts, total, waiting, running, succeeded, failed, lost, stopped, skipped,
                extract(epoch from clock_timestamp() - since)::float8 * 1000 as since_ago
           from broadcast where instance_id = any($1::bigint[])`,
};

/**
 * Whom a broadcast is for: the newest live incarnation of each worker, which a key makes the only one. Locks: these incarnations FOR KEY
 * SHARE until the step is committed, against an expiry, which finds what was bound to them when it comes after it.
 */
const SNAPSHOT = {
  name: 'step-snapshot',
  text: `select w.id, w.name, w.worker_group, w.capabilities from worker_incarnation w
          where w.state = 'live' and w.lease_until > clock_timestamp()
            and exists (select from unnest($1::text[], $2::text[]) as k(worker_group, capability)
                         where k.worker_group = w.worker_group and k.capability = any(w.capabilities))
          order by w.id for key share`,
};

export const broadcastsOf = (instanceIds: readonly string[]): Call => call(BROADCASTS, instanceIds);

export const snapshotOf = (kinds: readonly TaskKind[]): Call =>
  call(
    SNAPSHOT,
    kinds.map(({ workerGroup }) => workerGroup),
    kinds.map(({ capability }) => capability),
  );

export function broadcastFrom(row: Rows[number]): BroadcastRecord {
  const { phase, total, waiting, running, succeeded, failed, lost, stopped, skipped } = row;
  const counts = { total, waiting, running, succeeded, failed, lost, stopped, skipped };
  return { phase, priorAttempts: row.prior_attempts, ...counts, sinceAgoMs: Math.max(0, Number(row.since_ago)) };
}

/** Those of a snapshot that can run this kind of task. */
export function workersFor({ workerGroup, capability }: TaskKind, snapshot: Rows): SnapshotWorker[] {
  return snapshot
    .filter((row) => row.worker_group === workerGroup && row.capabilities.includes(capability))
    .map((row) => ({ incarnation: row.id, worker: row.name }));
}
