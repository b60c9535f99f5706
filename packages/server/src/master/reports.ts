import { firstDemand } from '@keelson/core';
import type { ReportedEnd, StepInput, TaskKey } from '@keelson/store';
import { outcomeOf } from '@keelson/store';
import { createBatcher } from '@keelson/store';
import type { MasterContext } from './context.ts';
import { createHandover } from './handover.ts';
import type { Handover } from './handover.ts';
import { stepAndFollow } from './outcome.ts';

const MOST_REPORTS = 500;
const LANES = 1;
const POSTPONE_MS = 2;
const RETRY_MS = { first: 20, most: 1000 };

export interface Reports {
  /** Resolves when the report is settled: applied in a committed step, or found to be of no consequence. */
  submit(report: ReportedEnd): Promise<void>;
  readonly handover: Handover;
  idle(): Promise<void>;
}

interface Pending {
  readonly report: ReportedEnd;
  readonly receivedAt: number;
  readonly settle: () => void;
  readonly settled: Promise<void>;
}

/**
 * From a worker's report to a committed decision. A report that could not be applied is tried again for as long as the database
 * says that this may help; one that the core or the schema refuses becomes a command, which counts its tries and is parked in the end.
 */
export function createReports(context: MasterContext): Reports {
  const pending = new Map<string, Pending>();
  const batcher = createBatcher<Pending>(MOST_REPORTS, LANES, (batch) => apply(batch));
  const handover = createHandover(context);

  const submit = (report: ReportedEnd): Promise<void> => {
    // A report that was sent again while the first one is still under way is the same report.
    const known = pending.get(report.attemptId);
    if (known !== undefined && known.report.nonce === report.nonce) return known.settled;
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry: Pending = { report, receivedAt: performance.now(), settle: resolve, settled: promise };
    pending.set(report.attemptId, entry);
    context.sessions.release(report.incarnationId, report.attemptId);
    batcher.add(entry);
    return promise;
  };

  const settle = (entries: Iterable<Pending>): void => {
    for (const entry of entries) {
      pending.delete(entry.report.attemptId);
      entry.settle();
    }
  };

  const apply = async (batch: readonly Pending[]): Promise<void> => {
    for (let delay = RETRY_MS.first; ; delay = Math.min(delay * 2, RETRY_MS.most)) {
      try {
        return await step(batch);
      } catch (error) {
        if (outcomeOf(error) === 'application') return isolate(batch, error);
        context.metrics.stepRetries++;
        context.log.warn({ err: error, reports: batch.length }, 'a step is run again');
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
  };

  const step = async (batch: readonly Pending[]): Promise<void> => {
    const { metrics } = context;
    const { outcome, handedOver } = await stepAndFollow(context, handover, stepInput(context, batch));
    if (outcome.moreCommands) context.signals.send('command');
    const postponed = new Set(outcome.postponed.map(({ attemptId }) => attemptId));
    // The answer to the report carries the next task.
    void handedOver.then(() => settle(batch.filter(({ report }) => !postponed.has(report.attemptId))));
    metrics.attemptsEnded += batch.length - postponed.size - outcome.settled.length;
    metrics.reportsSettled += outcome.settled.length;
    if (postponed.size > 0)
      await postpone(
        batch.filter(({ report }) => postponed.has(report.attemptId)),
        outcome.unknownVersions,
      );
  };

  const postpone = async (entries: readonly Pending[], unknownVersions: readonly string[]): Promise<void> => {
    if (unknownVersions.length > 0) {
      await context.plans.load(unknownVersions);
      for (const entry of entries) batcher.add(entry);
    } else setTimeout(() => entries.forEach((entry) => batcher.add(entry)), POSTPONE_MS);
  };

  /** One of the batch cannot be applied: each instance's reports by themselves, so that the others go on. */
  const isolate = async (batch: readonly Pending[], cause: unknown): Promise<void> => {
    const byInstance = Map.groupBy(batch, ({ report }) => report.instanceId);
    if (byInstance.size > 1) {
      for (const entries of byInstance.values()) await apply(entries);
      return;
    }
    context.metrics.stepFailures++;
    const message = cause instanceof Error ? cause.message : String(cause);
    context.log.error(
      { err: cause, instance: batch[0]?.report.instanceId },
      'a report could not be applied and is kept as a command',
    );
    await persist(() =>
      context.store.engine.deferReports(
        batch.map(({ report }) => report),
        message,
      ),
    );
    settle(batch);
    context.signals.send('command');
  };

  const persist = async (write: () => Promise<void>): Promise<void> => {
    for (let delay = RETRY_MS.first; ; delay = Math.min(delay * 2, RETRY_MS.most)) {
      try {
        return await write();
      } catch (error) {
        context.log.error({ err: error }, 'reports could not be kept as commands; trying again');
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
  };

  return { submit, handover, idle: batcher.idle };
}

function stepInput({ plans }: MasterContext, batch: readonly Pending[]): StepInput {
  const now = performance.now();
  const reports = batch.map(({ report, receivedAt }) => {
    const waited = now - receivedAt;
    return { ...report, startedAgoMs: report.startedAgoMs + waited, endedAgoMs: report.endedAgoMs + waited };
  });
  return { reports, demand: demandOf(plans, batch), commandLimit: 0 };
}

/** The rows that the batch will most likely need, each once. */
function demandOf(plans: MasterContext['plans'], batch: readonly Pending[]): TaskKey[] {
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
