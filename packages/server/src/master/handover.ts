import type { Assignment } from '@keelson/protocol';
import type { BoundAttempt, ReportedEnd } from '@keelson/store';
import { buildAssignments } from './assignment.ts';
import type { MasterContext } from './context.ts';

/** From a committed binding to the worker that holds it. */
export interface Handover {
  /** These attempts are bound to workers of this gateway; their slots were promised to them. Resolves when they wait in the outbox. */
  bound(attempts: readonly BoundAttempt[]): Promise<void>;
}

export function createHandover(context: MasterContext): Handover {
  const { sessions, log, metrics } = context;

  const deliver = (attempt: BoundAttempt, assignment: Assignment): void => {
    metrics.attemptsDispatched++;
    sessions.deliver(attempt.incarnationId, attempt.attemptId, assignment);
  };

  const build = async (attempts: readonly BoundAttempt[]): Promise<void> => {
    try {
      for (const { attempt, result } of await buildAssignments(context, attempts)) {
        if (result.kind === 'assignment') deliver(attempt, result.assignment);
        else context.refuse(attempt, result.reason);
      }
    } catch (error) {
      // The attempts stay bound and undelivered; the worker's next poll finds them missing and they are built again.
      log.error({ err: error, attempts: attempts.length }, 'assignments could not be built');
      for (const { incarnationId } of attempts) {
        const session = sessions.get(incarnationId);
        if (session !== undefined) session.stale = true;
      }
    }
  };

  return {
    bound: async (attempts) => {
      if (attempts.length === 0) return;
      for (const attempt of attempts) sessions.bind(attempt);
      await build(attempts);
    },
  };
}

/** The report that a worker would have made. */
export function failedBeforeStart(attempt: BoundAttempt, reason: { code: string; message: string }): ReportedEnd {
  const { instanceId, generation, task, attemptId, incarnationId, nonce } = attempt;
  return {
    instanceId,
    generation,
    task,
    attemptId,
    incarnationId,
    nonce,
    end: 'failed',
    reason,
    startedAgoMs: 0,
    endedAgoMs: 0,
  };
}
