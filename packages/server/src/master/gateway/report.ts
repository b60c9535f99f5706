import type { EndedReport, ReportRequest, ReportResponse, StartedReport } from '@keelson/protocol';
import type { ReportedEnd } from '@keelson/store';
import { outputProblem } from '@keelson/tasks';
import type { MasterContext } from '../context.ts';
import type { Reports } from '../reports.ts';
import { takeOutbox } from '../sessions.ts';
import type { WorkerSession } from '../sessions.ts';
import type { Starts } from '../starts.ts';
import { parseToken } from '../token.ts';
import { logToken, MOST_LOG_BYTES } from './own-log.ts';
import { storableText } from './storable.ts';

/** Where the reports of one call go. */
interface Desk {
  readonly context: MasterContext;
  readonly reports: Reports;
  readonly started: Starts;
  /** How often in a row the worker has sent reports in vain before. */
  readonly tries: number;
}

/**
 * Answers once everything in it is settled: ends are applied, starts stored. A report under a token of another worker, or of no attempt, is settled by being
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
    underWay.push(
      said.kind === 'started' ? noteStarted(context, started, session, said) : settleEnd(desk, session, said),
    );
  }
  await Promise.all(underWay);
  return { acknowledged, assignments: takeOutbox(session, context.clock) };
}

function ownToken(context: MasterContext, session: WorkerSession, token: string): ReturnType<typeof parseToken> {
  const parts = parseToken(token);
  if (parts?.incarnationId === session.incarnation.id) return parts;
  context.metrics.reportsRefused++;
  const { name, id } = session.incarnation;
  context.complaints.complain(name, 'foreign-token', 'a worker reported under a token that is not its own', {
    incarnation: id,
  });
  return undefined;
}

async function noteStarted(
  context: MasterContext,
  started: Starts,
  session: WorkerSession,
  said: StartedReport,
): Promise<void> {
  const parts = ownToken(context, session, said.token);
  if (parts === undefined) return;
  const { plans } = context;
  const held = session.held.get(parts.attemptId);
  const timeout =
    held === undefined ? undefined : plans.get(held.versionId)?.plan.tasks.get(parts.task)?.definition.timeout;
  await started.note({
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

/** Keelson's own worker keeps to the same. */
const MOST_OUTPUT_BYTES = 2 * 1024 * 1024;

/** Outputs that break the rules fail the task, as they do where a worker checks them itself. */
function contentOf({ end, reason, outputs = {}, artifacts }: EndedReport): Content {
  const files = artifacts === undefined ? {} : { artifacts };
  const fail = (message: string): Content => ({
    end: end === 'succeeded' ? 'failed' : end,
    reason: { code: 'bad-output', message },
    ...files,
  });
  let bytes = 0;
  for (const [name, value] of Object.entries(outputs)) {
    const problem = OUTPUT_NAME.test(name) ? outputProblem(value) : 'has a name that is not allowed';
    if (problem !== undefined) return fail(`output ${storableText(name).slice(0, 100)} ${problem}`);
    bytes += name.length + JSON.stringify(value).length;
    if (bytes > MOST_OUTPUT_BYTES) return fail(`the outputs are larger than ${MOST_OUTPUT_BYTES} bytes together`);
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
  context: MasterContext,
  session: WorkerSession,
  token: string,
  piece: NonNullable<EndedReport['log']>,
): Promise<void> {
  const { store, log } = context;
  const data = Buffer.from(piece.data, 'base64');
  if (data.length === 0 || piece.offset + data.length > MOST_LOG_BYTES) return;
  try {
    const parts = await logToken(context, session, token);
    if (parts === undefined) return;
    await store.logs.append({ instanceId: parts.instanceId, attemptId: parts.attemptId, start: piece.offset, data });
  } catch (error) {
    log.warn({ err: error, worker: session.incarnation.name }, 'the end of a log could not be stored');
  }
}
