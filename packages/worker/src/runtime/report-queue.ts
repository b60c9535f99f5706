import type { AttemptEnd } from '../attempt/attempt.ts';
import { reportJson, type PendingReport } from './report-json.ts';

/** Reports that wait to be sent, in order. */
export interface ReportQueue {
  /** Waits some milliseconds for the end, which would make it needless. */
  started(token: string, startedAt: number): void;
  ended(token: string, startedAt: number, end: AttemptEnd): void;
  /** True while an end with this token is neither acknowledged nor given up. */
  isPending(token: string): boolean;
  readonly pendingCount: number;
  readonly hasYoungStarts: boolean;
  takeBatch(now: number): Batch | undefined;
  /** The batch did not get through: it is the next again, without the starts whose end has come meanwhile. */
  putBack(batch: Batch): void;
  /** The batch was answered. Returns the tokens that are settled by it; the others wait again. */
  settle(batch: Batch, acknowledged: ReadonlySet<string>): string[];
  /** The server takes no batch with one of these in it: smaller batches find which, and the others go through. */
  isolate(batch: Batch, message: string): Isolation;
}

export interface Batch {
  readonly reports: readonly PendingReport[];
  /** A reportRequest. */
  readonly body: string;
}

export type Isolation =
  | { readonly kind: 'searching' }
  /** The culprit will be reported as failed, in few words. */
  | { readonly kind: 'reduced' }
  /** Not even that is taken. */
  | { readonly kind: 'given-up'; readonly token: string };

export const START_WAIT_MS = 8;
const MAX_REPORTS = 1000;
const MAX_BATCH_LENGTH = 4 * 1024 * 1024;

export function createReportQueue(): ReportQueue {
  const starts = new Map<string, number>();
  const pending = new Set<string>();
  const reduced = new Set<string>();
  let queue: PendingReport[] = [];
  let mostReports = MAX_REPORTS;

  function forget(token: string): void {
    pending.delete(token);
    reduced.delete(token);
  }

  return {
    started: (token, startedAt) => void starts.set(token, startedAt),
    ended(token, startedAt, end) {
      if (pending.has(token)) return;
      starts.delete(token);
      pending.add(token);
      queue.push({ kind: 'ended', token, startedAt, end });
    },
    isPending: (token) => pending.has(token),
    get pendingCount() {
      return pending.size;
    },
    get hasYoungStarts() {
      return starts.size > 0;
    },
    takeBatch(now) {
      for (const [token, startedAt] of starts) {
        if (now - startedAt < START_WAIT_MS - 1) break;
        starts.delete(token);
        queue.push({ kind: 'started', token, startedAt });
      }
      const parts = fittingReports(queue, mostReports, now);
      if (parts.length === 0) return undefined;
      const reports = queue.slice(0, parts.length);
      queue = queue.slice(parts.length);
      return { reports, body: `{"reports":[${parts.join(',')}]}` };
    },
    putBack(batch) {
      queue = [...batch.reports.filter((report) => report.kind === 'ended' || !pending.has(report.token)), ...queue];
    },
    settle({ reports }, acknowledged) {
      mostReports = Math.min(MAX_REPORTS, mostReports * 2);
      const ends = reports.filter((report) => report.kind === 'ended');
      const settled = ends.filter(({ token }) => acknowledged.has(token)).map(({ token }) => token);
      if (settled.length < ends.length) queue = [...ends.filter(({ token }) => !acknowledged.has(token)), ...queue];
      settled.forEach(forget);
      return settled;
    },
    isolate({ reports }, message) {
      const [culprit] = reports;
      if (culprit === undefined || reports.length > 1) {
        mostReports = Math.ceil(reports.length / 2);
        queue = [...reports, ...queue];
        return { kind: 'searching' };
      }
      mostReports = MAX_REPORTS;
      if (culprit.kind === 'started') return { kind: 'searching' };
      if (reduced.has(culprit.token)) {
        forget(culprit.token);
        return { kind: 'given-up', token: culprit.token };
      }
      reduced.add(culprit.token);
      queue = [inFewWords(culprit, message), ...queue];
      return { kind: 'reduced' };
    },
  };
}

function fittingReports(queue: readonly PendingReport[], most: number, now: number): string[] {
  const parts: string[] = [];
  let length = 0;
  for (const report of queue) {
    if (parts.length >= most) break;
    const json = reportJson(report, now);
    if (parts.length > 0 && length + json.length > MAX_BATCH_LENGTH) break;
    length += json.length;
    parts.push(json);
  }
  return parts;
}

function inFewWords(report: PendingReport & { readonly kind: 'ended' }, message: string): PendingReport {
  const { end, endedAt } = report.end;
  const text = `the server refused the report of this attempt's end (${end}): ${message}`.slice(0, 2000);
  return {
    ...report,
    end: { end: end === 'succeeded' ? 'failed' : end, reason: { code: 'report-refused', message: text }, endedAt },
  };
}
