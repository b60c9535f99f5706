import type { PollRequest, PollResponse } from '@keelson/protocol';
import type { Clock } from '@keelson/core';
import { resendUnreceived, takeKills, takeOutbox } from '../sessions.ts';
import type { WorkerSession } from '../sessions.ts';

/**
 * Answers as soon as there is something to say. One poll is open per worker: a newer one ends the older, whose worker has
 * given it up.
 *
 * @param closed aborts when the worker has gone; then nothing is taken out for an answer that nobody reads
 */
export async function answerPoll(
  clock: Clock,
  session: WorkerSession,
  { held, waitMs, draining }: PollRequest,
  closed: AbortSignal,
): Promise<PollResponse> {
  session.draining = draining || session.incarnation.state === 'draining';
  resendUnreceived(session, held, clock);
  session.wakePoll?.();
  session.polls++;
  if (session.outbox.length === 0 && session.kills.size === 0 && waitMs > 0)
    await somethingToSay(clock, session, waitMs, closed);
  session.polls--;
  if (closed.aborted) {
    session.absent = session.polls === 0;
    return { assignments: [], kill: [] };
  }
  return { assignments: takeOutbox(session, clock), kill: takeKills(session) };
}

function somethingToSay(clock: Clock, session: WorkerSession, waitMs: number, closed: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      closed.removeEventListener('abort', end);
      if (session.wakePoll === end) delete session.wakePoll;
      resolve();
    };
    const cancel = clock.after(waitMs, end);
    closed.addEventListener('abort', end);
    session.wakePoll = end;
  });
}
