import type { AttemptEnd } from '../attempt/attempt.ts';

/** A report that waits to be sent or acknowledged. Ages are only known when it is sent, so it is kept in parts. */
export type PendingReport =
  | { readonly kind: 'started'; readonly token: string; readonly startedAt: number }
  | { readonly kind: 'ended'; readonly token: string; readonly startedAt: number; readonly end: AttemptEnd };

/** One report as JSON. Outputs are JSON already; thousands of reports a second pass here. */
export function reportJson(report: PendingReport, now: number): string {
  const startedAgoMs = Math.max(0, now - report.startedAt);
  const token = JSON.stringify(report.token);
  if (report.kind === 'started') return `{"kind":"started","token":${token},"startedAgoMs":${startedAgoMs}}`;
  const { end, reason, outputsJson, artifacts, endedAt, log } = report.end;
  let json = `{"kind":"ended","token":${token},"end":"${end}","startedAgoMs":${startedAgoMs},"endedAgoMs":${Math.max(0, now - endedAt)}`;
  if (reason !== undefined) json += `,"reason":${JSON.stringify(reason)}`;
  if (outputsJson !== undefined) json += `,"outputs":${outputsJson}`;
  if (artifacts !== undefined) json += `,"artifacts":${JSON.stringify(artifacts)}`;
  if (log !== undefined) json += `,"log":${JSON.stringify(log)}`;
  return `${json}}`;
}
