import type { Answer } from '../database.ts';
import type { Execution, Found, Steps } from '../execution.ts';
import type { HistoryRow } from '../rows.ts';
import type { Tables } from '../schema.ts';
import { byNumber } from '../values.ts';

/** What a prepared statement does, given its parameters. */
export type Emulation = (it: Execution, tables: Tables, values: readonly unknown[]) => Steps<Answer> | Answer;

/** Emulations by the names of the statements. */
export type Emulations = Readonly<Record<string, Emulation>>;

/** Found rows in the order of their primary key, as an index scan finds them. */
export function inOrder<Row>(found: readonly Found<Row>[], of: (row: Row) => string): Found<Row>[] {
  return found.toSorted((one, other) => byNumber(of(one.row), of(other.row)));
}

/** Groups rows by instance, in the order of the instances. */
export function byInstance<Row extends { readonly instance_id: string }>(rows: readonly Row[]): [string, Row[]][] {
  return [...Map.groupBy(rows, (row) => row.instance_id)].toSorted(([one], [other]) => byNumber(one, other));
}

/** Adds a history row. */
export function* note(
  it: Execution,
  tables: Tables,
  instanceId: string,
  events: readonly unknown[],
): Steps<HistoryRow | undefined> {
  const row = { id: it.next('history_id'), instance_id: instanceId, at: it.clock.now(), events };
  return yield* it.insert(tables.history, row);
}

/** Adds one history row per instance with an event for each of these rows. */
export function* noteEach<Row extends { readonly instance_id: string }>(
  it: Execution,
  tables: Tables,
  rows: readonly Row[],
  event: (row: Row) => object,
): Steps<void> {
  for (const [instanceId, group] of byInstance(rows)) yield* note(it, tables, instanceId, group.map(event));
}

/** Adds a command with the defaults of its table. */
export function* command(
  it: Execution,
  tables: Tables,
  instanceId: string,
  kind: string,
  payload: unknown = {},
  lastError: string | null = null,
): Steps<void> {
  const now = it.clock.now();
  yield* it.insert(tables.command, {
    id: it.next('command_id'),
    instance_id: instanceId,
    kind,
    payload,
    tries: 0,
    last_error: lastError,
    not_before: -Infinity,
    created_at: now,
  });
}

/** Adds an alert with the defaults of its table. */
export function* alert(
  it: Execution,
  tables: Tables,
  kind: string,
  instanceId: string | null,
  payload: unknown,
): Steps<void> {
  const row = { id: it.next('alert_id'), kind, instance_id: instanceId, payload, created_at: it.clock.now() };
  yield* it.insert(tables.alert, row);
}

/** Adds what has to follow elsewhere: see postgres/schema/migrations/0006_followups.sql. */
export function* followup(
  it: Execution,
  tables: Tables,
  kind: string,
  subjectId: string,
  instanceId: string,
): Steps<void> {
  const created_at = it.clock.now();
  yield* it.insert(tables.followup, {
    id: it.next('followup_id'),
    kind,
    subject_id: subjectId,
    instance_id: instanceId,
    created_at,
  });
}
