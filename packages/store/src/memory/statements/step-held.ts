import type { Execution, Found, Steps } from '../execution.ts';
import type { HeldRow, LineRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import type { Table } from '../table.ts';
import { flag, id, idList, number, orNull, text, unnest } from '../values.ts';
import { command } from './emulation.ts';
import type { Emulations } from './emulation.ts';
import { byTask, LINE, lineOf, lineUp } from './step-line.ts';

type Place = 'delayed' | 'ready' | 'held';

/** Pauses, skips and priorities of what is in line: see postgres/engine/step/write-held.ts. */
export const STEP_HELD: Emulations = {
  *'hold-delayed'(it, tables, [ids]) {
    for (const row of yield* removeAll(it, tables.delayed, idList(ids))) {
      const delay_left_ms = Math.max(0, row.due_at - it.clock.now());
      yield* it.insert(tables.held, { ...lineOf(row), cause: row.cause, delay_left_ms, fan_out: row.fan_out });
    }
    return [];
  },

  *'hold-ready'(it, tables, [ids]) {
    for (const row of yield* removeAll(it, tables.ready, idList(ids)))
      yield* it.insert(tables.held, { ...lineOf(row), cause: null, delay_left_ms: 0, fan_out: false });
    return [];
  },

  *'write-held'(it, { held }, values) {
    const columns = { ...LINE, cause: orNull(text), delay_left_ms: number, fan_out: flag };
    for (const row of unnest<HeldRow>(values, columns)) yield* it.insert(held, row);
    return [];
  },

  *'release-held'(it, tables, [ids]) {
    const gone = yield* removeAll(it, tables.held, idList(ids));
    const placeOf = ({ cause, fan_out }: HeldRow): string =>
      cause !== null ? 'delayed' : fan_out ? 'command' : 'ready';
    const kinds = new Map<string, Record<string, unknown>>();
    const inLine = gone
      .filter((row) => placeOf(row) === 'ready')
      .toSorted((one, other) => other.priority - one.priority);
    for (const row of inLine) yield* lineUp(it, tables, row);
    for (const row of gone) {
      const { cause, delay_left_ms, fan_out, instance_id, task, worker_group, capability } = row;
      if (cause !== null)
        yield* it.insert(tables.delayed, { ...lineOf(row), cause, fan_out, due_at: it.clock.now() + delay_left_ms });
      else if (fan_out) yield* command(it, tables, instance_id, 'fan-out', { task });
      kinds.set(keyOf(worker_group, capability, placeOf(row)), { worker_group, capability, place: placeOf(row) });
    }
    return [...kinds.values()];
  },

  *'withdraw-held'(it, tables, [ids]) {
    const gone = yield* removeAll(it, tables.held, idList(ids));
    for (const [instance, rows] of Map.groupBy(gone, (row) => row.instance_id)) {
      const tasks = rows.map(({ task, attempt }) => ({ task, attempt, from: 'held' }));
      yield* command(it, tables, instance, 'withdrawn', { tasks });
    }
    return [];
  },

  *'drop-held'(it, tables, [ids]) {
    yield* removeAll(it, tables.held, idList(ids));
    return [];
  },

  'take-back-delayed': (it, tables, values) => takeBack(it, tables, 'delayed', values),
  'take-back-ready': (it, tables, values) => takeBack(it, tables, 'ready', values),
  'take-back-held': (it, tables, values) => takeBack(it, tables, 'held', values),

  *'skip-later'(it, tables, values) {
    for (const { instance_id, task, by } of asked(values))
      yield* command(it, tables, instance_id, 'skip-task', { task, by });
    return [];
  },

  'shift-delayed': (it, { delayed }, values) => shift(it, delayed, values),
  'shift-ready': (it, { ready }, values) => shift(it, ready, values),
  'shift-held': (it, { held }, values) => shift(it, held, values),
};

/** Removes all rows of these instances, in the order of their key; waits for whoever holds one. */
function* removeAll<Row extends LineRow>(it: Execution, table: Table<Row>, ids: readonly string[]): Steps<Row[]> {
  const wanted = new Set(ids);
  const gone: Row[] = [];
  for (const found of it.all(table, (row) => wanted.has(row.instance_id)).toSorted(byTask)) {
    const row = yield* it.remove(found);
    if (row !== undefined) gone.push(row);
  }
  return gone;
}

interface Asked {
  readonly instance_id: string;
  readonly task: string;
  readonly by: string;
}

const asked = (values: readonly unknown[]): Asked[] => unnest<Asked>(values, { instance_id: id, task: text, by: text });

function* takeBack(it: Execution, tables: Tables, from: Place, values: readonly unknown[]): Steps<never[]> {
  const gone: Asked[] = [];
  const attempts = new Map<Asked, number>();
  for (const one of asked(values)) {
    const key = keyOf(one.instance_id, one.task);
    const table: Table<LineRow> = tables[from];
    const found = it.byKey(table, key);
    const row = found === undefined ? undefined : yield* it.remove(found);
    if (row === undefined) continue;
    gone.push(one);
    attempts.set(one, row.attempt);
  }
  for (const rows of Map.groupBy(gone, ({ instance_id, by }) => keyOf(instance_id, by)).values()) {
    const tasks = rows.map((one) => ({ task: one.task, attempt: attempts.get(one), from }));
    const [first] = rows;
    if (first !== undefined) yield* command(it, tables, first.instance_id, 'withdrawn', { by: first.by, tasks });
  }
  return [];
}

function* shift<Row extends LineRow>(it: Execution, table: Table<Row>, values: readonly unknown[]): Steps<never[]> {
  const shifts = unnest<{ instance_id: string; by: number }>(values, { instance_id: id, by: number });
  for (const { instance_id, by } of shifts) {
    const rows: Found<Row>[] = it.all(table, (row) => row.instance_id === instance_id);
    for (const found of rows.toSorted(byTask))
      yield* it.update(found, (row) => ({ ...row, priority: row.priority + by }));
  }
  return [];
}
