/**
 * The worker protocol without its transport: each call as a function of who calls and what came. HTTP carries it in routes.ts; a
 * simulated network calls the same functions. All throw {@link ApiError}.
 */
import { ApiError, pollRequest, registerRequest, renewRequest, reportRequest } from '@keelson/protocol';
import type { PollResponse, RegisterResponse, RenewRequest, RenewResponse, ReportResponse } from '@keelson/protocol';
import type { MasterContext } from '../context.ts';
import { noteReady } from '../line.ts';
import { resendAll, takeKills } from '../sessions.ts';
import type { WorkerSession } from '../sessions.ts';
import { parseToken } from '../token.ts';
import type { GatewayDependencies } from './dependencies.ts';
import { parse } from './parse.ts';
import { answerPoll } from './poll.ts';
import { compareHeld, reconcile } from './reconcile.ts';
import { checkProtocol, register } from './register.ts';
import { answerReports } from './report.ts';
import { storableText } from './storable.ts';

/** A worker joins; its join token has been checked, and `tokenId` is what it is known by. */
export async function answerRegister(
  { context }: GatewayDependencies,
  body: unknown,
  tokenId?: string,
): Promise<RegisterResponse> {
  refuseWhenClosing(context);
  checkProtocol(body);
  return register(context, parse(registerRequest, body), tokenId);
}

/** Whoever asks for work is sent elsewhere; reports and renewals are still taken. */
function refuseWhenClosing({ closing }: MasterContext): void {
  if (closing()) throw new ApiError('draining', 'this server is about to end: call another one');
}

/** @param closed aborts when the worker has gone */
export async function answerPollCall(
  { context }: GatewayDependencies,
  session: WorkerSession,
  body: unknown,
  closed: AbortSignal,
): Promise<PollResponse> {
  const request = parse(pollRequest, body);
  refuseWhenClosing(context);
  if (!session.asked && !request.draining) await noteAsked(context, session);
  const drains = request.draining && !session.drainNoted;
  if (drains) await noteDraining(context, session);
  if (session.stale) await reconcile(context, session);
  if (!context.line.isAllEmpty()) context.wake.claims();
  // It will not be here much longer: what it does not list goes out again, and the worker drops what it knows.
  if (drains) resendAll(session, request.held);
  // With nothing awaited before it is counted as open: the poll before it may break off at any moment.
  if (session.absent) isBack(context, session);
  const answer = await answerPoll(context.clock, session, request, closed);
  if (answer.assignments.length === 0 && answer.kill.length === 0) refuseWhenClosing(context);
  return answer;
}

/** A first poll: now it is certain that the worker has got the answer to its registration. */
async function noteAsked({ store, sessions, wake, line }: MasterContext, session: WorkerSession): Promise<void> {
  const { id, group } = session.incarnation;
  sessions.hasAsked(session, await store.workers.supersede(id));
  noteReady({ sessions, line }, group);
  wake.claims();
}

function isBack({ sessions, line, wake }: MasterContext, session: WorkerSession): void {
  session.absent = false;
  noteReady({ sessions, line }, session.incarnation.group);
  wake.claims();
}

/** When this is through no master binds anything to it any more, and what has been bound is seen by whoever reads now. */
async function noteDraining({ store, log }: MasterContext, session: WorkerSession): Promise<void> {
  const { name, id } = session.incarnation;
  session.draining = true;
  await store.workers.drain(id);
  session.drainNoted = true;
  session.stale = true;
  log.info({ worker: name, incarnation: id }, 'a worker drains');
}

/** @param tries how often in a row the worker has sent reports in vain before */
export async function answerReportCall(
  { context, reports, started, bounds }: GatewayDependencies,
  session: WorkerSession,
  body: unknown,
  tries = 0,
): Promise<ReportResponse> {
  const request = parse(reportRequest, body);
  const settled = bounds.admitEnds(session, request.reports.length);
  try {
    return await answerReports({ context, reports, started, tries }, session, request);
  } finally {
    settled();
  }
}

export async function answerRenew(
  { context, renewals }: GatewayDependencies,
  session: WorkerSession,
  body: unknown,
): Promise<RenewResponse> {
  const { held, progress } = parse(renewRequest, body);
  const asked = context.clock.now();
  const leaseMs = await renewals.renew(session.incarnation.id);
  if (leaseMs === undefined) {
    context.sessions.remove(session.incarnation.id);
    throw new ApiError('lease-expired', 'the lease ran out before this renewal came');
  }
  session.leaseUntil = asked + leaseMs;
  // Nothing else may hold up a renewal, or fail it.
  void noteProgress(context, session, progress ?? []);
  void compare(context, session, held);
  return { leaseMs, kill: takeKills(session) };
}

export async function answerLeave({ context }: GatewayDependencies, { incarnation }: WorkerSession): Promise<void> {
  await context.store.workers.leave(incarnation.id);
  context.sessions.remove(incarnation.id);
  context.signals.send('command');
  context.log.info({ worker: incarnation.name, incarnation: incarnation.id }, 'a worker left');
}

async function compare(context: MasterContext, session: WorkerSession, held: readonly string[]): Promise<void> {
  try {
    await compareHeld(context, session, held);
  } catch (error) {
    context.log.warn({ err: error, worker: session.incarnation.name }, 'what a worker holds could not be compared');
  }
}

/** What a processor says of its progress is for people to see: it never costs a worker its lease. */
async function noteProgress(
  { store, log }: MasterContext,
  session: WorkerSession,
  said: NonNullable<RenewRequest['progress']>,
): Promise<void> {
  const notes = said.flatMap(({ token, fraction, message }) => {
    const parts = parseToken(token);
    if (parts?.incarnationId !== session.incarnation.id) return [];
    return [{ ...parts, fraction, ...(message === undefined ? {} : { message: storableText(message) }) }];
  });
  if (notes.length === 0) return;
  await store.workers
    .noteProgress(notes)
    .catch((error: unknown) =>
      log.warn({ err: error, worker: session.incarnation.name }, 'progress could not be noted'),
    );
}
