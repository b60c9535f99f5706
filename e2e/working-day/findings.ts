import type { DayWorkflow } from './workflows.ts';
import { BACKFILL, DAY, THRESHOLD_MS } from './workflows.ts';

export interface FireRow {
  readonly workflow: string;
  readonly dueMs: number;
  readonly decidedMs: number;
  readonly outcome: 'fired' | 'misfired' | 'skipped' | 'failed';
  readonly code: string | null;
  readonly instance: string | null;
}

export interface InstanceRow {
  readonly id: string;
  readonly workflow: string;
  readonly trigger: string;
  readonly runMs: number;
  readonly state: string | null;
  readonly reason: string | null;
  readonly createdMs: number;
  /** Its first step; null: it never had one. */
  readonly startedMs: number | null;
  readonly endedMs: number | null;
}

/** A row is written after its time was decided about: so much later at the most, which is more than two real seconds. */
const WRITTEN_WITHIN_MS = 40 * 60_000;
/** The end of an instance and the word of it are written by one statement, at two moments of it: a tenth of a real second at the most. */
const TOLD_WITHIN_MS = 90_000;

/** How what is stored differs from what should have happened, a line each. */
export function findingsOf(
  workflows: readonly DayWorkflow[],
  fires: readonly FireRow[],
  instances: readonly InstanceRow[],
): string[] {
  const firesOf = Map.groupBy(fires, ({ workflow }) => workflow);
  const instancesOf = Map.groupBy(instances, ({ workflow }) => workflow);
  return workflows.flatMap((workflow) => {
    const rows = (firesOf.get(workflow.name) ?? []).toSorted((one, other) => one.dueMs - other.dueMs);
    const made = instancesOf.get(workflow.name) ?? [];
    return [
      ...(workflow.due === undefined ? delayFindings(workflow, rows, made) : dueFindings(workflow, workflow.due, rows)),
      ...instanceFindings(workflow, rows, made),
      ...limitFindings(workflow, made),
    ].map((finding) => `${workflow.name}: ${finding}`);
  });
}

/** Each day once, at its beginning, no more at a time than was asked for. */
export function backfillFindings(instances: readonly InstanceRow[]): string[] {
  const { name, from, days, parallel } = BACKFILL;
  const made = instances.filter(({ workflow }) => workflow === name);
  const expected = Array.from({ length: days }, (_, day) => Date.parse(`${from}T00:00:00Z`) + day * 86_400_000);
  const found = made.flatMap(({ id, trigger, state }) =>
    trigger === 'backfill' && state === 'succeeded' ? [] : [`${id} of ${trigger} ended ${state}`],
  );
  const times = made.map(({ runMs }) => runMs).toSorted((one, other) => one - other);
  if (times.join() !== expected.join()) found.push(`it ran for ${times.map(at).join(', ')}`);
  for (const { id, createdMs } of made) {
    const together = made.filter((other) => other.createdMs <= createdMs && createdMs < (other.endedMs ?? 0)).length;
    if (together > parallel) found.push(`${together} at once when ${id} was made`);
  }
  return found.map((finding) => `backfill: ${finding}`);
}

const at = (ms: number): string => new Date(ms).toISOString();

/** Each time that was due has its row, or lies in a stretch that another row stands for; and no other time has one. */
function dueFindings({ misfire }: DayWorkflow, due: readonly number[], rows: readonly FireRow[]): string[] {
  const found: string[] = [];
  const expected = new Set(due);
  const byDue = new Map(rows.map((row) => [row.dueMs, row]));
  for (const row of rows) {
    const late = row.decidedMs - row.dueMs;
    if (!expected.has(row.dueMs)) found.push(`${row.outcome} at ${at(row.dueMs)}, when nothing was due`);
    if (late < 0) found.push(`${at(row.dueMs)} was decided ${-late} ms before it was due`);
    if (row.outcome === 'misfired' && (misfire !== 'skip' || late < THRESHOLD_MS))
      found.push(`${at(row.dueMs)} misfired, ${late} ms late, by the rule ${misfire}`);
    if (row.outcome === 'fired' && misfire === 'skip' && late > THRESHOLD_MS + WRITTEN_WITHIN_MS)
      found.push(`${at(row.dueMs)} fired ${late} ms late, by the rule skip`);
    if (row.outcome === 'fired' && row.code === null && late > THRESHOLD_MS + WRITTEN_WITHIN_MS)
      found.push(`${at(row.dueMs)} fired ${late} ms late, and does not say so`);
    if (row.outcome === 'skipped' || row.outcome === 'failed') found.push(`${at(row.dueMs)} ${row.outcome}`);
  }
  for (const [index, dueMs] of due.entries()) {
    if (byDue.has(dueMs)) continue;
    const stands = due.slice(index + 1).flatMap((later) => byDue.get(later) ?? [])[0];
    const firstMissed = due[due.slice(0, index).findLastIndex((earlier) => byDue.has(earlier)) + 1] ?? dueMs;
    const excused =
      stands !== undefined &&
      ((misfire === 'skip' && stands.outcome === 'misfired' && stands.decidedMs - dueMs > THRESHOLD_MS) ||
        (misfire === 'fire-once' &&
          stands.outcome === 'fired' &&
          stands.code === 'fired-late' &&
          stands.decidedMs - firstMissed > THRESHOLD_MS));
    if (!excused) found.push(`${at(dueMs)} was due, and nothing came of it`);
  }
  return found;
}

