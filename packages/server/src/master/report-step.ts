import { firstDemand, sleep } from '@keelson/core';
import type { Reason } from '@keelson/core';
import { outcomeOf, sqlState } from '@keelson/store';
import type { ReportedEnd, StepInput, TaskKey } from '@keelson/store';
import type { MasterContext } from './context.ts';
import type { Handover } from './handover.ts';
import { stepAndFollow } from './outcome.ts';

/** Another transaction holds the instance: it is over in about this time. */
const POSTPONE_MS = 2;
const RETRY_MS = { first: 20, most: 1000 };
/** Characters of outputs and artifacts in one step: it holds its locks for as long as it takes to write them. */
const MOST_STEP_SIZE = 4 * 1024 * 1024;
/** A report whose step alone does not end in time so often will not at the next try either. */
const SLOW_TRIES = 3;

export interface PendingReport {
  readonly report: ReportedEnd;
  readonly receivedAt: number;
  /** Characters that it adds to a step. */
  readonly size: number;
  readonly settle: () => void;
  readonly settled: Promise<void>;
}

/** Where reports come from and go back to. */
export interface ReportDesk {
  readonly context: MasterContext;
  readonly handover: Handover;
  settle(entries: readonly PendingReport[]): void;
  /** Queues them for a later batch. */
  again(entries: readonly PendingReport[]): void;
}

/** One step after the other, none of them larger than a step may be. Never rejects. */
export async function applyInParts(desk: ReportDesk, batch: readonly PendingReport[]): Promise<void> {
  for (const part of inParts(batch)) await applyReports(desk, part);
}

function inParts(batch: readonly PendingReport[]): PendingReport[][] {
  const parts: PendingReport[][] = [];
  let left = 0;
  for (const entry of batch) {
    const part = parts.at(-1);
    if (part === undefined || entry.size > left) {
      parts.push([entry]);
      left = MOST_STEP_SIZE - entry.size;
    } else {
      part.push(entry);
      left -= entry.size;
    }
  }
  return parts;
}

/**
 * From reports to a committed decision. What could not be applied is tried again for as long as the database says that this may help; what
 * the core or the schema refuses becomes a command, which counts its tries and is parked in the end. Never rejects.
 */
export function applyReports(desk: ReportDesk, batch: readonly PendingReport[]): Promise<void> {
  let slowTries = 0;
  return untilDone(desk, 'a step is run again', async () => {
    try {
      await step(desk, batch);
    } catch (error) {
      if (outcomeOf(error) === 'application') return isolate(desk, batch, error);
      if (!tookTooLong(error)) throw error;
      slowTries++;
      if (batch.length > 1) return inHalves(desk, batch, error);
      if (slowTries < SLOW_TRIES) throw error;
      await isolate(desk, batch, error);
    }
  });
}

/** Statement timeout, transaction timeout, and what the server has no memory or disk for. */
const TOO_LONG = /^(57014|25P04|53200|54000|53400)$/;

function tookTooLong(error: unknown): boolean {
  return TOO_LONG.test(sqlState(error) ?? '');
}

/** What is too much at once may not be too much in two steps. */
async function inHalves(desk: ReportDesk, batch: readonly PendingReport[], error: unknown): Promise<void> {
  const { metrics, log } = desk.context;
  metrics.stepRetries++;
  log.warn({ err: error, reports: batch.length }, 'a step did not end in time; its reports go in two halves');
  const middle = Math.ceil(batch.length / 2);
  await applyReports(desk, batch.slice(0, middle));
  await applyReports(desk, batch.slice(middle));
}

async function untilDone({ context }: ReportDesk, message: string, work: () => Promise<void>): Promise<void> {
  for (let delay = RETRY_MS.first; ; delay = Math.min(delay * 2, RETRY_MS.most)) {
    try {
      return await work();
    } catch (error) {
      context.metrics.stepRetries++;
      context.log.warn({ err: error }, message);
      await sleep(context.clock, delay);
    }
  }
}

