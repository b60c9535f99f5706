import type { Answer } from '../database.ts';
import type { Execution, Found, Steps } from '../execution.ts';
import type { FireRow, ScheduleRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { byNumber, flag, id, idList, json, number, orNull, text, textList, time, unnest } from '../values.ts';
import { alert, inOrder } from './emulation.ts';
import type { Emulations } from './emulation.ts';
import { newInstances } from './new-instances.ts';

const msOrNull = (ms: number | null): string | null => (ms === null ? null : String(ms));

const isActive = (row: ScheduleRow): boolean => row.deleted_at === null && row.enabled && row.paused_at === null;

/** A schedule joined to its version, workflow and project. */
function joined(it: Execution, row: ScheduleRow): Answer[number] | undefined {
  const version = it.versionOf(row.version_id);
  if (version === undefined) return undefined;
  return {
    id: row.id,
    workflow_id: row.workflow_id,
    version_id: row.version_id,
    trigger_id: row.trigger_id,
    trigger: JSON.stringify(row.trigger),
    awaiting: row.awaiting,
    due_ms: msOrNull(row.next_due),
    at_ms: msOrNull(row.next_at),
    active: isActive(row),
    workflow: version.workflow,
    project_id: version.projectId,
    project: version.project,
    project_params: version.projectParams,
    task_count: version.taskCount,
    params: version.params,
    now_ms: String(it.clock.now()),
  };
}

interface Planned {
  readonly schedule_id: string;
  readonly due_at: number;
  readonly outcome: string;
  readonly reason: unknown;
  readonly instance_id: string | null;
  readonly workflow_id: string;
  readonly version_id: string;
  readonly task_count: number;
  readonly params: unknown;
  readonly created_by: string;
  readonly awaited: boolean;
}

/** Fires: see postgres/schedules/fires-read.ts and fires-write.ts. */
export const FIRES: Emulations = {
  *'fires-due'(it, { schedule }, [limit, asOf, only]) {
    const bound = Math.min(it.clock.now(), asOf === 'infinity' ? Infinity : time(asOf));
    const one = orNull(id)(only);
    const isDue = (row: ScheduleRow): boolean =>
      row.next_at !== null && row.next_at <= bound && (one === null || row.id === one);
    const due = it
      .all(schedule, isDue)
      .toSorted((a, b) => (a.row.next_at ?? 0) - (b.row.next_at ?? 0) || byNumber(a.row.id, b.row.id));
    const taken: Answer = [];
    for (const found of due) {
      if (taken.length >= number(limit)) break;
      const seen = joined(it, found.row);
      if (seen === undefined) continue;
      const stays = (row: ScheduleRow): boolean => isDue(row) && row.version_id === found.row.version_id;
      const held = yield* it.lock(found, 'no key update', 'skip', stays);
      if (held !== undefined) taken.push(joined(it, held.row) ?? seen);
    }
    return taken;
  },

  *'fires-ended'(it, { followup, schedule, instance_end }, [limit, only]) {
    const one = orNull(id)(only);
    const told = it.all(followup, (row) => row.kind === 'schedule' && (one === null || row.subject_id === one));
    const endOf = (instance: string): number | undefined =>
      it
        .all(instance_end, (row) => row.instance_id === instance)
        .toSorted((a, b) => b.row.generation - a.row.generation)[0]?.row.ended_at;
    const taken: Answer = [];
    for (const found of inOrder(told, (row) => row.id)) {
      if (taken.length >= number(limit)) break;
      const of = it.byKey(schedule, found.row.subject_id);
      const seen = of === undefined ? undefined : joined(it, of.row);
      if (of === undefined || seen === undefined) continue;
      if ((yield* it.lock(found, 'update', 'skip')) === undefined) continue;
      const stays = (row: ScheduleRow): boolean => row.version_id === of.row.version_id;
      const held = yield* it.lock(of, 'no key update', 'skip', stays);
      if (held === undefined) continue;
      const { id: followup_id, instance_id: ended_instance, created_at } = found.row;
      taken.push({
        ...(joined(it, held.row) ?? seen),
        followup_id,
        ended_instance,
        ended_ms: String(endOf(found.row.instance_id) ?? created_at),
      });
    }
    return taken;
  },

  'fires-ahead': (it, { schedule }, [until, limit]) =>
    it
      .all(schedule, (row) => row.next_at !== null && row.next_at <= time(until))
      .toSorted((a, b) => (a.row.next_at ?? 0) - (b.row.next_at ?? 0) || byNumber(a.row.id, b.row.id))
      .map(({ row }) => joined(it, row))
      .filter((row) => row !== undefined)
      .slice(0, number(limit)),

  'fires-calendars': (it, { calendar }, [projects, names]) => {
    const wanted = textList(names).map((name, at) => keyOf(idList(projects)[at] ?? '', name));
    return wanted.flatMap((key) => {
      const row = it.byKey(calendar, key)?.row;
      return row === undefined ? [] : [{ ...row }];
    });
  },

  'fires-next': (it, { schedule, followup }) => {
    const next = Math.min(...it.all(schedule).map(({ row }) => row.next_at ?? Infinity));
    const ended = it.all(followup, ({ kind }) => kind === 'schedule').length > 0;
    return [{ now_ms: String(it.clock.now()), due_ms: Number.isFinite(next) ? String(next) : null, ended }];
  },

  *'fires-write'(it, tables, values) {
    const planned = unnest<Planned>(values, {
      schedule_id: id,
      due_at: time,
      outcome: text,
      reason: orNull(json),
      instance_id: orNull(id),
      workflow_id: id,
      version_id: id,
      task_count: number,
      params: json,
      created_by: text,
      awaited: flag,
    });
    const recorded = yield* record(it, tables, planned);
    const wanted = planned.flatMap(({ instance_id, due_at: run_time, awaited: heard, ...one }) =>
      instance_id !== null && recorded.some((row) => row.instance_id === instance_id)
        ? [{ ...one, id: instance_id, run_time, heard, priority: 0, trigger: 'schedule', backfill_id: null }]
        : [],
    );
    const live = yield* newInstances(it, tables, wanted);
    const count = (outcome: string): number => recorded.filter((row) => row.outcome === outcome).length;
    return [
      {
        fired: count('fired'),
        misfired: count('misfired'),
        skipped: count('skipped'),
        failed: count('failed'),
        queued: live.some(({ limited }) => limited),
        commands: live.some(({ limited }) => !limited),
      },
    ];
  },

  *'fires-alert'(it, tables, [kinds, payloads]) {
    for (const [at, kind] of textList(kinds).entries())
      yield* alert(it, tables, kind, null, json(textList(payloads)[at]));
    return [];
  },

  *'fires-advance'(it, { schedule, live_instance }, values) {
    const advanced = unnest<{ id: string; next_due: number | null; next_at: number | null; awaiting: string | null }>(
      values,
      { id, next_due: orNull(time), next_at: orNull(time), awaiting: orNull(id) },
    );
    for (const { id: key, next_due, next_at, awaiting } of advanced) {
      const live = awaiting === null ? undefined : it.byKey(live_instance, awaiting)?.row;
      const awaited = live?.schedule_id === key ? live.id : null;
      const place = awaited === null ? { next_due, next_at } : { next_due: null, next_at: null };
      const change = { ...place, awaiting: awaited, exhausted: next_due === null && awaited === null };
      yield* updateOne(it, it.byKey(schedule, key), (row) => ({ ...row, ...change, last_error: null }));
    }
    return [];
  },

  *'fires-forget-awaited'(it, { schedule }, [ids]) {
    for (const key of idList(ids)) yield* updateOne(it, it.byKey(schedule, key), (row) => ({ ...row, awaiting: null }));
    return [];
  },

  *'fires-drop-followups'(it, { followup }, [ids]) {
    for (const key of idList(ids)) {
      const found = it.byKey(followup, key);
      if (found !== undefined) yield* it.remove(found);
    }
    return [];
  },

  *'fires-put-off'(it, tables, [ids, errors, alerts, delayMs]) {
    const failing = unnest<{ id: string; error: string; alert: unknown }>([ids, errors, alerts], {
      id,
      error: text,
      alert: json,
    });
    for (const { id: key, error, alert: payload } of failing) {
      const found = it.byKey(tables.schedule, key);
      if (found === undefined || !isActive(found.row) || found.row.exhausted) continue;
      const now = it.clock.now();
      const put = { next_at: now + number(delayMs), awaiting: null, last_error: error };
      yield* updateOne(it, found, (row) => ({ ...row, ...put, next_due: row.next_due ?? now }));
      if (found.row.last_error !== null) continue;
      const event = { schedule_id: key, at: now, kind: 'failing', by: 'master', detail: { error } };
      yield* it.insert(tables.schedule_event, { id: it.next('schedule_event_id'), ...event });
      yield* alert(it, tables, 'schedule-failing', null, payload);
    }
    return [];
  },
};

function* record(it: Execution, { fire }: Tables, planned: readonly Planned[]): Steps<FireRow[]> {
  const recorded: FireRow[] = [];
  const ordered = planned.toSorted((a, b) => byNumber(a.schedule_id, b.schedule_id) || a.due_at - b.due_at);
  for (const { schedule_id, due_at, outcome, reason, instance_id } of ordered) {
    const row = { schedule_id, due_at, outcome, reason, instance_id, decided_at: it.clock.now() };
    if ((yield* it.insert(fire, row, 'fire_pkey')) !== undefined) recorded.push(row);
  }
  return recorded;
}

function* updateOne<Row>(
  it: Execution,
  found: Found<Row> | undefined,
  change: (row: Row) => Row,
): Steps<Row | undefined> {
  return found === undefined ? undefined : yield* it.update(found, change);
}
