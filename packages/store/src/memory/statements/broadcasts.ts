import type { Answer } from '../database.ts';
import type { Execution, Steps } from '../execution.ts';
import type { ActiveRow, BroadcastRow, FinishedSubtaskRow, IncarnationRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { byNumber, id, idList, json, number, orNull, text, textList, unnest } from '../values.ts';
import { command, inOrder, noteEach } from './emulation.ts';
import type { Emulations } from './emulation.ts';
import { boundColumns, dispatched } from './step-line.ts';

type Counted = Omit<BroadcastRow, 'since'>;

/** Broadcasts and their subtasks: see postgres/engine/step/read-broadcasts.ts, write-broadcasts.ts and engine.ts. */
export const BROADCASTS: Emulations = {
  'step-broadcasts': (it, { broadcast }, [ids]) => {
    const wanted = new Set(idList(ids));
    const now = it.clock.now();
    return it
      .all(broadcast, (row) => wanted.has(row.instance_id))
      .map(({ row }) => ({ ...row, since_ago: now - row.since }));
  },

  *'step-snapshot'(it, { worker_incarnation }, [groups, capabilities]) {
    const kinds = unnest<{ group: string; capability: string }>([groups, capabilities], {
      group: text,
      capability: text,
    });
    const fits = (row: IncarnationRow): boolean =>
      row.state === 'live' &&
      row.lease_until > it.clock.now() &&
      kinds.some(({ group, capability }) => group === row.worker_group && row.capabilities.includes(capability));
    const snapshot: Answer = [];
    for (const found of inOrder(it.all(worker_incarnation, fits), (row) => row.id)) {
      const held = yield* it.lock(found, 'key share', 'wait', fits);
      if (held === undefined) continue;
      const { id, name, worker_group, capabilities } = held.row;
      snapshot.push({ id, name, worker_group, capabilities });
    }
    return snapshot;
  },

  *'write-finished-subtasks'(it, tables, values) {
    const now = it.clock.now();
    const runs = unnest<EndedSubtask>(values, {
      instance_id: id,
      generation: number,
      task: text,
      state: text,
      attempt: number,
      attempt_id: id,
      started_ago: orNull(number),
      ended_ago: orNull(number),
      reason: json,
      outputs: json,
    });
    for (const { started_ago, ended_ago, attempt_id, ...run } of runs) {
      const held = it.byKey(tables.active, attempt_id)?.row;
      if (held === undefined) continue;
      const started_at = held.started_at ?? (started_ago === null ? null : now - started_ago);
      yield* endSubtask(it, tables, held, { ...run, started_at, ended_at: now - (ended_ago ?? 0) });
    }
    return [];
  },

  *'withdraw-subtasks'(it, tables, [instances, tasks, endings, reasons]) {
    const wanted = unnest<{ instance_id: string; task: string; state: string; reason: unknown }>(
      [instances, tasks, endings, reasons],
      { instance_id: id, task: text, state: text, reason: json },
    );
    for (const { instance_id, task, state, reason } of wanted) {
      const isBound = (row: ActiveRow): boolean =>
        row.instance_id === instance_id && row.task === task && row.state === 'bound';
      for (const found of it.all(tables.active, isBound)) {
        const gone = yield* it.remove(found, isBound);
        if (gone === undefined) continue;
        const { generation, attempt } = gone;
        const end = { instance_id, generation, task, state, attempt, reason, outputs: null };
        yield* endSubtask(it, tables, gone, { ...end, started_at: null, ended_at: it.clock.now() });
      }
    }
    return [];
  },

  *'write-broadcasts'(it, { broadcast }, values) {
    const rows = unnest<Counted>(values, {
      instance_id: id,
      task: text,
      generation: number,
      phase: text,
      prior_attempts: number,
      total: number,
      waiting: number,
      running: number,
      succeeded: number,
      failed: number,
      lost: number,
      stopped: number,
      skipped: number,
      outputs: json,
    });
    for (const row of rows) {
      const made = yield* it.insert(broadcast, { ...row, since: it.clock.now() }, 'broadcast_pkey');
      const found = made === undefined ? it.byKey(broadcast, keyOf(row.instance_id, row.task)) : undefined;
      const { generation: _kept, ...change } = row;
      if (found !== undefined)
        yield* it.update(found, (old) => ({ ...old, ...change, outputs: row.outputs ?? old.outputs }));
    }
    return [];
  },

  *'drop-broadcasts'(it, { broadcast }, [instances, tasks]) {
    const names = textList(tasks);
    for (const [at, instance] of idList(instances).entries()) {
      const found = it.byKey(broadcast, keyOf(instance, names[at] ?? ''));
      if (found !== undefined) yield* it.remove(found);
    }
    return [];
  },

  *'drop-all-broadcasts'(it, tables, [instance]) {
    return yield* dropAll(it, tables, id(instance));
  },

  *'park-broadcasts'(it, tables, [instance]) {
    return yield* dropAll(it, tables, id(instance));
  },

  *'write-subtasks'(it, tables, values) {
    const bound: ActiveRow[] = [];
    for (const wanted of unnest<WantedSubtask>(values, {
      instance_id: id,
      task: text,
      generation: number,
      attempt: number,
      incarnation_id: id,
      index: number,
      state: text,
      delay_ms: number,
      nonce: text,
    })) {
      const row = subtaskRow(it, wanted);
      yield* it.insert(tables.active, row);
      bound.push(row);
    }
    const handed = bound.filter(({ state }) => state === 'dispatched');
    yield* noteEach(it, tables, handed, subtaskDispatched);
    const alive = yield* notDead(it, tables, new Set(bound.map((row) => row.incarnation_id)));
    const orphans = bound.filter((row) => !alive.has(row.incarnation_id));
    const reason = { code: 'worker-lost', message: 'its worker is dead' };
    for (const row of orphans)
      yield* command(it, tables, row.instance_id, 'attempt-ended', { attemptId: row.id, end: 'lost', reason });
    return handed.map((row) => subtaskColumns(row, it.clock.now(), !alive.has(row.incarnation_id)));
  },

  *'promote-subtasks'(it, tables, [instances, tasks, counts]) {
    const given: ActiveRow[] = [];
    const asked = unnest<{ instance_id: string; task: string; count: number }>([instances, tasks, counts], {
      instance_id: id,
      task: text,
      count: number,
    });
    for (const { instance_id, task, count } of asked) {
      const bound = it.all(
        tables.active,
        (row) => row.instance_id === instance_id && row.task === task && row.state === 'bound',
      );
      for (const found of inOrder(bound, (row) => row.subtask).slice(0, count)) {
        const change = { state: 'dispatched', dispatched_at: it.clock.now() };
        const row = yield* it.update(found, (old) => ({ ...old, ...change }));
        if (row !== undefined) given.push(row);
      }
    }
    yield* noteEach(it, tables, given, subtaskDispatched);
    return given.map((row) => ({ ...subtaskColumns(row, it.clock.now(), false), start_after: null }));
  },

  broadcasts: (it, tables, values) =>
    unnest<{ instance_id: string; generation: number; task: string }>(values, {
      instance_id: id,
      generation: number,
      task: text,
    }).flatMap((key): Answer => {
      const row = it.byKey(tables.broadcast, keyOf(key.instance_id, key.task))?.row;
      if (row === undefined || row.generation !== key.generation) return [];
      const { phase, total, outputs } = row;
      const results = phase === 'after' ? resultsOf(it, tables, key) : null;
      const too_large = results !== null && JSON.stringify(results).length > number(values[3]);
      return [{ ...key, phase, total, outputs, too_large, results: too_large ? null : results }];
    }),
};

interface EndedSubtask {
  readonly instance_id: string;
  readonly generation: number;
  readonly task: string;
  readonly state: string;
  readonly attempt: number;
  readonly attempt_id: string;
  readonly started_ago: number | null;
  readonly ended_ago: number | null;
  readonly reason: unknown;
  readonly outputs: unknown;
}

interface WantedSubtask {
  readonly instance_id: string;
  readonly task: string;
  readonly generation: number;
  readonly attempt: number;
  readonly incarnation_id: string;
  readonly index: number;
  readonly state: string;
  readonly delay_ms: number;
  readonly nonce: string;
}

type SubtaskEnd = Omit<FinishedSubtaskRow, 'incarnation_id' | 'worker' | 'attempt_id' | 'ready_at' | 'dispatched_at'>;

/** Writes how a subtask ended, with the times of its active row. */
export function* endSubtask(
  it: Execution,
  tables: Tables,
  active: ActiveRow,
  end: SubtaskEnd,
  unlessTaken?: string,
): Steps<void> {
  const worker = it.byKey(tables.worker_incarnation, active.incarnation_id)?.row;
  if (worker === undefined) return;
  const { incarnation_id, id: attempt_id, ready_at } = active;
  const dispatched_at = active.state === 'bound' ? null : active.dispatched_at;
  const place = { incarnation_id, worker: worker.name, attempt_id, ready_at, dispatched_at };
  yield* it.insert(tables.finished_subtask, { ...end, ...place }, unlessTaken);
}

function* dropAll(it: Execution, { broadcast }: Tables, instanceId: string): Steps<never[]> {
  for (const found of it.all(broadcast, (row) => row.instance_id === instanceId)) yield* it.remove(found);
  return [];
}

function* notDead(it: Execution, { worker_incarnation }: Tables, wanted: ReadonlySet<string>): Steps<Set<string>> {
  const lives = (row: IncarnationRow): boolean => wanted.has(row.id) && row.state !== 'dead';
  const alive = new Set<string>();
  for (const found of inOrder(it.all(worker_incarnation, lives), (row) => row.id))
    if ((yield* it.lock(found, 'key share', 'wait', lives)) !== undefined) alive.add(found.row.id);
  return alive;
}

function subtaskRow(it: Execution, { index, delay_ms, ...wanted }: WantedSubtask): ActiveRow {
  const now = it.clock.now();
  return {
    ...wanted,
    id: it.next('attempt_id'),
    losses: 0,
    ready_at: now,
    dispatched_at: now,
    started_at: null,
    timeout_at: null,
    timeout_action: null,
    kill_reason: null,
    progress: null,
    subtask: wanted.incarnation_id,
    subtask_index: index,
    not_before: delay_ms > 0 ? now + delay_ms : null,
  };
}

const subtaskDispatched = (row: ActiveRow): object => ({ ...dispatched(row), subtask: row.subtask_index });

function subtaskColumns(row: ActiveRow, now: number, orphaned: boolean): Record<string, unknown> {
  const { subtask_index, not_before } = row;
  const start_after = not_before === null ? null : not_before - now;
  return { ...boundColumns(row), subtask_index, orphaned, start_after };
}

function resultsOf(
  it: Execution,
  { finished_subtask }: Tables,
  { instance_id, task, generation }: { instance_id: string; task: string; generation: number },
): object[] | null {
  const ended = it
    .all(
      finished_subtask,
      (row) => row.instance_id === instance_id && row.task === task && row.generation === generation,
    )
    .toSorted((one, other) => byNumber(one.row.incarnation_id, other.row.incarnation_id))
    .map(({ row: { worker, incarnation_id: incarnation, state, reason, outputs } }) => ({
      worker,
      incarnation,
      state,
      ...(reason === null ? {} : { reason }),
      outputs: outputs ?? {},
    }));
  return ended.length > 0 ? ended : null;
}
