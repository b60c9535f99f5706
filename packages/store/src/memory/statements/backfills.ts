import type { BackfillRow, BackfillRunRow } from '../backfill-tables.ts';
import type { Execution, Found } from '../execution.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { byId, byNumber, flag, id, idList, json, number, orNull, text, time, unnest } from '../values.ts';
import { command } from './emulation.ts';
import type { Emulations } from './emulation.ts';
import { newInstances } from './new-instances.ts';

const COUNTS = ['waiting', 'pending', 'running', 'succeeded', 'failed', 'stopped', 'skipped'] as const;

const countsOf = (row: BackfillRow) => Object.fromEntries(COUNTS.map((name) => [name, row[name]]));

/** The row's counts from seven parameters. */
const countsFrom = (values: readonly unknown[]) =>
  Object.fromEntries(COUNTS.map((name, at) => [name, number(values[at])])) as Pick<
    BackfillRow,
    (typeof COUNTS)[number]
  >;

/** Backfills: see postgres/backfills/backfills.ts and backfill-turn.ts. */
export const BACKFILLS: Emulations = {
  'backfill-id': (it) => [{ id: it.next('backfill_id') }],

  *'backfill-create'(it, { backfill }, values) {
    const [own, workflow, state, parallel, priority, onFailure, again, members, params, request, ...rest] = values;
    const [waiting, pending, skipped, key, bodyHash, by] = rest;
    const row: BackfillRow = {
      id: id(own),
      workflow_id: id(workflow),
      state: text(state),
      parallel: number(parallel),
      priority: number(priority),
      on_failure: text(onFailure),
      again: flag(again),
      members: json(members) as BackfillRow['members'],
      params: json(params),
      request: json(request),
      waiting: number(waiting),
      pending: number(pending),
      running: 0,
      succeeded: 0,
      failed: 0,
      stopped: 0,
      skipped: number(skipped),
      last_error: null,
      key: orNull(text)(key),
      body_hash: orNull(text)(bodyHash),
      created_by: text(by),
      created_at: it.clock.now(),
      turned_at: it.clock.now(),
      ended_at: state === 'done' ? it.clock.now() : null,
    };
    // Whichever is taken first stands in the way; a second look finds the other one.
    if (row.key !== null && it.byKey(backfill, keyOf(row.workflow_id, row.key), 'backfill_by_key') !== undefined)
      return [];
    const made = yield* it.insert(backfill, row, row.key === null ? 'backfill_pkey' : 'backfill_by_key');
    return made === undefined ? [] : [{ id: made.id }];
  },

  *'backfill-create-runs'(it, { backfill_run }, [backfill, ...values]) {
    const runs = unnest<Omit<BackfillRunRow, 'backfill_id' | 'instance_id'>>(values, {
      seq: number,
      workflow_id: id,
      run_time: time,
      state: text,
      reason: json,
    });
    for (const run of runs) yield* it.insert(backfill_run, { backfill_id: id(backfill), instance_id: null, ...run });
    return [];
  },

  'backfill-find': (it, { backfill }, [own, workflow, key]) => {
    const keyed = key === null ? undefined : keyOf(id(workflow), text(key));
    const found =
      it.byKey(backfill, id(own)) ?? (keyed === undefined ? undefined : it.byKey(backfill, keyed, 'backfill_by_key'));
    return found === undefined ? [] : [{ id: found.row.id, body_hash: found.row.body_hash }];
  },

  *'backfill-hold'(it, { backfill }, [own]) {
    const found = it.byKey(backfill, id(own));
    const held = found === undefined ? undefined : yield* it.lock(found, 'no key update');
    return held === undefined ? [] : [{ state: held.row.state, ...countsOf(held.row) }];
  },

  *'backfill-stop-instances'(it, tables, [own, by]) {
    const running = runsOf(it, tables, id(own)).filter(({ row }) => row.state === 'running');
    const asked = [];
    for (const { row } of running.toSorted((a, b) => byNumber(a.row.instance_id ?? '', b.row.instance_id ?? ''))) {
      const found = it.byKey(tables.live_instance, row.instance_id ?? '');
      const live = found === undefined ? undefined : yield* it.lock(found, 'key share');
      if (live === undefined || live.row.state === 'stopping') continue;
      const instance_id = live.row.id;
      if (it.all(tables.command, (one) => one.instance_id === instance_id && one.kind === 'stop').length > 0) continue;
      yield* command(it, tables, instance_id, 'stop', { by: text(by) });
      asked.push({ instance_id });
    }
    return asked;
  },

  *'backfill-due'(it, { backfill, followup }, [limit]) {
    for (const untold of it.all(
      followup,
      (row) => row.kind === 'backfill' && it.byKey(backfill, row.subject_id) === undefined,
    ))
      yield* it.remove(untold);
    const told = it.all(followup, ({ kind }) => kind === 'backfill').map(({ row }) => row.subject_id);
    const hasRoom = (row: BackfillRow): boolean =>
      row.state === 'running' && row.pending > 0 && row.running < row.parallel;
    return it
      .all(backfill, (row) => hasRoom(row) || told.includes(row.id))
      .map(({ row }) => row)
      .toSorted(byId)
      .slice(0, number(limit))
      .map((row) => {
        const ended = told.filter((subject) => subject === row.id).length;
        const room = Math.min(row.pending + row.waiting, row.parallel - row.running + ended);
        const version_ids = row.members.map(({ versionId }) => versionId);
        return { id: row.id, version_ids, room: row.state === 'running' ? room : 0 };
      });
  },

  *'backfill-note-error'(it, { backfill }, [own, error]) {
    const found = it.byKey(backfill, id(own));
    if (found !== undefined && found.row.last_error !== error)
      yield* it.update(found, (row) => ({ ...row, last_error: text(error) }));
    return [];
  },

  *'backfill-lock'(it, { backfill }, [own]) {
    const found = it.byKey(backfill, id(own));
    const held = found === undefined ? undefined : yield* it.lock(found, 'no key update', 'skip');
    return held === undefined ? [] : [{ ...held.row }];
  },

  'backfill-ends': (it, tables, [own]) =>
    toldOf(it, tables, id(own)).map(({ row }) => {
      const run = it.byKey(tables.backfill_run, row.instance_id, 'backfill_run_by_instance')?.row;
      const ends = it.all(tables.instance_end, (end) => end.instance_id === row.instance_id);
      const last = ends.map((end) => end.row).toSorted((a, b) => b.generation - a.generation)[0];
      return {
        followup_id: row.id,
        seq: run?.backfill_id === id(own) ? run.seq : null,
        state: last?.state ?? null,
        reason: last?.reason ?? null,
      };
    }),

  'backfill-runs': (it, tables, [own, limit]) => {
    const width = it.byKey(tables.backfill, id(own))?.row.members.length ?? 1;
    const all = runsOf(it, tables, id(own));
    const next = all.filter(({ row }) => row.state === 'pending').slice(0, number(limit));
    const told = new Set(toldOf(it, tables, id(own)).map(({ row }) => row.instance_id));
    const ended = all.filter(({ row }) => row.instance_id !== null && told.has(row.instance_id));
    const place = ({ row }: Found<BackfillRunRow>): number => Math.floor((row.seq - 1) / width);
    const places = new Set([...next, ...ended].map(place));
    return all
      .filter((found) => places.has(place(found)))
      .map(({ row }) => {
        const there = ['waiting', 'pending'].includes(row.state) ? thereFor(it, tables, row) : undefined;
        return {
          seq: row.seq,
          run_time: new Date(row.run_time),
          state: row.state,
          reason: row.reason,
          there: there?.id ?? null,
          live: there?.live ?? null,
        };
      });
  },

  *'backfill-start'(it, tables, [own, ...values]) {
    const backfill = it.byKey(tables.backfill, id(own))?.row;
    if (backfill === undefined) return [];
    type Wanted = { id: string; seq: number; version_id: string; task_count: number; params: unknown };
    const read = { id, seq: number, version_id: id, task_count: number, params: json };
    const wanted = unnest<Wanted>(values, read).flatMap(({ seq, ...one }) => {
      const run = it.byKey(tables.backfill_run, keyOf(backfill.id, seq))?.row;
      if (run === undefined) return [];
      return {
        ...one,
        workflow_id: run.workflow_id,
        run_time: run.run_time,
        priority: backfill.priority,
        created_by: backfill.created_by,
        trigger: 'backfill',
        schedule_id: null,
        backfill_id: backfill.id,
      };
    });
    return yield* newInstances(it, tables, wanted);
  },

  *'backfill-note-runs'(it, { backfill_run }, [own, ...values]) {
    type Noted = { seq: number; state: string; instance_id: string | null; reason: unknown };
    const noted = unnest<Noted>(values, { seq: number, state: text, instance_id: orNull(id), reason: json });
    for (const { seq, state, instance_id, reason } of noted) {
      const found = it.byKey(backfill_run, keyOf(id(own), seq));
      if (found === undefined) continue;
      yield* it.update(found, (row) => ({ ...row, state, reason, instance_id: instance_id ?? row.instance_id }));
    }
    return [];
  },

  *'backfill-leave-out'(it, tables, [own, reason]) {
    const isLeft = ({ state }: BackfillRunRow): boolean => state === 'waiting' || state === 'pending';
    for (const found of runsOf(it, tables, id(own)))
      if (isLeft(found.row))
        yield* it.update(found, (row) => ({ ...row, state: 'skipped', reason: json(reason) }), isLeft);
    return [];
  },

  *'backfill-forget'(it, { followup }, [ids]) {
    for (const key of idList(ids)) {
      const found = it.byKey(followup, key);
      if (found !== undefined) yield* it.remove(found);
    }
    return [];
  },

  *'backfill-count'(it, { backfill }, [own, state, ...values]) {
    const found = it.byKey(backfill, id(own));
    if (found === undefined) return [];
    const ended = flag(values[COUNTS.length]);
    yield* it.update(found, (row) => ({
      ...row,
      ...countsFrom(values),
      state: text(state),
      ended_at: ended ? it.clock.now() : row.ended_at,
      last_error: null,
      turned_at: it.clock.now(),
    }));
    return [];
  },

  *'backfill-note-event'(it, { backfill_event }, [own, kind, by, detail]) {
    const row = { backfill_id: id(own), at: it.clock.now(), kind: text(kind), by: text(by), detail: json(detail) };
    yield* it.insert(backfill_event, { id: it.next('backfill_event_id'), ...row });
    return [];
  },
};

