import type { ReportedEnd, StepInput, TaskKey } from '../../../engine.ts';
import { generationKey } from '../../../ids.ts';
import { call } from '../../connection/session.ts';
import type { Rows } from '../../connection/session.ts';
import {
  activeById,
  activeFrom,
  dueCommands,
  endEvent,
  instanceFacts,
  lockInstances,
  recordsInto,
  taskRecords,
} from './read.ts';
import type { ActiveRow } from './read.ts';
import { addCommands } from './read-commands.ts';
import { addEvent, admitLocked, claimEnd, noteFacts, strangersAmong } from './workbench.ts';
import type { Workbench } from './workbench.ts';

/** Locks the instances of the reports and fills the workbench with the ends, and with the commands that wait for the same instances. */
export async function readReports(bench: Workbench, { reports, demand }: StepInput): Promise<void> {
  const ids = [...new Set(reports.map(({ instanceId }) => instanceId))];
  const told = new Map(
    reports.map(({ instanceId, generation }) => [generationKey(instanceId, generation), { instanceId, generation }]),
  );
  const strangers = [...told.values()].filter((key) => !bench.facts.has(key));
  const calls = [
    lockInstances(ids),
    activeById(reports.map(({ attemptId }) => attemptId)),
    instanceFacts(strangers),
    dueCommands(ids),
    ...taskRecords(demand),
  ];
  const [locked = [], active = [], factRows = [], commands = [], counters = [], finished = []] =
    await bench.transaction.flight(demand.length > 0 ? calls : calls.slice(0, 4));
  noteFacts(bench, factRows);
  await noteOtherGenerations(bench, admitLocked(bench, locked));
  await tellBusyFromEnded(
    bench,
    ids.filter((id) => !bench.live.has(id) && !bench.unknown.has(id)),
  );
  readAhead(bench, demand, counters, finished);
  const attempts = new Map(active.map((row) => [String(row.id), activeFrom(row)]));
  const due = commands.filter((row) => bench.live.has(row.instance_id));
  // An end that was kept as a command is the same worker's word, and older; one that a lease's end left is only a guess.
  await addCommands(bench, due.filter(isReport));
  for (const report of reports) {
    if (bench.busy.has(report.instanceId) || bench.unknown.has(report.instanceId)) bench.postponed.push(report);
    else addReport(bench, report, attempts.get(report.attemptId));
  }
  // Or a stop would wait for as long as the instance's tasks report without a pause.
  await addCommands(
    bench,
    due.filter((row) => !isReport(row)),
  );
}

/** Takes up what was read ahead, but for instances of which it was read in a generation that is over: their own is read when it is asked for. */
function readAhead(bench: Workbench, demand: readonly TaskKey[], counters: Rows, finished: Rows): void {
  const over = new Set<string>();
  for (const { instanceId, generation } of demand)
    if (bench.live.get(instanceId)?.generation !== generation) over.add(instanceId);
  const isCurrent = (row: Rows[number]): boolean => !over.has(row.instance_id);
  const keys = demand.filter(({ instanceId }) => !over.has(instanceId));
  recordsInto(bench.records, keys, counters.filter(isCurrent), finished.filter(isCurrent));
}

/** A report that comes late may speak of a generation that has ended, and a command of the one that lives waits for the same instance. */
async function noteOtherGenerations(bench: Workbench, admitted: readonly string[]): Promise<void> {
  const strangers = strangersAmong(bench, admitted);
  if (strangers.length === 0) return;
  const [rows = []] = await bench.transaction.flight([instanceFacts(strangers)]);
  noteFacts(bench, rows);
}

/** A report carries its attempt's nonce. */
function isReport(row: Rows[number]): boolean {
  return row.kind === 'attempt-ended' && row.payload.nonce !== undefined;
}

/** A row that could not be locked is either held by somebody or gone with its instance: only the first is worth another try. */
async function tellBusyFromEnded(bench: Workbench, notLocked: readonly string[]): Promise<void> {
  if (notLocked.length === 0) return;
  const [rows = []] = await bench.transaction.flight([call(STILL_LIVE, notLocked)]);
  for (const row of rows) bench.busy.add(row.id);
}

const STILL_LIVE = { name: 'step-still-live', text: 'select id from live_instance where id = any($1::bigint[])' };

function addReport(bench: Workbench, report: ReportedEnd, attempt: ActiveRow | undefined): void {
  const fits =
    attempt !== undefined &&
    bench.live.has(report.instanceId) &&
    attempt.instanceId === report.instanceId &&
    attempt.incarnationId === report.incarnationId &&
    attempt.nonce === report.nonce;
  if (fits && claimEnd(bench, report.attemptId)) addEvent(bench, report.instanceId, endEvent(attempt, report));
  else bench.settled.push(report);
}