async function step(desk: ReportDesk, batch: readonly PendingReport[]): Promise<void> {
  const { context, handover } = desk;
  const { metrics, signals } = context;
  const { outcome, handedOver } = await stepAndFollow(context, handover, stepInput(context, batch));
  if (outcome.moreCommands) signals.send('command');
  const postponed = new Set(outcome.postponed.map(({ attemptId }) => attemptId));
  const done = batch.filter(({ report }) => !postponed.has(report.attemptId));
  void settleOnceHandedOver(desk, handedOver, done);
  metrics.attemptsEnded += done.length - outcome.settled.length;
  metrics.reportsSettled += outcome.settled.length;
  if (postponed.size > 0)
    void postpone(
      desk,
      batch.filter(({ report }) => postponed.has(report.attemptId)),
      outcome.unknownVersions,
    );
}

/** The answer to a report carries the next task. */
async function settleOnceHandedOver(
  desk: ReportDesk,
  handedOver: Promise<void>,
  done: readonly PendingReport[],
): Promise<void> {
  await handedOver;
  desk.settle(done);
}

async function postpone(
  desk: ReportDesk,
  entries: readonly PendingReport[],
  unknownVersions: readonly string[],
): Promise<void> {
  try {
    if (unknownVersions.length > 0) await desk.context.plans.load(unknownVersions);
    else await sleep(desk.context.clock, POSTPONE_MS);
  } catch (error) {
    // A version that cannot be used at all: its instance is for the commands, which give up in the end.
    if (outcomeOf(error) === 'application') return isolate(desk, entries, error);
    await sleep(desk.context.clock, RETRY_MS.first);
  }
  desk.again(entries);
}

/** One of the batch cannot be applied: each instance's reports by themselves, so that the others go on. */
async function isolate(desk: ReportDesk, batch: readonly PendingReport[], cause: unknown): Promise<void> {
  const { context } = desk;
  const byInstance = Map.groupBy(batch, ({ report }) => report.instanceId);
  if (byInstance.size > 1) {
    for (const entries of byInstance.values()) await applyReports(desk, entries);
    return;
  }
  context.metrics.stepFailures++;
  const message = cause instanceof Error ? cause.message : String(cause);
  context.log.error(
    { err: cause, instance: batch[0]?.report.instanceId },
    'a report could not be applied and is kept as a command',
  );
  await keepAsCommands(desk, batch, message);
}

/** Makes the reports durable and settles them: they are applied one by one, each try counted before it is made. Never rejects. */
export async function keepAsCommands(
  desk: ReportDesk,
  batch: readonly PendingReport[],
  message: string,
): Promise<void> {
  const { context, settle } = desk;
  const reports = batch.map(({ report }) => report);
  await untilDone(desk, 'a report could not be kept as a command', async () => {
    try {
      await context.store.engine.deferReports(reports, message);
    } catch (error) {
      if (outcomeOf(error) !== 'application') throw error;
      // Not even as a command: what it says cannot be stored. That it ended can.
      await context.store.engine.deferReports(reports.map(withoutContent), 'the report could not be stored');
    }
  });
  settle(batch);
  context.signals.send('command');
}

const UNSTORABLE: Reason = {
  code: 'report-unstorable',
  message: 'what the worker reported could not be stored; see the log of the master',
};

function withoutContent({ outputs: _outputs, artifacts: _artifacts, ...report }: ReportedEnd): ReportedEnd {
  return { ...report, end: report.end === 'succeeded' ? 'failed' : report.end, reason: UNSTORABLE };
}

function stepInput({ plans, clock }: MasterContext, batch: readonly PendingReport[]): StepInput {
  const now = clock.now();
  const reports = batch.map(({ report, receivedAt }) => {
    const waited = now - receivedAt;
    return { ...report, startedAgoMs: report.startedAgoMs + waited, endedAgoMs: report.endedAgoMs + waited };
  });
  return { reports, demand: demandOf(plans, batch), commandLimit: 0 };
}

/** The rows that the batch will most likely need, each once. */
function demandOf(plans: MasterContext['plans'], batch: readonly PendingReport[]): TaskKey[] {
  const demand = new Map<string, TaskKey>();
  for (const { report } of batch) {
    const { instanceId, generation, versionId, task, end } = report;
    const known = versionId === undefined ? undefined : plans.get(versionId);
    if (known === undefined) continue;
    for (const needed of firstDemand(known.plan, [{ task, failed: end === 'failed' }])) {
      demand.set(`${instanceId}.${needed}`, { instanceId, generation, task: needed });
    }
  }
  return [...demand.values()];
}
