import { buildAssignments } from './assignment.ts';
import type { MasterContext } from './context.ts';
import { tokenOf } from './token.ts';

export interface Deliveries {
  /** Subtasks were bound to this incarnation; undefined: perhaps to any. */
  heard(incarnationId: string | undefined): void;
}

/**
 * Hands over subtasks that some master's step has bound to workers of this gateway. Nobody has promised slots to them: a worker starts
 * what it has no slot for when one is free. What is missed here is found when the worker renews its lease.
 */
export function createDeliveries(context: MasterContext): Deliveries {
  const { sessions, log } = context;
  let wanted = new Set<string>();
  let running = false;

  const run = async (): Promise<void> => {
    running = true;
    while (wanted.size > 0) {
      const ids = [...wanted];
      wanted = new Set();
      try {
        await deliver(context, ids);
      } catch (error) {
        log.warn({ err: error, workers: ids.length }, 'subtasks could not be handed over; their workers will ask');
        for (const id of ids) {
          const session = sessions.get(id);
          if (session !== undefined) session.stale = true;
        }
      }
    }
    running = false;
  };

  return {
    heard: (incarnationId) => {
      const ids =
        incarnationId === undefined ? [...sessions.all()].map(({ incarnation }) => incarnation.id) : [incarnationId];
      for (const id of ids) if (sessions.get(id) !== undefined) wanted.add(id);
      if (!running && wanted.size > 0) void run();
    },
  };
}

async function deliver(context: MasterContext, incarnationIds: readonly string[]): Promise<void> {
  const { store, sessions, metrics, clock } = context;
  const active = await store.engine.activeOf(incarnationIds);
  const lacking = active.filter(({ attemptId, incarnationId, subtaskIndex }) => {
    const session = sessions.get(incarnationId);
    if (session === undefined || subtaskIndex === undefined || context.isEnding(attemptId)) return false;
    return !session.held.has(attemptId);
  });
  for (const attempt of lacking) {
    const held = { token: tokenOf(attempt), versionId: attempt.versionId, since: clock.now() };
    sessions.get(attempt.incarnationId)?.held.set(attempt.attemptId, held);
  }
  for (const { attempt, result } of await buildAssignments(context, lacking)) {
    if (result.kind === 'refused') {
      context.refuse(attempt, result.reason);
      continue;
    }
    metrics.attemptsDispatched++;
    sessions.deliver(attempt.incarnationId, attempt.attemptId, result.assignment);
  }
}
