import type { Answer } from '../database.ts';
import type { Execution, Found, Steps } from '../execution.ts';
import type { ActiveRow, ReadyRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { byNumber, flag, id, idList, json, number, orNull, text, textList, unnest } from '../values.ts';
import { aliveForBinding, bind, boundColumns, dispatched } from './step-line.ts';
import { command, inOrder, noteEach } from './emulation.ts';
import type { Emulations } from './emulation.ts';

interface Said {
  readonly id: string;
  readonly incarnation_id: string;
  readonly nonce: string;
}

/** Claims, notes of workers and what they are compared with: see postgres/engine/claim.ts and engine.ts. */
export const CLAIM: Emulations = {
  *claim(it, tables, [group, capabilities, slots, incarnations, nonce]) {
    const alive = yield* aliveForBinding(it, tables, new Set(idList(incarnations)));
    const free = idList(slots).filter((slot) => alive.has(slot));
    const picked = yield* pick(it, tables, text(group), new Set(textList(capabilities)), free.length);
    const bound: ActiveRow[] = [];
    for (const [at, row] of picked.entries()) {
      const fence = { incarnation_id: free[at] ?? '', nonce: `${text(nonce)}-${at + 1}` };
      bound.push(yield* bind(it, tables, { ...row, ...fence }));
    }
    for (const row of picked) {
      const found = it.byKey(tables.ready, keyOf(row.instance_id, row.task));
      if (found !== undefined) yield* it.remove(found);
    }
    yield* noteEach(it, tables, bound, dispatched);
    const live_slots = free.length;
    if (bound.length === 0) return [{ live_slots, id: null }];
    return bound.map((row) => ({ live_slots, ...boundColumns(row), ...liveColumns(it, tables, row.instance_id) }));
  },

  *started(it, tables, values) {
    type Started = Said & { started_ago: number; timeout_ms: number | null; timeout_action: string | null };
    const said = unnest<Started>(values, {
      id,
      incarnation_id: id,
      nonce: text,
      started_ago: number,
      timeout_ms: orNull(number),
      timeout_action: orNull(text),
    });
    const isDispatched = ({ state }: ActiveRow): boolean => state === 'dispatched';
    const held = yield* lockInOrder(it, tables, said, isDispatched);
    const running: ActiveRow[] = [];
    for (const { started_ago, timeout_ms, timeout_action, ...fence } of said) {
      const found = held.has(fence.id) ? it.byKey(tables.active, fence.id) : undefined;
      const fits = (row: ActiveRow): boolean => isDispatched(row) && isFenced(row, fence);
      if (found === undefined || !fits(found.row)) continue;
      const now = it.clock.now();
      const timeout_at = timeout_ms === null ? null : now + timeout_ms - started_ago;
      const change = { state: 'running', started_at: now - started_ago, timeout_at, timeout_action };
      const row = yield* it.update(found, (one) => ({ ...one, ...change }), fits);
      if (row !== undefined) running.push(row);
    }
    yield* noteEach(it, tables, running, ({ task, attempt, id: attemptId }) => ({
      type: 'task-running',
      task,
      attempt,
      attemptId,
    }));
    return [];
  },

  *'worker-progress'(it, tables, values) {
    const said = unnest<Said & { progress: unknown }>(values, { id, incarnation_id: id, nonce: text, progress: json });
    const held = yield* lockInOrder(it, tables, said, () => true);
    for (const { progress, ...fence } of said) {
      const found = held.has(fence.id) ? it.byKey(tables.active, fence.id) : undefined;
      const fits = (row: ActiveRow): boolean => isFenced(row, fence);
      if (found !== undefined && fits(found.row)) yield* it.update(found, (row) => ({ ...row, progress }), fits);
    }
    return [];
  },

  'active-of': (it, tables, [incarnations, onlyKilled]) => {
    const wanted = new Set(idList(incarnations));
    const now = it.clock.now();
    return inOrder(
      it.all(
        tables.active,
        (row) =>
          wanted.has(row.incarnation_id) && row.state !== 'bound' && (!flag(onlyKilled) || row.kill_reason !== null),
      ),
      (row) => row.id,
    ).flatMap(({ row }): Answer => {
      const live = liveColumns(it, tables, row.instance_id);
      if (live === undefined) return [];
      const { kill_reason, dispatched_at, subtask_index, not_before } = row;
      const start_after = not_before === null ? null : not_before - now;
      return [
        {
          ...boundColumns(row),
          kill_reason,
          dispatched_ago: String(now - dispatched_at),
          subtask_index,
          start_after,
          ...live,
        },
      ];
    });
  },

  *'defer-report'(it, tables, [instances, payloads, error]) {
    const wanted = [...new Set(idList(instances))].toSorted(byNumber);
    const held = new Set<string>();
    for (const key of wanted) {
      const found = it.byKey(tables.live_instance, key);
      if (found !== undefined && (yield* it.lock(found, 'key share')) !== undefined) held.add(key);
    }
    const reports = unnest<{ instance_id: string; payload: unknown }>([instances, payloads], {
      instance_id: id,
      payload: json,
    });
    for (const { instance_id, payload } of reports)
      if (held.has(instance_id)) yield* command(it, tables, instance_id, 'attempt-ended', payload, text(error));
    return [];
  },
};

/** The first in line that nobody else is taking. */
function* pick(
  it: Execution,
  { ready }: Tables,
  group: string,
  capabilities: ReadonlySet<string>,
  count: number,
): Steps<ReadyRow[]> {
  const inLine = (one: Found<ReadyRow>, other: Found<ReadyRow>): number =>
    other.row.priority - one.row.priority || byNumber(one.row.seq, other.row.seq);
  const waiting = it.all(ready, (row) => row.worker_group === group && capabilities.has(row.capability));
  // Of each kind no more than the front: what others have locked there counts too.
  const fronts = [...Map.groupBy(waiting, ({ row }) => row.capability).values()].map((kind) =>
    kind.toSorted(inLine).slice(0, count * 4 + 64),
  );
  const line = fronts.flat().toSorted(inLine);
  const picked: ReadyRow[] = [];
  for (const found of line) {
    if (picked.length >= count) break;
    const held = yield* it.lock(found, 'update', 'skip');
    if (held !== undefined) picked.push(held.row);
  }
  return picked;
}

/** Locks the attempts' rows in id order; answers those that it got. */
function* lockInOrder(
  it: Execution,
  { active }: Tables,
  said: readonly Said[],
  matches: (row: ActiveRow) => boolean,
): Steps<Set<string>> {
  const held = new Set<string>();
  for (const key of [...new Set(said.map((one) => one.id))].toSorted(byNumber)) {
    const found = it.byKey(active, key);
    if (found === undefined || !matches(found.row)) continue;
    if ((yield* it.lock(found, 'no key update', 'wait', matches)) !== undefined) held.add(key);
  }
  return held;
}

function isFenced(row: ActiveRow, { id, incarnation_id, nonce }: Said): boolean {
  return row.id === id && row.incarnation_id === incarnation_id && row.nonce === nonce;
}

function liveColumns(it: Execution, { live_instance }: Tables, instanceId: string): Answer[number] | undefined {
  const row = it.byKey(live_instance, instanceId)?.row;
  return row === undefined ? undefined : { version_id: row.version_id, has_artifacts: row.has_artifacts };
}
