import { INVARIANTS } from '../../postgres/invariants/invariants.ts';
import type { Execution, Found } from '../execution.ts';
import type { ActiveRow, LiveRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { id, json } from '../values.ts';
import { command, inOrder, note } from './emulation.ts';
import type { Emulation, Emulations } from './emulation.ts';

/**
 * Rules whose rows nothing would ever move are looked for here too, since a sweep that mends them hides a bug that a simulation is to find. The
 * others find nothing in memory: what they say of the tables is for the simulation's own checks, and for PostgreSQL.
 */
const UNCHECKED: Emulations = Object.fromEntries(
  INVARIANTS.map(({ name }): [string, Emulation] => [`check-${name}`, () => []]),
);

/** The sweeper's checks and repairs: see postgres/invariants/doctor-sweep.ts and driver.ts. */
export const SWEEP: Emulations = {
  ...UNCHECKED,

  'sweep-turn': (it, _tables, [key]) => [{ mine: it.tryAdvisoryLock(String(key), it.snapshot.tx) }],

  'check-instance-without-driver': (it, tables) =>
    withoutDriver(it, tables).map(({ id, state, unfinished }) => ({
      instance_id: id,
      message: `${state}, ${unfinished} tasks unfinished`,
    })),

  'check-attempt-of-dead-worker': (it, tables) =>
    ofDeadWorkers(it, tables).map(({ instance_id, task, attempt, incarnation_id }) => {
      const worker = it.byKey(tables.worker_incarnation, incarnation_id)?.row.name ?? incarnation_id;
      return { instance_id, message: `task ${task}, attempt ${attempt}, worker ${worker} is dead` };
    }),

  *'repair-lock-live'(it, { live_instance }, [instance]) {
    const found = it.byKey(live_instance, id(instance));
    const held = found === undefined ? undefined : yield* it.lock(found, 'no key update');
    return held === undefined ? [] : [{ id: held.row.id }];
  },

  *'repair-lock-instance'(it, { workflow_instance }, [instance]) {
    const found = it.byKey(workflow_instance, id(instance));
    const held = found === undefined ? undefined : yield* it.lock(found, 'update');
    return held === undefined ? [] : [{ id: held.row.id }];
  },

  *'repair-instance-without-driver-0'(it, tables, [instance]) {
    const row = withoutDriver(it, tables).find((one) => one.id === id(instance));
    if (row === undefined || !(row.state !== 'running' || !row.begun || row.unfinished === 0)) return [];
    const unbegun = row.generation === 1 ? 'start' : 'begin';
    const kind = row.state === 'running' && !row.begun ? unbegun : 'settle';
    const again = it.byKey(tables.instance_generation, keyOf(row.id, row.generation))?.row;
    const asked = again && { mode: again.mode, ...(again.task !== null && { task: again.task }), by: again.created_by };
    yield* command(it, tables, row.id, kind, kind === 'begin' ? asked : {});
    return [{ message: `command ${kind} given`, events: null }];
  },

  *'repair-attempt-of-dead-worker-0'(it, tables, [instance]) {
    const key = id(instance);
    if (it.byKey(tables.live_instance, key) === undefined) return [];
    const lost = ofDeadWorkers(it, tables).filter((row) => row.instance_id === key);
    const reason = { code: 'worker-lost', message: 'its worker is dead' };
    for (const row of lost)
      yield* command(it, tables, key, 'attempt-ended', { attemptId: row.id, end: 'lost', reason });
    return lost.map(({ attempt, task }) => ({
      message: `attempt ${attempt} of task ${task} is told to be lost`,
      events: null,
    }));
  },

  *'repair-note'(it, tables, [instance, events]) {
    const row = it.byKey(tables.workflow_instance, id(instance))?.row;
    if (row !== undefined) yield* note(it, tables, row.id, json(events) as readonly unknown[]);
    return [];
  },
};

const MOVING: readonly string[] = ['running', 'pausing', 'stopping'];

function withoutDriver(it: Execution, { live_instance, command, ready, delayed, active }: Tables): LiveRow[] {
  const of = (...all: readonly Found<{ readonly instance_id: string }>[][]): Set<string> =>
    new Set(all.flat().map(({ row }) => row.instance_id));
  const driven = of(it.all(command), it.all(ready), it.all(delayed), it.all(active));
  // What a pausing one holds drives nothing, and neither do subtasks that nobody may hand over.
  const resting = of(
    it.all(command),
    it.all(active, ({ state }) => state !== 'bound'),
  );
  const isDriven = ({ id, state }: LiveRow): boolean => (state === 'pausing' ? resting : driven).has(id);
  const bare = it.all(live_instance, (row) => MOVING.includes(row.state) && !isDriven(row));
  return inOrder(bare, (row) => row.id).map(({ row }) => row);
}

function ofDeadWorkers(it: Execution, { active, command, worker_incarnation }: Tables): ActiveRow[] {
  const told = new Set(
    it
      .all(command, ({ kind }) => kind === 'attempt-ended')
      .map(({ row }) => {
        const { attemptId } = row.payload as { readonly attemptId?: unknown };
        return `${row.instance_id}/${String(attemptId)}`;
      }),
  );
  return inOrder(it.all(active), (row) => row.instance_id).flatMap(({ row }) => {
    const worker = it.byKey(worker_incarnation, row.incarnation_id)?.row;
    return (worker === undefined || worker.state === 'dead') && !told.has(`${row.instance_id}/${row.id}`) ? [row] : [];
  });
}
