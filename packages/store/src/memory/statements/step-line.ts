import type { Execution, Steps } from '../execution.ts';
import type { ActiveRow, DelayedRow, LineRow } from '../rows.ts';
import type { Table } from '../table.ts';
import type { Tables } from '../schema.ts';
import { flag, id, idList, number, text, unnest } from '../values.ts';
import type { Read } from '../values.ts';
import { byInstance, command, inOrder, noteEach } from './emulation.ts';
import type { Emulations } from './emulation.ts';

/** How the columns are read that all places in and before the line have. */
export const LINE: { readonly [Name in keyof LineRow]: Read<LineRow[Name]> } = {
  instance_id: id,
  task: text,
  generation: number,
  attempt: number,
  losses: number,
  worker_group: text,
  capability: text,
  priority: number,
};

/** Those columns alone. */
export function lineOf(row: LineRow): LineRow {
  const { instance_id, task, generation, attempt, losses, worker_group, capability, priority } = row;
  return { instance_id, task, generation, attempt, losses, worker_group, capability, priority };
}

/** Puts a task in line. */
export function* lineUp(it: Execution, { ready }: Tables, row: LineRow): Steps<void> {
  yield* it.insert(ready, { ...lineOf(row), seq: it.next('ready_seq'), ready_at: it.clock.now() });
}

/** Locks incarnations FOR KEY SHARE; answers the ids of those that are alive and live. */
export function* aliveForBinding(it: Execution, tables: Tables, wanted: ReadonlySet<string>): Steps<Set<string>> {
  const alive = (row: { id: string; state: string; lease_until: number }): boolean =>
    wanted.has(row.id) && row.state === 'live' && row.lease_until > it.clock.now();
  const held = new Set<string>();
  for (const found of inOrder(it.all(tables.worker_incarnation, alive), (row) => row.id))
    if ((yield* it.lock(found, 'key share', 'wait', alive)) !== undefined) held.add(found.row.id);
  return held;
}

interface Binding extends Omit<LineRow, 'worker_group' | 'capability' | 'priority'> {
  readonly incarnation_id: string;
  readonly nonce: string;
  readonly ready_at: number;
}

/** Binds a task to an incarnation. */
export function* bind(it: Execution, { active }: Tables, binding: Binding): Steps<ActiveRow> {
  const { instance_id, task, generation, attempt, losses, incarnation_id, nonce, ready_at } = binding;
  const row: ActiveRow = {
    id: it.next('attempt_id'),
    instance_id,
    task,
    generation,
    attempt,
    losses,
    incarnation_id,
    nonce,
    ready_at,
    state: 'dispatched',
    dispatched_at: it.clock.now(),
    started_at: null,
    timeout_at: null,
    timeout_action: null,
    kill_reason: null,
    progress: null,
    subtask: '0',
    subtask_index: null,
    not_before: null,
  };
  yield* it.insert(active, row);
  return row;
}

export const dispatched = ({ task, attempt, id, incarnation_id }: ActiveRow): object => ({
  type: 'task-dispatched',
  task,
  attempt,
  attemptId: id,
  incarnation: incarnation_id,
});

/** The columns that tell a step whom it bound. */
export const boundColumns = (row: ActiveRow): Record<string, unknown> => {
  const { id, instance_id, task, generation, attempt, incarnation_id, nonce } = row;
  return { id, instance_id, task, generation, attempt, incarnation_id, nonce };
};

/** What a step writes of the line, and takes back from it: see postgres/engine/step/write-line.ts. */
export const STEP_LINE: Emulations = {
  *'write-delayed'(it, { delayed }, values) {
    type Asked = Omit<DelayedRow, 'due_at'> & { delay_ms: number };
    for (const { delay_ms, ...row } of unnest<Asked>(values, { ...LINE, cause: text, delay_ms: number, fan_out: flag }))
      yield* it.insert(delayed, { ...row, due_at: it.clock.now() + delay_ms });
    return [];
  },

  *'write-ready'(it, tables, values) {
    for (const row of unnest<LineRow>(values, LINE)) yield* lineUp(it, tables, row);
    return [];
  },

  *'write-bind'(it, tables, values) {
    const offered = unnest<LineRow & { incarnation_id: string; nonce: string }>(values, {
      ...LINE,
      incarnation_id: id,
      nonce: text,
    });
    const alive = yield* aliveForBinding(it, tables, new Set(idList(values[10])));
    const bound: ActiveRow[] = [];
    for (const offer of offered)
      if (alive.has(offer.incarnation_id)) bound.push(yield* bind(it, tables, { ...offer, ready_at: it.clock.now() }));
    yield* noteEach(it, tables, bound, dispatched);
    for (const offer of offered) if (!alive.has(offer.incarnation_id)) yield* lineUp(it, tables, offer);
    return bound.map(boundColumns);
  },

  *'withdraw-delayed'(it, tables, [ids]) {
    return yield* withdraw(it, tables, tables.delayed, 'delayed', idList(ids));
  },

  *'withdraw-ready'(it, tables, [ids]) {
    return yield* withdraw(it, tables, tables.ready, 'ready', idList(ids));
  },

  *'kill-active'(it, { active }, [ids]) {
    const wanted = new Set(idList(ids));
    const unkilled = (row: ActiveRow): boolean => wanted.has(row.instance_id) && row.kill_reason === null;
    const held = [];
    for (const found of inOrder(it.all(active, unkilled), (row) => row.id))
      if ((yield* it.lock(found, 'no key update', 'wait', unkilled)) !== undefined) held.push(found);
    for (const found of held) yield* it.update(found, (row) => ({ ...row, kill_reason: 'stop' }));
    return [];
  },

  *'settle-later'(it, tables, [ids]) {
    for (const instance of idList(ids)) yield* command(it, tables, instance, 'settle');
    return [];
  },
};

function* withdraw<Row extends LineRow>(
  it: Execution,
  tables: Tables,
  table: Table<Row>,
  from: string,
  ids: readonly string[],
): Steps<never[]> {
  const wanted = new Set(ids);
  const gone: Row[] = [];
  for (const found of it.all(table, (row) => wanted.has(row.instance_id)).toSorted(byTask)) {
    const row = yield* it.remove(found);
    if (row !== undefined) gone.push(row);
  }
  for (const [instance, rows] of byInstance(gone)) {
    const tasks = rows.map(({ task, attempt }) => ({ task, attempt, from }));
    yield* command(it, tables, instance, 'withdrawn', { tasks });
  }
  return [];
}

/** As the primary key of the line's tables orders them. */
export function byTask(one: { readonly row: LineRow }, other: { readonly row: LineRow }): number {
  const [a, b] = [one.row, other.row];
  if (a.instance_id !== b.instance_id) return BigInt(a.instance_id) < BigInt(b.instance_id) ? -1 : 1;
  return a.task < b.task ? -1 : 1;
}