function runsOf(it: Execution, { backfill_run }: Tables, own: string): Found<BackfillRunRow>[] {
  return it.all(backfill_run, (row) => row.backfill_id === own).toSorted((a, b) => a.row.seq - b.row.seq);
}

function toldOf(it: Execution, { followup }: Tables, own: string) {
  const told = it.all(followup, ({ kind, subject_id }) => kind === 'backfill' && subject_id === own);
  return told.toSorted((a, b) => byId(a.row, b.row));
}

/** A live instance of the workflow for that time, else the newest that succeeded in its last generation. */
function thereFor(
  it: Execution,
  { workflow_instance, live_instance, instance_end }: Tables,
  { workflow_id, run_time }: BackfillRunRow,
): { id: string; live: boolean } | undefined {
  const same = it.all(workflow_instance, (row) => row.workflow_id === workflow_id && row.run_time === run_time);
  const newest = same.map(({ row }) => row.id).toSorted((a, b) => byNumber(b, a));
  const live = newest.find((one) => it.byKey(live_instance, one) !== undefined);
  if (live !== undefined) return { id: live, live: true };
  const done = newest.find((one) => {
    const ends = it.all(instance_end, (row) => row.instance_id === one).map(({ row }) => row);
    return ends.toSorted((a, b) => b.generation - a.generation)[0]?.state === 'succeeded';
  });
  return done === undefined ? undefined : { id: done, live: false };
}
