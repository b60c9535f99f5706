import type { Assignment, ReportResponse } from '@keelson/protocol';
import type { AttemptEnd } from '../attempt/attempt.ts';
import type { Outcome } from '../gateway/call.ts';
import { backoffMs, sleep, type Clock } from './clock.ts';
import { reportJson, type PendingReport } from './report-json.ts';
import type { WorkerLog } from './worker-log.ts';

/** Sends reports in batches: at once when idle, else with the next batch behind the one in flight. */
export interface Reporter {
  /** Waits some milliseconds, and is dropped if the end comes first. */
  started(token: string, startedAt: number): void;
  /** Is held until the server acknowledges it. */
  ended(token: string, startedAt: number, end: AttemptEnd): void;
  /** True while an end with this token is not acknowledged. */
  isPending(token: string): boolean;
  readonly pendingCount: number;
  stop(): void;
}

export interface ReporterOptions {
  readonly clock: Clock;
  readonly log: WorkerLog;
  send(body: string): Promise<Outcome<ReportResponse>>;
  onSettled(token: string): void;
  onAssignments(assignments: readonly Assignment[]): void;
  /** The answer was no acknowledgement. True: the incarnation is over. */
  onTrouble(outcome: Outcome<never>): boolean;
  onAnswer(): void;
}

export const START_WAIT_MS = 8;
const MAX_REPORTS = 1000;
const MAX_BATCH_LENGTH = 4 * 1024 * 1024;
/** With these the server says that it will never take this body. */
const BAD_BODY: readonly number[] = [400, 413, 422];

export function createReporter(options: ReporterOptions): Reporter {
  const { clock, log } = options;
  const starts = new Map<string, number>();
  let queue: PendingReport[] = [];
  const pending = new Set<string>();
  const reduced = new Set<string>();
  const stopping = new AbortController();
  let pumping = false;
  let scheduled = false;
  let startTimer = false;
  let failures = 0;
  let mostReports = MAX_REPORTS;

  /** Ends that finish in the same turn of the event loop go together. */
  function schedule(): void {
    if (scheduled || pumping) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      void pump();
    });
  }

  function armStartTimer(): void {
    if (startTimer || starts.size === 0 || stopping.signal.aborted) return;
    startTimer = true;
    clock.after(START_WAIT_MS, () => {
      startTimer = false;
      if (starts.size > 0) void pump();
    });
  }

  /** The next batch: first what waited longest, and those starts whose end did not come at once. */
  function takeBatch(now: number): { readonly reports: PendingReport[]; readonly body: string } | undefined {
    for (const [token, startedAt] of starts) {
      if (now - startedAt < START_WAIT_MS - 1) break;
      starts.delete(token);
      queue.push({ kind: 'started', token, startedAt });
    }
    let length = 0;
    let count = 0;
    const parts: string[] = [];
    for (const report of queue) {
      if (count >= mostReports || length >= MAX_BATCH_LENGTH) break;
      const json = reportJson(report, now);
      if (count > 0 && length + json.length > MAX_BATCH_LENGTH) break;
      length += json.length;
      count += 1;
      parts.push(json);
    }
    if (count === 0) return undefined;
    const reports = queue.slice(0, count);
    queue = queue.slice(count);
    return { reports, body: `{"reports":[${parts.join(',')}]}` };
  }

  async function pump(): Promise<void> {
    if (pumping) return;
    pumping = true;
    while (!stopping.signal.aborted) {
      const batch = takeBatch(clock.now());
      if (batch === undefined) break;
      const outcome = await options.send(batch.body);
      if (stopping.signal.aborted) break;
      if (outcome.kind === 'ok') settle(batch.reports, outcome.value);
      else if (outcome.kind === 'refused' && BAD_BODY.includes(outcome.status)) isolate(batch.reports, outcome.message);
      else {
        queue = [...stillWanted(batch.reports), ...queue];
        if (options.onTrouble(outcome)) break;
        failures += 1;
      }
      if (failures > 0) await sleep(clock, backoffMs(failures - 1, 100, 5000), stopping.signal);
    }
    pumping = false;
    armStartTimer();
  }

  /** A start whose end has come meanwhile need not be told again. */
  function stillWanted(reports: readonly PendingReport[]): PendingReport[] {
    return reports.filter((report) => report.kind === 'ended' || !pending.has(report.token));
  }

  function settle(reports: readonly PendingReport[], answer: ReportResponse): void {
    options.onAnswer();
    const acknowledged = new Set(answer.acknowledged);
    const unsettled: PendingReport[] = [];
    for (const report of reports) {
      if (report.kind === 'started') continue;
      if (!acknowledged.has(report.token)) unsettled.push(report);
      else forget(report.token);
    }
    failures = unsettled.length > 0 ? failures + 1 : 0;
    mostReports = Math.min(MAX_REPORTS, mostReports * 2);
    queue = unsettled.length > 0 ? [...unsettled, ...queue] : queue;
    options.onAssignments(answer.assignments);
  }

  function forget(token: string): void {
    pending.delete(token);
    reduced.delete(token);
    options.onSettled(token);
  }

  /** The server takes no batch with one of these in it: smaller batches find which, and the others go through. */
  function isolate(reports: readonly PendingReport[], message: string): void {
    const [culprit] = reports;
    if (culprit === undefined || reports.length > 1) {
      mostReports = Math.ceil(reports.length / 2);
      queue = [...reports, ...queue];
      return;
    }
    mostReports = MAX_REPORTS;
    if (culprit.kind === 'started') return;
    if (reduced.has(culprit.token)) {
      log('error', `the server takes no report of an attempt's end, not even a short one; it will find the attempt lost: ${message}`);
      forget(culprit.token);
      return;
    }
    log('warn', `the server refuses the report of an attempt's end; it is reported as failed instead: ${message}`);
    reduced.add(culprit.token);
    const reason = { code: 'report-refused', message: `the server refused the report of this attempt's end (${culprit.end.end}): ${message}`.slice(0, 2000) };
    queue = [{ ...culprit, end: { end: culprit.end.end === 'succeeded' ? 'failed' : culprit.end.end, reason, endedAt: culprit.end.endedAt } }, ...queue];
  }

  return {
    started(token, startedAt) {
      starts.set(token, startedAt);
      if (!pumping) armStartTimer();
    },
    ended(token, startedAt, end) {
      if (stopping.signal.aborted || pending.has(token)) return;
      starts.delete(token);
      pending.add(token);
      queue.push({ kind: 'ended', token, startedAt, end });
      schedule();
    },
    isPending: (token) => pending.has(token),
    get pendingCount() {
      return pending.size;
    },
    stop: () => stopping.abort(),
  };
}
