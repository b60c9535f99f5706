import type { ActiveOfIncarnation } from '@keelson/store';
import { buildAssignments } from '../assignment.ts';
import type { MasterContext } from '../context.ts';
import type { WorkerSession } from '../sessions.ts';
import { tokenOf } from '../token.ts';

/** Makes what this gateway believes a worker holds equal to what the database says it holds. */
export async function reconcile(context: MasterContext, session: WorkerSession): Promise<void> {
  session.stale = false;
  const active = await readActive(context, session);
  const strangers = active.filter(({ attemptId }) => !session.held.has(attemptId));
  for (const attempt of strangers) {
    const since = performance.now();
    session.held.set(attempt.attemptId, { token: tokenOf(attempt), versionId: attempt.versionId, since, sentAt: 0 });
  }
  await rebuild(context, session, strangers);
}

/** Also forgets what is not active any more; what was bound after the question was asked is not in the answer yet and stays. */
async function readActive(context: MasterContext, session: WorkerSession): Promise<ActiveOfIncarnation[]> {
  const asked = performance.now();
  const active = await context.store.engine.activeOf([session.incarnation.id]);
  const current = new Set(active.map(({ attemptId }) => attemptId));
  for (const [id, { since }] of session.held) if (!current.has(id) && since < asked) session.held.delete(id);
  return active;
}

/** The same token again, to the same incarnation: a worker that has it already drops it. */
async function rebuild(
  context: MasterContext,
  session: WorkerSession,
  attempts: readonly ActiveOfIncarnation[],
): Promise<void> {
  for (const { attempt, result } of await buildAssignments(context, attempts)) {
    const held = session.held.get(attempt.attemptId);
    if (held !== undefined && result.kind === 'assignment') held.assignment = result.assignment;
  }
}

/** Tokens of this list that are not active any more, or are to end: what the worker must kill. */
export async function killOrders(
  context: MasterContext,
  session: WorkerSession,
  heldTokens: readonly string[],
): Promise<void> {
  if (heldTokens.length === 0 && session.held.size === 0) return;
  const active = await readActive(context, session);
  const byToken = new Map(active.map((attempt) => [tokenOf(attempt), attempt]));
  for (const token of heldTokens) {
    const attempt = byToken.get(token);
    if (attempt === undefined) session.kills.set(token, { token, reason: 'not-active' });
    else if (attempt.killReason !== null) session.kills.set(token, { token, reason: attempt.killReason });
  }
  const missing = active.filter(({ attemptId }) => !session.held.has(attemptId));
  if (missing.length > 0) session.stale = true;
}