/** The first at the start; each next one so long after the end of the one before. */
function delayFindings(
  { fixedDelayMs = 0 }: DayWorkflow,
  rows: readonly FireRow[],
  made: readonly InstanceRow[],
): string[] {
  const found: string[] = [];
  const ends = new Map(made.map(({ id, endedMs }) => [id, endedMs]));
  if (rows.length < 3) found.push(`only ${rows.length} fires`);
  for (const [index, row] of rows.entries()) {
    if (row.outcome !== 'fired') found.push(`${at(row.dueMs)} ${row.outcome}`);
    const before = rows[index - 1];
    if (before === undefined) {
      if (row.dueMs !== DAY.fromMs) found.push(`the first is due at ${at(row.dueMs)}, not at the start`);
      continue;
    }
    const endedMs = ends.get(before.instance ?? '') ?? Number.NaN;
    const expected = endedMs + fixedDelayMs;
    if (!(row.dueMs >= Math.floor(expected) && row.dueMs - expected < TOLD_WITHIN_MS))
      found.push(`due at ${at(row.dueMs)}, but ${fixedDelayMs} ms after the last end is ${at(expected)}`);
  }
  const last = ends.get(rows.at(-1)?.instance ?? '') ?? Number.NaN;
  if (!(last + fixedDelayMs > DAY.toMs)) found.push(`the last one ended at ${at(last || 0)}, and none followed`);
  return found;
}

/** One instance for each fire, of its time; and each has come to its end. */
function instanceFindings({ policy }: DayWorkflow, rows: readonly FireRow[], made: readonly InstanceRow[]): string[] {
  const found: string[] = [];
  const scheduled = new Map(made.filter(({ trigger }) => trigger === 'schedule').map((one) => [one.id, one]));
  for (const { instance, dueMs, outcome } of rows) {
    if (outcome !== 'fired') continue;
    const one = scheduled.get(instance ?? '');
    if (one === undefined) found.push(`the fire of ${at(dueMs)} has no instance`);
    else if (one.runMs !== dueMs)
      found.push(`instance ${one.id} has the run time ${at(one.runMs)}, its fire ${at(dueMs)}`);
    scheduled.delete(instance ?? '');
  }
  for (const { id, runMs } of scheduled.values()) found.push(`instance ${id} of ${at(runMs)} has no fire`);
  for (const { id, state, reason } of made) {
    const discarded = policy === 'serial-discard' && state === 'stopped' && reason === 'discarded';
    if (state !== 'succeeded' && !discarded) found.push(`instance ${id} ended ${state} (${reason})`);
  }
  return found;
}

/** Never more at once than the limit, none started before one that came earlier, and none discarded while there was room. */
function limitFindings({ policy, limit }: DayWorkflow, made: readonly InstanceRow[]): string[] {
  if (limit === Infinity) return [];
  const found: string[] = [];
  const ran = made.flatMap((one) =>
    one.startedMs === null || one.endedMs === null || one.reason === 'discarded'
      ? []
      : [{ ...one, from: one.startedMs, to: one.endedMs }],
  );
  for (const { id, from } of ran) {
    const together = ran.filter((other) => other.from <= from && from < other.to).length;
    if (together > limit) found.push(`${together} at once when ${id} started`);
  }
  if (policy === 'serial-wait') {
    const inOrder = ran.toSorted((one, other) => one.from - other.from);
    for (const [index, { id, runMs }] of inOrder.entries())
      if (runMs < (inOrder[index - 1]?.runMs ?? 0)) found.push(`${id} started after one that was due later`);
  }
  for (const { id, createdMs, endedMs, reason } of made) {
    if (reason !== 'discarded') continue;
    if (
      !made.some((other) => other.id !== id && other.createdMs <= (endedMs ?? 0) && createdMs <= (other.endedMs ?? 0))
    )
      found.push(`${id} was discarded, and nothing was in its way`);
  }
  return found;
}
