import type { TriggerDefinition } from '@keelson/core';
import { committedRows } from '../../packages/store/src/memory/database.ts';
import type { FireRow, ScheduleRow } from '../../packages/store/src/memory/rows.ts';
import type { World } from '../world/world.ts';

/** What must hold of fires, limits and backfills after every commit. */
export function watchCalendar(world: World): () => void {
  const { tables } = world.database;
  let seen = '';
  return () => {
    checkSlots(world);
    const size = `${tables.fire.tuples.size} ${tables.workflow_instance.tuples.size}`;
    if (size === seen) return;
    seen = size;
    checkFires(world);
    checkBackfills(world);
  };
}

/** A fire and its instance are made together, and no time of a schedule has two. */
function checkFires(world: World): void {
  const { fire, workflow_instance } = world.database.tables;
  const fires = new Map(
    committedRows(fire).flatMap((row) => (row.instance_id === null ? [] : [[row.instance_id, row] as const])),
  );
  const times = new Set<string>();
  for (const { id, schedule_id, run_time } of committedRows(workflow_instance)) {
    if (schedule_id === null) continue;
    const row = fires.get(id);
    if (row === undefined || row.schedule_id !== schedule_id || row.due_at !== run_time)
      world.violated(
        'instance-has-its-fire',
        `schedule ${schedule_id} made it for ${run_time}, and no fire says so`,
        id,
      );
    const time = `${schedule_id} ${run_time}`;
    if (times.has(time)) world.violated('one-fire-per-time', `schedule ${schedule_id} fired twice for ${run_time}`, id);
    times.add(time);
    fires.delete(id);
  }
  for (const [id, row] of fires)
    world.violated(
      'fire-has-its-instance',
      `schedule ${row.schedule_id} fired for ${row.due_at}, and ${id} is not there`,
      id,
    );
}

/** Slots are those of live instances, no more than there may be, and nothing goes on without one. */
function checkSlots(world: World): void {
  const { concurrency, slot, live_instance } = world.database.tables;
  if (concurrency.tuples.size === 0) return;
  const slots = Map.groupBy(committedRows(slot), (row) => row.workflow_id);
  const live = Map.groupBy(committedRows(live_instance), (row) => row.workflow_id);
  for (const { workflow_id, slots: most } of committedRows(concurrency)) {
    if (most === null) continue;
    const held = slots.get(workflow_id) ?? [];
    const lives = new Map((live.get(workflow_id) ?? []).map((row) => [row.id, row]));
    if (held.length > most)
      world.violated('limit-holds', `${held.length} slots of workflow ${workflow_id} are taken, and there are ${most}`);
    for (const { instance_id } of held)
      if (!lives.has(instance_id))
        world.violated(
          'slot-names-who-lives',
          `a slot of workflow ${workflow_id} is kept by an instance that is gone`,
          instance_id,
        );
    const holders = new Set(held.map(({ instance_id }) => instance_id));
    for (const { id, state } of lives.values())
      if (state !== 'queued' && !holders.has(id)) world.violated('limit-holds', `it is ${state} without a slot`, id);
  }
}

/** Each time of a backfill is run once at the most, and no more at once than it was asked for. */
function checkBackfills(world: World): void {
  const { backfill, backfill_run, workflow_instance } = world.database.tables;
  if (backfill.tuples.size === 0) return;
  const times = new Set<string>();
  for (const { id, backfill_id, workflow_id, run_time } of committedRows(workflow_instance)) {
    if (backfill_id === null) continue;
    const time = `${backfill_id} ${workflow_id} ${run_time}`;
    if (times.has(time))
      world.violated('backfill-runs-once', `${run_time} of backfill ${backfill_id} was started twice`, id);
    times.add(time);
  }
  const runs = Map.groupBy(committedRows(backfill_run), (row) => row.backfill_id);
  for (const { id, parallel } of committedRows(backfill)) {
    const running = (runs.get(id) ?? []).filter(({ state }) => state === 'running').length;
    if (running > parallel) world.violated('backfill-keeps-to-its-share', `${running} run, and ${parallel} may`);
  }
}

/** What must hold once everything has ended: no time was lost, and every backfill is through. */
export function checkCalendarEnd(world: World): void {
  const { schedule, fire, backfill, backfill_run } = world.database.tables;
  const fires = Map.groupBy(committedRows(fire), (row) => row.schedule_id);
  for (const row of committedRows(schedule)) {
    if (row.last_error !== null) world.violated('schedules-go-on', `schedule ${row.id}: ${row.last_error}`);
    checkTimes(
      world,
      row,
      (fires.get(row.id) ?? []).toSorted((one, other) => one.due_at - other.due_at),
    );
  }
  for (const { id, state } of committedRows(backfill))
    if (state !== 'done' && state !== 'cancelled')
      world.violated('everything-ends', `backfill ${id} is still ${state}`);
  for (const { backfill_id, seq, state } of committedRows(backfill_run))
    if (['waiting', 'pending', 'running'].includes(state))
      world.violated('everything-ends', `run ${seq} of backfill ${backfill_id} is still ${state}`);
}

/** Each time has its row, or a later row stands for it by the rule for what was missed. */
function checkTimes(world: World, schedule: ScheduleRow, rows: readonly FireRow[]): void {
  const trigger = schedule.trigger as TriggerDefinition;
  const lost = (due: number, why: string): void =>
    world.violated(
      'no-fire-is-lost',
      `schedule ${schedule.id} (${trigger.misfire}), ${new Date(due).toISOString()}: ${why}`,
    );
  for (const { outcome, due_at } of rows)
    if (outcome !== 'fired' && outcome !== 'misfired') lost(due_at, `it ${outcome}`);
  const expected = timesOf(trigger, schedule.started_at);
  if (expected === undefined) return rows.length === 0 ? lost(schedule.started_at, 'it never fired') : undefined;
  const byDue = new Map(rows.map((row) => [row.due_at, row]));
  const wanted = new Set(expected);
  for (const { due_at } of rows) if (!wanted.has(due_at)) lost(due_at, 'it fired, and was not due');
  const threshold = trigger.misfireThresholdMs ?? 0;
  let missed: number | undefined;
  for (const due of expected) {
    const row = byDue.get(due);
    if (row === undefined) {
      missed ??= due;
      if (trigger.misfire === 'fire-all') lost(due, 'there is no row of it');
      continue;
    }
    if (missed !== undefined && row.decided_at - missed <= threshold) lost(missed, 'it was left out, and not missed');
    if (missed !== undefined && row.outcome !== (trigger.misfire === 'skip' ? 'misfired' : 'fired'))
      lost(missed, `the next row, which ${row.outcome}, does not stand for it`);
    missed = undefined;
  }
  if (missed !== undefined) lost(missed, 'nothing came of it');
}

/** By the simplest arithmetic; a fixed delay has none. The first time is after the moment at which the schedule was made. */
function timesOf(trigger: TriggerDefinition, afterMs: number): number[] | undefined {
  const untilMs = Date.parse(trigger.end ?? '');
  if (trigger.at !== undefined) return [Date.parse(trigger.at)].filter((ms) => ms > afterMs && ms <= untilMs);
  if (trigger.fixedDelayMs !== undefined) return undefined;
  const everyMs = trigger.fixedRateMs ?? 1000 * Number(/^0\/(\d+) /.exec(trigger.cron ?? '')?.[1]);
  const times: number[] = [];
  for (let ms = (Math.floor(afterMs / everyMs) + 1) * everyMs; ms <= untilMs; ms += everyMs) times.push(ms);
  return times;
}
