import type { Answer } from '../database.ts';
import type { Execution, Found, Steps } from '../execution.ts';
import type { CommandRow } from '../rows.ts';
import type { Table } from '../table.ts';
import { id, idList, json, number, text } from '../values.ts';
import { endSubtask } from './broadcasts.ts';
import { endedFollowups } from './ended.ts';
import { alert, inOrder, note } from './emulation.ts';
import type { Emulations } from './emulation.ts';

/** Counting, putting off, parking: see postgres/engine/quarantine.ts. */
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
    const due = inOrder(it.all(commands, isDue), (row) => row.id);
    // Instance by instance, as the nested loop goes.
    for (const found of inOrder(due, (row) => row.instance_id)) {
      const row = yield* it.update(found, (one) => ({ ...one, tries: one.tries + 1 }), isDue);
      if (row !== undefined) counted.push({ id: row.id, instance_id: row.instance_id, tries: row.tries });
    }
    return counted;
  },

  *'forgive-try'(it, { live_instance, command: commands }, [instance]) {
    const found = it.byKey(live_instance, id(instance));
    const held = found === undefined ? undefined : yield* it.lock(found, 'no key update');
    if (held === undefined) return [];
    const wasTried = (row: CommandRow): boolean => row.instance_id === held.row.id && row.tries > 0;
    for (const command of inOrder(it.all(commands, wasTried), (row) => row.id))
      yield* it.update(command, (one) => ({ ...one, tries: one.tries - 1 }), wasTried);
    return [];
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
    const parked = yield* removeOf(it, tables.command, id(instance));
    for (const gone of parked) {
      const { id: command_id, instance_id, kind, payload, tries } = gone;
      const row = { command_id, instance_id, kind, payload, tries, error: text(error), parked_at: it.clock.now() };
      yield* it.insert(
        tables.command_error,
        { id: it.next('command_error_id'), ...row },
        'command_error_command_id_key',
      );
    }
    const kinds = [...new Set(parked.map(({ kind }) => kind))].toSorted().join(', ');
    return [{ kinds: kinds === '' ? null : kinds }];
  },

  *'park-line'(it, { ready }, [instance]) {
    yield* removeOf(it, ready, id(instance));
    return [];
  },

  *'park-delayed'(it, { delayed }, [instance]) {
    yield* removeOf(it, delayed, id(instance));
    return [];
  },

  *'park-held'(it, { held }, [instance]) {
    yield* removeOf(it, held, id(instance));
    return [];
  },

  *'park-counters'(it, { need_counter }, [instance]) {
    yield* removeOf(it, need_counter, id(instance));
    return [];
  },

  *'park-active'(it, tables, [instance, reason]) {
    const ended = inOrder(yield* removeFound(it, tables.active, id(instance)), (row) => row.id);
    for (const { row: gone } of ended) {
      const { instance_id, generation, task, attempt, incarnation_id, ready_at, dispatched_at, started_at } = gone;
      const end = { instance_id, generation, task, state: 'stopped', attempt, started_at, reason: json(reason) };
      const ended_at = it.clock.now();
      if (gone.subtask !== '0') {
        yield* endSubtask(it, tables, gone, { ...end, ended_at, outputs: null }, 'finished_subtask_pkey');
        continue;
      }
      const run = { attempt_id: gone.id, incarnation_id, ready_at, dispatched_at, ended_at };
      const without = { outputs: null, artifacts: null, carried_from: null };
      yield* it.insert(tables.finished_task, { ...end, ...run, ...without }, 'finished_task_pkey');
    }
    return ended.map(({ row: { task, attempt, id, incarnation_id, subtask_index } }) => ({
      task,
      attempt,
      id,
      incarnation_id,
      subtask_index,
    }));
  },

  *'park-remaining'(it, tables, [instance, reason]) {
    const live = it.byKey(tables.live_instance, id(instance))?.row;
    if (live === undefined) return [];
    for (const task of it.tasksOf(live.version_id))
      yield* it.insert(
        tables.finished_task,
        {
          instance_id: live.id,
          generation: live.generation,
          task,
          state: 'stopped',
          attempt: 0,
          attempt_id: null,
          incarnation_id: null,
          ready_at: null,
          dispatched_at: null,
          started_at: null,
          ended_at: it.clock.now(),
          reason: json(reason),
          outputs: null,
          artifacts: null,
          carried_from: null,
        },
        'finished_task_pkey',
      );
    return [];
  },

  *'park-end'(it, tables, [instance, reason]) {
    const found = it.byKey(tables.live_instance, id(instance));
    const gone = found === undefined ? undefined : yield* it.remove(found);
    if (gone === undefined) return [];
    yield* endedFollowups(it, tables, [gone]);
    const { id: instance_id, generation } = gone;
    const end = { state: 'failed', reason: json(reason), ended_at: it.clock.now() };
    yield* it.insert(tables.instance_end, { instance_id, generation, ...end }, 'instance_end_pkey');
    return [];
  },

  *'park-note'(it, tables, [instance, events, payload]) {
    yield* alert(it, tables, 'command-parked', id(instance), json(payload));
    yield* note(it, tables, id(instance), json(events) as readonly unknown[]);
    return [];
  },
};

function* removeOf<Row extends { readonly instance_id: string }>(
  it: Execution,
  table: Table<Row>,
  instanceId: string,
): Steps<Row[]> {
  return (yield* removeFound(it, table, instanceId)).map(({ row }) => row);
}

function* removeFound<Row extends { readonly instance_id: string }>(
  it: Execution,
  table: Table<Row>,
  instanceId: string,
): Steps<Found<Row>[]> {
  const gone: Found<Row>[] = [];
  for (const found of it.all(table, (row) => row.instance_id === instanceId)) {
    const row = yield* it.remove(found);
    if (row !== undefined) gone.push({ tuple: found.tuple, row });
  }
  return gone;
}
