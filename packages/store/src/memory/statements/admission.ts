import type { Execution, Steps } from '../execution.ts';
import type { FollowupRow, GenerationRow, LiveRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { byNumber, id, idList, json, list, number, orNull, text } from '../values.ts';
import { command, inOrder } from './emulation.ts';
import type { Emulations } from './emulation.ts';

const SETTLED_AFTER_MS = 30_000;

/** Admissions: see postgres/engine/admission.ts. */
export const ADMISSION: Emulations = {
  *'admission-lock'(it, tables, [limit]) {
    const wanted = new Set(asked(it, tables, number(limit)).map(({ subject_id }) => subject_id));
    const answer = [];
    for (const found of inOrder(
      it.all(tables.concurrency, (row) => wanted.has(row.workflow_id)),
      (row) => row.workflow_id,
    )) {
      const held = yield* it.lock(found, 'update', 'skip');
      if (held === undefined) continue;
      const { workflow_id, settled, slots } = held.row;
      answer.push({ workflow_id, settled: settled || slots === null });
    }
    return answer;
  },

  'admission-read': (it, tables, [limit, mostPerWorkflow]) => {
    const groups = Map.groupBy(asked(it, tables, number(limit)), (row) => row.subject_id);
    return [...groups]
      .toSorted(([one], [other]) => byNumber(one, other))
      .map(([workflow_id, rows]) => {
        const limited = it.byKey(tables.concurrency, workflow_id)?.row;
        const { policy, slots } = limited ?? { policy: 'parallel', slots: null };
        const held = it.all(tables.slot, (row) => row.workflow_id === workflow_id).length;
        const most = number(mostPerWorkflow);
        const room = slots === null || policy === 'serial-discard' ? most : Math.min(Math.max(slots - held, 0), most);
        const waiting = waitingOf(it, tables, workflow_id, policy).slice(0, room);
        const followups = rows.map((row) => row.id);
        return { workflow_id, followups, policy, slots, held, is_known: limited !== undefined, waiting };
      });
  },

  *'admission-adopt'(it, tables, [workflows]) {
    const wanted = new Set(idList(workflows));
    const busy = new Set<string>();
    const isStranger = (row: LiveRow): boolean => wanted.has(row.workflow_id) && !row.limited;
    for (const found of inOrder(it.all(tables.live_instance, isStranger), (row) => row.id)) {
      const { id: instance_id, workflow_id } = found.row;
      const free = yield* it.lock(found, 'no key update', 'skip', isStranger);
      if (free === undefined) {
        busy.add(workflow_id);
        continue;
      }
      yield* it.update(free, (row) => ({ ...row, limited: true }));
      const held_since = it.byKey(tables.concurrency, workflow_id)?.row.changed_at ?? it.clock.now();
      yield* it.insert(tables.slot, { workflow_id, instance_id, held_since });
    }
    return [...busy].toSorted(byNumber).map((workflow_id) => ({ workflow_id }));
  },

  *'admission-settle'(it, { concurrency }, [workflows]) {
    const before = it.clock.now() - SETTLED_AFTER_MS;
    for (const workflow of idList(workflows)) {
      const found = it.byKey(concurrency, workflow);
      if (found !== undefined && found.row.slots !== null && found.row.changed_at < before)
        yield* it.update(found, (row) => ({ ...row, settled: true }));
    }
    return [];
  },

  *'admission-write'(it, tables, values) {
    const [ids, workflows, reasons, followups] = values;
    const read = { ids: idList(ids), workflows: idList(workflows), reasons: list(orNull(text))(reasons) };
    const chosen = read.ids.map((one, at) => ({
      id: one,
      workflow_id: id(read.workflows[at]),
      reason: read.reasons[at] ?? null,
    }));
    const free = yield* freeAmong(it, tables, read.ids);
    for (const { id: instance_id, workflow_id, reason } of chosen)
      if (free.has(instance_id) && reason === null)
        yield* it.insert(tables.slot, { workflow_id, instance_id, held_since: it.clock.now() });
    for (const { id: instance, reason } of chosen) {
      const live = free.get(instance);
      if (live === undefined) continue;
      if (reason !== null) yield* command(it, tables, instance, 'discard', { reason: json(reason) });
      else if (live.generation === 1) yield* command(it, tables, instance, 'start');
      else yield* command(it, tables, instance, 'begin', beginOf(it, tables, live));
    }
    const missed = new Set(chosen.filter((one) => !free.has(one.id)).map((one) => one.workflow_id));
    for (const followup of idList(followups)) {
      const found = it.byKey(tables.followup, followup);
      if (found !== undefined && !missed.has(found.row.subject_id)) yield* it.remove(found);
    }
    return [...free.keys()].map((instance) => ({ id: instance }));
  },
};

function asked(it: Execution, { followup }: Tables, limit: number): FollowupRow[] {
  const found = it.all(followup, ({ kind }) => kind === 'admission');
  return inOrder(found, (row) => row.id)
    .slice(0, limit)
    .map(({ row }) => row);
}

/** In the order in which they get slots. */
function waitingOf(it: Execution, tables: Tables, workflowId: string, policy: string): string[] {
  const discarded = new Set(it.all(tables.command, ({ kind }) => kind === 'discard').map(({ row }) => row.instance_id));
  const waits = (row: LiveRow): boolean =>
    row.workflow_id === workflowId &&
    row.limited &&
    row.state === 'queued' &&
    it.byKey(tables.slot, keyOf(workflowId, row.id)) === undefined &&
    !discarded.has(row.id);
  return it
    .all(tables.live_instance, waits)
    .map(({ row }) => row)
    .toSorted(
      (one, other) =>
        (policy === 'serial-priority' ? other.priority - one.priority : 0) || byNumber(one.place, other.place),
    )
    .map((row) => row.id);
}

function* freeAmong(it: Execution, { live_instance }: Tables, ids: readonly string[]): Steps<Map<string, LiveRow>> {
  const wanted = new Set(ids);
  const isQueued = (row: LiveRow): boolean => wanted.has(row.id) && row.state === 'queued';
  const free = new Map<string, LiveRow>();
  for (const found of inOrder(it.all(live_instance, isQueued), (row) => row.id)) {
    const held = yield* it.lock(found, 'no key update', 'skip', isQueued);
    if (held !== undefined) free.set(held.row.id, held.row);
  }
  return free;
}

function beginOf(it: Execution, { instance_generation }: Tables, { id, generation }: LiveRow): object {
  const row: GenerationRow | undefined = it.byKey(instance_generation, keyOf(id, generation))?.row;
  if (row === undefined) return {};
  const { mode, task, created_by: by } = row;
  return { mode, ...(task === null ? {} : { task }), by };
}
