import type { EndedReport, ReportRequest, ReportResponse, StartedReport } from '@keelson/protocol';
import type { Batcher, ReportedEnd, StartedAttempt } from '@keelson/store';
import { outputProblem } from '@keelson/tasks';
import type { MasterContext } from '../context.ts';
import type { Reports } from '../reports.ts';
import { takeOutbox } from '../sessions.ts';
import type { WorkerSession } from '../sessions.ts';
import { parseToken } from '../token.ts';
import { storableText } from './storable.ts';

/** Where the reports of one call go. */
interface Desk {
  readonly context: MasterContext;
  readonly reports: Reports;
  readonly started: Batcher<StartedAttempt>;
  /** How often in a row the worker has sent reports in vain before. */
  readonly tries: number;
}

/**
 * Answers once every end in it is settled. A report under a token of another worker, or of no attempt, is settled by being
 * ignored: there is nothing that a repetition could make of it.
 */
export async function answerReports(
  desk: Desk,
  session: WorkerSession,
  request: ReportRequest,
): Promise<ReportResponse> {
  const { context, started } = desk;
  const underWay: Promise<void>[] = [];
  const acknowledged: string[] = [];
  for (const said of request.reports) {
    acknowledged.push(said.token);
    if (said.kind === 'started') noteStarted(context, started, session, said);
    else underWay.push(settleEnd(desk, session, said));
  }
  await Promise.all(underWay);
  return { acknowledged, assignments: takeOutbox(session, context.clock) };
}

function ownToken(context: MasterContext, session: WorkerSession, token: string): ReturnType<typeof parseToken> {
  const parts = parseToken(token);
  if (parts?.incarnationId === session.incarnation.id) return parts;
  context.metrics.reportsRefused++;
  context.log.warn({ worker: session.incarnation.name }, 'a worker reported under a token that is not its own');
  return undefined;
}

function noteStarted(
  { plans, ...context }: MasterContext,
  started: Batcher<StartedAttempt>,
  session: WorkerSession,
  said: StartedReport,
): void {
  const parts = ownToken({ plans, ...context }, session, said.token);
  if (parts === undefined) return;
  const held = session.held.get(parts.attemptId);
  const timeout =
    held === undefined ? undefined : plans.get(held.versionId)?.plan.tasks.get(parts.task)?.definition.timeout;
  started.add({
    attemptId: parts.attemptId,
    incarnationId: parts.incarnationId,
    nonce: parts.nonce,
    startedAgoMs: said.startedAgoMs,
    ...(timeout === undefined ? {} : { timeout }),
  });
}

async function submitEnd({ context, reports, tries }: Desk, session: WorkerSession, said: EndedReport): Promise<void> {
  const parts = ownToken(context, session, said.token);
  if (parts === undefined) return;
  const { instanceId, generation, task, attemptId, incarnationId, nonce } = parts;
  const versionId = session.held.get(attemptId)?.versionId;
  const content = contentOf(said);
  const report: ReportedEnd = {
    instanceId,
    generation,
    task,
    attemptId,
    incarnationId,
    nonce,
    startedAgoMs: said.startedAgoMs,
    endedAgoMs: said.endedAgoMs,
    ...(versionId === undefined ? {} : { versionId }),
    ...content,
  };
  await reports.submit(report, tries);
}

type Content = Pick<ReportedEnd, 'end' | 'reason' | 'outputs' | 'artifacts'>;

/** Outputs that break the rules fail the task, as they do where a worker checks them itself. */
function contentOf({ end, reason, outputs = {}, artifacts }: EndedReport): Content {
  const files = artifacts === undefined ? {} : { artifacts };
  for (const [name, value] of Object.entries(outputs)) {
    const problem = OUTPUT_NAME.test(name) ? outputProblem(value) : 'has a name that is not allowed';
    if (problem === undefined) continue;
    const message = `output ${storableText(name).slice(0, 100)} ${problem}`;
    return { end: end === 'succeeded' ? 'failed' : end, reason: { code: 'bad-output', message }, ...files };
  }
  return {
    end,
    ...(reason === undefined ? {} : { reason: reasonOf(reason) }),
    ...(Object.keys(outputs).length === 0 ? {} : { outputs }),
    ...files,
  };
}

const OUTPUT_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

function reasonOf({ code, message, exitCode, signal }: NonNullable<EndedReport['reason']>): {
  code: string;
  message: string;
  exitCode?: number;
  signal?: string;
} {
  return {
    code: storableText(code),
    message: storableText(message),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** First the rest of the log, so that who sees the end can read all of it. */
async function settleEnd(desk: Desk, session: WorkerSession, said: EndedReport): Promise<void> {
  if (said.log !== undefined) await keepLog(desk.context, session, said.token, said.log);
  await submitEnd(desk, session, said);
}

/** A log that cannot be stored never fails its task. */
async function keepLog(
  { store, log }: MasterContext,
  session: WorkerSession,
  token: string,
  piece: NonNullable<EndedReport['log']>,
): Promise<void> {
  const parts = parseToken(token);
  const data = Buffer.from(piece.data, 'base64');
  if (parts?.incarnationId !== session.incarnation.id || data.length === 0) return;
  try {
    await store.logs.append({ instanceId: parts.instanceId, attemptId: parts.attemptId, start: piece.offset, data });
  } catch (error) {
    log.warn({ err: error, attempt: parts.attemptId }, 'the end of a log could not be stored');
  }
}
