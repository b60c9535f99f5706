import { createBatcher } from '@keelson/store';
import type { ReportedEnd } from '@keelson/store';
import type { MasterContext } from './context.ts';
import { createHandover } from './handover.ts';
import type { Handover } from './handover.ts';
import { applyInParts, keepAsCommands } from './report-step.ts';
import type { PendingReport, ReportDesk } from './report-step.ts';

const MOST_REPORTS = 500;
const LANES = 1;
/**
 * A report that found no answer so often may be what brings the masters down: as a command it is counted before it is tried, and parked in
 * the end. Costs nothing but time if it was only the network.
 */
const SUSPECT_TRIES = 3;

export interface Reports {
  /**
   * Resolves when the report is settled: applied in a committed step, kept as a command, or found to be of no consequence.
   *
   * @param tries how often in a row its worker has sent reports in vain before
   */
  submit(report: ReportedEnd, tries?: number): Promise<void>;
  /** Whether the end of this attempt is being applied. */
  isPending(attemptId: string): boolean;
  readonly handover: Handover;
  idle(): Promise<void>;
}

/** Takes reports in, batches them, and answers each when it is settled. */
export function createReports(context: MasterContext): Reports {
  const pending = new Map<string, PendingReport>();
  const handover = createHandover(context);
  const settle = (entries: readonly PendingReport[]): void => {
    for (const entry of entries) {
      if (pending.get(entry.report.attemptId) === entry) pending.delete(entry.report.attemptId);
      entry.settle();
    }
  };
  const again = (entries: readonly PendingReport[]): void => entries.forEach((entry) => batcher.add(entry));
  const batcher = createBatcher<PendingReport>(
    MOST_REPORTS,
    LANES,
    (batch) => applyInParts(desk, batch),
    context.clock,
  );
  const desk: ReportDesk = { context, handover, settle, again };
  return {
    submit: (report, tries = 0) => {
      // A report that was sent again while the first one is still under way is the same report.
      const known = pending.get(report.attemptId);
      if (known !== undefined && known.report.nonce === report.nonce) return known.settled;
      const { promise, resolve } = Promise.withResolvers<void>();
      const entry = {
        report,
        receivedAt: context.clock.now(),
        size: sizeOf(report),
        settle: resolve,
        settled: promise,
      };
      pending.set(report.attemptId, entry);
      // The worker is done with it, whatever the database says yet: its slot can be promised to the very step that applies this.
      context.sessions.release(report.incarnationId, report.attemptId);
      if (tries < SUSPECT_TRIES) batcher.add(entry);
      else void keepAsCommands(desk, [entry], `its worker has reported it ${tries} times in vain`);
      return promise;
    },
    isPending: (attemptId) => pending.has(attemptId),
    handover,
    idle: batcher.idle,
  };
}

/** What a report adds to a step, roughly, in characters: beside these it is small. */
function sizeOf({ outputs, artifacts }: ReportedEnd): number {
  if (outputs === undefined && artifacts === undefined) return 0;
  return JSON.stringify([outputs, artifacts]).length;
}
