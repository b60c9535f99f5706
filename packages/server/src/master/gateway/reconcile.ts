import type { ActiveOfIncarnation } from '@keelson/store';
import { buildAssignments } from '../assignment.ts';
import type { MasterContext } from '../context.ts';
import { NEVER_SENT, resendUnreceived } from '../sessions.ts';
import type { WorkerSession } from '../sessions.ts';
import { parseToken, tokenOf } from '../token.ts';

/**
 * Makes what this gateway believes a worker holds equal to what the database says it holds, and builds the assignments that it lacks:
 * the same token again, to the same incarnation. A worker that has it already drops it.
 */
export async function reconcile(context: MasterContext, session: WorkerSession): Promise<void> {
  session.stale = false;
  try {
    await readAndBuild(context, session);
  } catch (error) {
    session.stale = true;
    throw error;
  }
}

async function readAndBuild(context: MasterContext, session: WorkerSession): Promise<void> {
  const active = await readActive(context, session);
  const lacking = active.filter(({ attemptId }) => session.held.get(attemptId)?.assignment === undefined);
  for (const attempt of lacking) {
    if (session.held.has(attempt.attemptId)) continue;
    session.held.set(attempt.attemptId, {
      token: tokenOf(attempt),
      versionId: attempt.versionId,
      since: context.clock.now(),
    });
  }
  for (const { attempt, result } of await buildAssignments(context, lacking)) {
    const held = session.held.get(attempt.attemptId);
    if (result.kind === 'refused') context.refuse(attempt, result.reason);
    else if (held !== undefined) Object.assign(held, { assignment: result.assignment, sentAt: NEVER_SENT });
  }
}

/** Also forgets what is not active any more; what was bound after the question was asked is not in the answer yet and stays. */
async function readActive(context: MasterContext, session: WorkerSession): Promise<ActiveOfIncarnation[]> {
  const asked = context.clock.now();
  const active = await context.store.engine.activeOf([session.incarnation.id]);
  const current = new Set(active.map(({ attemptId }) => attemptId));
  for (const [id, { since }] of session.held) if (!current.has(id) && since < asked) session.held.delete(id);
  const { outbox, held } = session;
  // What has ended or was parked while its assignment waited here is not to be started any more.
  outbox.splice(0, outbox.length, ...outbox.filter(({ fencingToken }) => held.has(fencingToken)));
  return active.filter(({ attemptId }) => !context.isEnding(attemptId));
}

/**
 * Looks, apart from the renewal that occasioned it, whether the worker's list and the database agree: tokens that are not active any more
 * or are to end must be killed, and what is bound to it and was never handed over from here must be.
 */
export async function compareHeld(
  context: MasterContext,
  session: WorkerSession,
  heldTokens: readonly string[],
): Promise<void> {
  const active = await readActive(context, session);
  const byToken = new Map(active.map((attempt) => [tokenOf(attempt), attempt]));
  for (const token of heldTokens) {
    const attempt = byToken.get(token);
    if (attempt === undefined) {
      if (!context.isEnding(parseToken(token)?.attemptId ?? ''))
        session.kills.set(token, { token, reason: 'not-active' });
    } else if (attempt.killReason !== null) session.kills.set(token, { token, reason: attempt.killReason });
  }
  if (active.some(({ attemptId }) => session.held.get(attemptId)?.assignment === undefined))
    await reconcile(context, session);
  resendUnreceived(session, heldTokens, context.clock);
  if (session.kills.size > 0 || session.outbox.length > 0) session.wakePoll?.();
}
