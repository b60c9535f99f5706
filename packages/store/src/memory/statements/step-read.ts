import type { Answer } from '../database.ts';
import type { LiveRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import { byId, byNumber, id, idList, number, orNull, text, unnest } from '../values.ts';
import { inOrder } from './emulation.ts';
import type { Emulations } from './emulation.ts';

const live = ({
  workflow_id: _,
  limited: _l,
  schedule_id: _s,
  backfill_id: _b,
  ...row
}: LiveRow): Record<string, unknown> => ({
  ...row,
  revision: String(row.revision),
});

const codeOf = (reason: unknown): unknown =>
  typeof reason === 'object' && reason !== null && 'code' in reason ? reason.code : undefined;

/** What a step reads: see postgres/engine/step/read.ts. */
export const STEP_READ: Emulations = {
  *'step-lock'(it, { live_instance }, [ids]) {
    const wanted = new Set(idList(ids));
    const rows: Answer = [];
    for (const found of inOrder(
      it.all(live_instance, (row) => wanted.has(row.id)),
      (row) => row.id,
    )) {
      const held = yield* it.lock(found, 'no key update', 'skip');
      if (held !== undefined) rows.push(live(held.row));
    }
    return rows;
  },

  *'step-lock-commanded'(it, { command, live_instance }, [limit, only]) {
    const now = it.clock.now();
    const one = orNull(id)(only);
    const due = it.all(command, (row) => row.not_before <= now && (one === null || row.instance_id === one));
    const rows: Answer = [];
    for (const { row } of inOrder(due, ({ id }) => id)) {
      if (rows.length >= number(limit)) break;
      const found = it.byKey(live_instance, row.instance_id);
      const held = found === undefined ? undefined : yield* it.lock(found, 'no key update', 'skip');
      if (held !== undefined) rows.push(live(held.row));
    }
    return rows;
  },

  'step-commands': (it, { command }, [ids]) => {
    const wanted = new Set(idList(ids));
    const now = it.clock.now();
    return inOrder(
      it.all(command, (row) => wanted.has(row.instance_id) && row.not_before <= now),
      (row) => row.id,
    ).map(({ row: { id, instance_id, kind, payload } }) => ({ id, instance_id, kind, payload }));
  },

  'step-active': (it, { active }, [ids]) =>
    [...new Set(idList(ids))].toSorted(byNumber).flatMap((key) => {
      const row = it.byKey(active, key)?.row;
      return row === undefined ? [] : [{ ...row }];
    }),

  'step-counters': (it, { need_counter }, values) =>
    unnest<{ instance_id: string; task: string }>(values, { instance_id: id, task: text }).flatMap((key) => {
      const found = it.byKey(need_counter, keyOf(key.instance_id, key.task));
      return found === undefined ? [] : [{ ...key, met: found.row.met }];
    }),

  'step-finished': (it, { finished_task }, values) =>
    unnest<{ instance_id: string; generation: number; task: string }>(values, {
      instance_id: id,
      generation: number,
      task: text,
    }).flatMap(({ instance_id, generation, task }) => {
      const row = it.byKey(finished_task, keyOf(instance_id, task, generation))?.row;
      if (row === undefined) return [];
      return [{ instance_id, task, state: row.state, outputs: row.outputs, code: codeOf(row.reason) ?? null }];
    }),

  'step-prior': (it, { finished_task, earlier_attempt, finished_subtask }, values) =>
    unnest<{ instance_id: string; generation: number }>(values, { instance_id: id, generation: number }).flatMap(
      (key) =>
        it
          .all(finished_task, (row) => row.instance_id === key.instance_id && row.generation === key.generation)
          .map(({ row: { instance_id, task, state, reason, artifacts, attempt_id, generation, carried_from } }) => {
            const own = (row: { instance_id: string; task: string; generation: number }): boolean =>
              row.instance_id === instance_id && row.task === task && row.generation === (carried_from ?? generation);
            const before = it.all(earlier_attempt, own).length > 0;
            const spread = it.all(finished_subtask, (row) => own(row) && row.dispatched_at !== null).length > 0;
            const ran = attempt_id !== null || before || spread;
            return { instance_id, task, state, reason, artifacts: artifacts !== null, ran };
          }),
    ),

  'step-places': (it, { active, ready, delayed, held }, values) =>
    unnest<{ instance_id: string; task: string }>(values, { instance_id: id, task: text }).flatMap((key) => {
      const at = keyOf(key.instance_id, key.task);
      const runs = it.all(active, (row) => row.instance_id === key.instance_id && row.task === key.task).length > 0;
      return [
        ...(runs ? [{ ...key, place: 'active' }] : []),
        ...(it.byKey(ready, at) === undefined ? [] : [{ ...key, place: 'ready' }]),
        ...(it.byKey(delayed, at) === undefined ? [] : [{ ...key, place: 'delayed' }]),
        ...(it.byKey(held, at) === undefined ? [] : [{ ...key, place: 'held' }]),
      ];
    }),

  'step-handed-back': (it, { earlier_attempt }, values) =>
    unnest<{ instance_id: string; generation: number; task: string }>(values, {
      instance_id: id,
      generation: number,
      task: text,
    }).flatMap(({ instance_id, generation, task }) =>
      [
        ...it.all(earlier_attempt, (row) => {
          const own = row.instance_id === instance_id && row.task === task && row.generation === generation;
          return own && row.subtask === '0' && row.state === 'lost' && codeOf(row.reason) === 'worker-shutdown';
        }),
      ].map(({ row: { attempt } }) => ({ instance_id, task, attempt })),
    ),

  'step-active-count': (it, { active }, [ids]) => {
    const wanted = new Set(idList(ids));
    const groups = Map.groupBy(
      it.all(active, (row) => wanted.has(row.instance_id)),
      ({ row }) => row.instance_id,
    );
    return [...groups].map(([instance_id, found]) => ({ instance_id, active: found.length }));
  },

  'instance-facts': (it, { workflow_instance, instance_generation }, values) =>
    unnest<{ key: string; generation: number }>(values, { key: id, generation: number }).flatMap(
      ({ key, generation }) => {
        const row = it.byKey(workflow_instance, key)?.row;
        if (row === undefined) return [];
        const { version_id, params } = it.byKey(instance_generation, keyOf(key, generation))?.row ?? row;
        const { id, workflow_id, run_time, created_by } = row;
        return [{ id, generation, workflow_id, version_id, params, run_time: new Date(run_time), created_by }];
      },
    ),

  'step-still-live': (it, { live_instance }, [ids]) =>
    idList(ids)
      .flatMap((key) => it.byKey(live_instance, key)?.row ?? [])
      .toSorted(byId)
      .map(({ id }) => ({ id })),

  'due-instances': (it, { command }, [limit]) => {
    const now = it.clock.now();
    const oldest = new Map<string, string>();
    for (const { row } of inOrder(
      it.all(command, (one) => one.not_before <= now),
      (one) => one.id,
    ))
      if (!oldest.has(row.instance_id)) oldest.set(row.instance_id, row.id);
    return [...oldest].slice(0, number(limit)).map(([instance_id, first]) => ({ instance_id, oldest: first }));
  },

  'task-results': (it, { finished_task }, values) =>
    unnest<{ instance_id: string; generation: number; task: string }>(values, {
      instance_id: id,
      generation: number,
      task: text,
    }).flatMap((key) => {
      const row = it.byKey(finished_task, keyOf(key.instance_id, key.task, key.generation))?.row;
      return row === undefined ? [] : [{ ...key, state: row.state, outputs: row.outputs, artifacts: row.artifacts }];
    }),
};
