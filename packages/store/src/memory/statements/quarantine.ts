import type { Answer } from '../database.ts';
import type { Execution, Steps } from '../execution.ts';
import type { CommandRow, LiveRow } from '../rows.ts';
import type { Table } from '../table.ts';
import type { Tables } from '../schema.ts';
import { id, idList, json, number, text } from '../values.ts';
import { alert, command, inOrder, note } from './emulation.ts';
import type { Emulations } from './emulation.ts';

/** Counting, putting off, parking, and driving again: see postgres/quarantine.ts and redrive.ts. */
export const QUARANTINE: Emulations = {
  *'count-try'(it, { live_instance, command: commands }, [ids]) {
    const wanted = new Set(idList(ids));
    const free = new Set<string>();
    for (const found of inOrder(
      it.all(live_instance, (row) => wanted.has(row.id)),
      (row) => row.id,
    ))
      if ((yield* it.lock(found, 'no key update', 'skip')) !== undefined) free.add(found.row.id);
    const isDue = (row: CommandRow): boolean => free.has(row.instance_id) && row.not_before <= it.clock.now();
    const counted: Answer = [];
    for (const found of inOrder(it.all(commands, isDue), (row) => row.id)) {
      const row = yield* it.update(found, (one) => ({ ...one, tries: one.tries + 1 }), isDue);
      if (row !== undefined) counted.push({ id: row.id, instance_id: row.instance_id, tries: row.tries });
    }
    return counted;
  },

  *'put-off'(it, { command: commands }, [ids, delayMs, error]) {
    const wanted = new Set(idList(ids));
    for (const found of inOrder(
      it.all(commands, (row) => wanted.has(row.id)),
      (row) => row.id,
    )) {
      const change = { not_before: it.clock.now() + number(delayMs), last_error: text(error) };
      yield* it.update(found, (row) => ({ ...row, ...change }));
    }
    return [];
  },

  *'park-lock'(it, { live_instance }, [instance]) {
    const found = it.byKey(live_instance, id(instance));
    const held = found === undefined ? undefined : yield* it.lock(found, 'no key update');
    return held === undefined ? [] : [{ generation: held.row.generation }];
  },

  *'park-commands'(it, tables, [instance, error]) {
    for (const gone of yield* removeOf(it, tables.command, id(instance))) {
      const { id: command_id, instance_id, kind, payload, tries } = gone;
      const row = { command_id, instance_id, kind, payload, tries, error: text(error), parked_at: it.clock.now() };
      yield* it.insert(
        tables.command_error,
        { id: it.next('command_error_id'), ...row },
        'command_error_command_id_key',
      );
    }
    return [];
  },

  *'park-line'(it, { ready }, [instance]) {
    yield* removeOf(it, ready, id(instance));
    return [];
  },

  *'park-delayed'(it, { delayed }, [instance]) {
    yield* removeOf(it, delayed, id(instance));
    return [];
  },

  *'park-counters'(it, { need_counter }, [instance]) {
    yield* removeOf(it, need_counter, id(instance));
    return [];
  },

  *'park-active'(it, tables, [instance, reason]) {
    for (const gone of yield* removeOf(it, tables.active, id(instance))) {
      const { instance_id, generation, task, attempt, incarnation_id, ready_at, dispatched_at, started_at } = gone;
      yield* it.insert(tables.finished_task, {
        ...{ instance_id, generation, task, state: 'stopped', attempt, attempt_id: gone.id, incarnation_id },
        ...{ ready_at, dispatched_at, started_at, ended_at: it.clock.now(), reason: json(reason) },
        ...{ outputs: null, artifacts: null },
      });
    }
    return [];
  },

  *'park-end'(it, tables, [instance, reason]) {
    const found = it.byKey(tables.live_instance, id(instance));
    const gone = found === undefined ? undefined : yield* it.remove(found);
    if (gone === undefined) return [];
    const { id: instance_id, generation } = gone;
    const end = { state: 'failed', reason: json(reason), ended_at: it.clock.now() };
    yield* it.insert(tables.instance_end, { instance_id, generation, ...end });
    return [];
  },

  *'park-note'(it, tables, [instance, events, payload]) {
    yield* alert(it, tables, 'command-parked', id(instance), json(payload));
    yield* note(it, tables, id(instance), json(events) as readonly unknown[]);
    return [];
  },
};

export const REDRIVE: Emulations = {
  *'redrive-lost'(it, tables) {
    const commanded = commandedIn(it, tables);
    const stuck = inOrder(it.all(tables.active), (row) => row.id).filter(({ row }) => {
      const worker = it.byKey(tables.worker_incarnation, row.incarnation_id)?.row;
      return (worker === undefined || worker.state === 'dead') && !commanded.has(row.instance_id);
    });
    const wanted = new Set(stuck.map(({ row }) => row.instance_id));
    const held = yield* holdLive(it, tables, ({ id: instance }) => wanted.has(instance));
    const driven = stuck.filter(({ row }) => held.has(row.instance_id));
    for (const { row } of driven) {
      const reason = { code: 'worker-lost', message: 'its worker is dead' };
      yield* command(it, tables, row.instance_id, 'attempt-ended', { attemptId: row.id, end: 'lost', reason });
    }
    return driven.map(({ row }) => ({ instance_id: row.instance_id }));
  },

  *'redrive-settle'(it, tables) {
    const commanded = commandedIn(it, tables);
    const running = new Set(it.all(tables.active).map(({ row }) => row.instance_id));
    return yield* driveAgain(
      it,
      tables,
      'settle',
      (row) => row.state === 'stopping' && !running.has(row.id) && !commanded.has(row.id),
    );
  },

  *'redrive-start'(it, tables) {
    const commanded = commandedIn(it, tables);
    return yield* driveAgain(
      it,
      tables,
      'start',
      (row) => row.state === 'running' && row.revision === 0 && !commanded.has(row.id),
    );
  },
};

type Live = LiveRow;

function commandedIn(it: Execution, tables: Tables): Set<string> {
  return new Set(it.all(tables.command).map(({ row }) => row.instance_id));
}

function* holdLive(it: Execution, tables: Tables, matches: (row: Live) => boolean): Steps<Set<string>> {
  const held = new Set<string>();
  for (const found of inOrder(it.all(tables.live_instance, matches), (row) => row.id))
    if ((yield* it.lock(found, 'key share', 'wait', matches)) !== undefined) held.add(found.row.id);
  return held;
}

function* driveAgain(it: Execution, tables: Tables, kind: string, matches: (row: Live) => boolean): Steps<Answer> {
  const held = yield* holdLive(it, tables, matches);
  for (const instance of held) yield* command(it, tables, instance, kind);
  return [...held].map((instance_id) => ({ instance_id }));
}

function* removeOf<Row extends { readonly instance_id: string }>(
  it: Execution,
  table: Table<Row>,
  instanceId: string,
): Steps<Row[]> {
  const gone: Row[] = [];
  for (const found of it.all(table, (row) => row.instance_id === instanceId)) {
    const row = yield* it.remove(found);
    if (row !== undefined) gone.push(row);
  }
  return gone;
}
