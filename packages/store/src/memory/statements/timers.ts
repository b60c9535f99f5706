import type { ActiveRow, DelayedRow } from '../rows.ts';
import { number } from '../values.ts';
import { alert, command, noteEach } from './emulation.ts';
import type { Emulations } from './emulation.ts';
import { lineUp } from './step-line.ts';

const TIMEOUT_SLACK_MS = 5000;

/** When the masters look at a timeout: later than the worker, if it is theirs to end the attempt. */
const strikeAt = ({ timeout_at, timeout_action }: ActiveRow): number =>
  timeout_at === null ? Infinity : timeout_at + (timeout_action === 'fail' ? TIMEOUT_SLACK_MS : 0);

/** What falls due: see postgres/engine/timers.ts. */
export const TIMERS: Emulations = {
  *'timer-release'(it, tables, [limit]) {
    const due = it
      .all(tables.delayed, (row) => row.due_at <= it.clock.now())
      .toSorted((one, other) => one.row.due_at - other.row.due_at);
    const held = [];
    for (const found of due) {
      if (held.length >= number(limit)) break;
      if ((yield* it.lock(found, 'update', 'skip')) !== undefined) held.push(found);
    }
    const gone: DelayedRow[] = [];
    for (const found of held) {
      const row = yield* it.remove(found);
      if (row !== undefined) gone.push(row);
    }
    const lined = gone.filter((row) => !row.fan_out);
    for (const row of lined) yield* lineUp(it, tables, row);
    for (const { instance_id, task, fan_out } of gone)
      if (fan_out) yield* command(it, tables, instance_id, 'fan-out', { task });
    yield* noteEach(it, tables, lined, ({ task, attempt }) => ({ type: 'task-ready', task, attempt }));
    return [...new Set(gone.map((row) => (row.fan_out ? null : row.worker_group)))].map((worker_group) => ({
      worker_group,
    }));
  },

  *'timer-strike'(it, tables, [limit]) {
    const isDue = (row: ActiveRow): boolean => strikeAt(row) <= it.clock.now();
    const due = it
      .all(tables.active, isDue)
      .toSorted((one, other) => (one.row.timeout_at ?? 0) - (other.row.timeout_at ?? 0));
    const held = [];
    for (const found of due) {
      if (held.length >= number(limit)) break;
      if ((yield* it.lock(found, 'no key update', 'skip', isDue)) !== undefined) held.push(found);
    }
    const struck: ActiveRow[] = [];
    for (const found of held) {
      const row = yield* it.update(found, (one) => {
        const kill_reason = one.timeout_action === 'fail' ? (one.kill_reason ?? 'timeout') : one.kill_reason;
        return { ...one, timeout_at: null, kill_reason };
      });
      if (row !== undefined) struck.push(row);
    }
    for (const { instance_id, task, attempt, timeout_action } of struck)
      if (timeout_action === 'warn') yield* alert(it, tables, 'task-timeout', instance_id, { task, attempt });
    yield* noteEach(it, tables, struck, ({ task, attempt, id: attemptId, timeout_action: action }) => ({
      type: 'timeout-passed',
      task,
      attempt,
      attemptId,
      action,
    }));
    return struck.map(({ instance_id, task, timeout_action }) => ({ instance_id, task, timeout_action }));
  },

  'timer-next': (it, { delayed, active, worker_incarnation }) => {
    const ends = [
      ...it.all(delayed).map(({ row }) => row.due_at),
      ...it.all(active).map(({ row }) => strikeAt(row)),
      ...it.all(worker_incarnation, (row) => row.state !== 'dead').map(({ row }) => row.lease_until),
    ];
    const next = Math.min(...ends);
    return [{ wait: Number.isFinite(next) ? String(next - it.clock.now()) : null }];
  },

  'timer-clock': (it) => [{ now: String(it.clock.now()), timeline: it.timeline() }],
};
